"""Orders and shapes: contraction orders, the papers' figures, padding, order of hidden units, huge inputs."""

import os
from itertools import permutations
from math import prod

import numpy as np
import pytest
from structures import EXAMPLES

from hmdc.errors import HmdcError
from hmdc.linear import STRUCTURES, Rows
from hmdc.linear.maps import Chain, Crop, Dense
from hmdc.linear.network import order_cost
from hmdc.linear.shapes import balanced, near_divisors, ordered, smooth

SEED = int(os.environ.get("HMDC_SEED", "1"))
KP = [  # anchors, section 5: gate's matrix, factors, ratio of matrix parameters, MACs of the best and worst order
    ((40, 68), "8x4 (x) 5x17", 23.2, 500, 1224),
    ((118, 128), "59x8 (x) 2x16", 30.0, 1200, 9440),
    ((154, 164), "14x4 (x) 11x41", 49.8, 2420, 8610),
    ((32, 48), "8x6 (x) 4x8", 19.2, 384, 640),
]


@pytest.fixture
def rng():
    print(f"HMDC_SEED={SEED}")
    return np.random.default_rng(SEED)


@pytest.mark.parametrize("shape, form, ratio, best, worst", KP)
def test_kronecker_of_the_paper(shape, form, ratio, best, worst, rng):
    s = STRUCTURES["kronecker"]
    m = s.decompose(rng.standard_normal(shape))
    assert s.describe(m) == form
    assert round(shape[0] * shape[1] / m.parameters(), 1) == ratio
    assert m.macs() == best and s.order_costs(m) == (best, worst)
    assert s.describe(s.decompose(rng.standard_normal(shape), **s.size(shape, ratio - 0.1))) == form


@pytest.mark.parametrize("m, n, r", [(118, 128, 59), (40, 68, 0), (179, 77, 20), (9, 13, 8)])
def test_hmd_of_the_paper(m, n, r, rng):
    found = STRUCTURES["hmd"].decompose(rng.standard_normal((m, n)), rows=r)
    assert found.parameters() == r * n + 2 * (m - r) + n
    assert found.macs() == r * n + n + 2 * (m - r)
    upper, lower = found.dense()[:r], found.dense()[r:]
    assert np.linalg.matrix_rank(lower[:, : n // 2]) == np.linalg.matrix_rank(lower[:, n // 2 :]) == 1
    assert upper.shape == (r, n)


def test_hmd_is_the_best_of_its_form(rng):
    """No other rank-1 blocks are nearer: the residual is that of the two SVDs."""
    w = rng.standard_normal((20, 31))
    m = STRUCTURES["hmd"].decompose(w, rows=5)
    halves = w[5:, :15], w[5:, 15:]
    least = sum((np.linalg.svd(h, compute_uv=False)[1:] ** 2).sum() for h in halves)
    assert np.isclose(((w - m.dense()) ** 2).sum(), least)


@pytest.mark.parametrize("name", ["kronecker", "tensor_train", "tensor_ring", "hierarchical_tucker", "block_term"])
@pytest.mark.parametrize("shape", [(24, 36), (118, 128)])
def test_chain_is_the_cheapest_order(name, shape, rng):
    s = STRUCTURES[name]
    options, factors = EXAMPLES[name](shape, rng)
    factors = {k.partition(".")[2]: v for k, v in factors.items()}
    m = s.build(factors, shape)
    terms = s.terms(factors)
    assert m.macs() == sum(least_macs([c.bare() for c in term]) for term in terms)
    assert m.macs() == sum(order_cost(term) for term in terms)


def least_macs(cores) -> int:
    """By trying every order, without a thought for the order of axes."""
    dims = {a: s for array, labels in cores for a, s in zip(labels, array.shape)}
    best = None
    for order in permutations(cores):
        state, macs = {a for a in dims if a[0] == "n"}, 0
        for _, labels in order:
            if not state & set(labels):
                break
            macs += prod(dims[a] for a in state | set(labels))
            state ^= set(labels)
        else:
            best = macs if best is None else min(best, macs)
    return best


def test_kronecker_takes_either_order(rng):
    s = STRUCTURES["kronecker"]
    for left in ((59, 8), (2, 16)):
        m = s.decompose(rng.standard_normal((118, 128)), left=left)
        assert isinstance(m, Chain) and m.maps[-1].w.shape == (2, 16)  # applied first
        assert m.macs() == 1200


def test_kronecker_of_more_factors(rng):
    s = STRUCTURES["kronecker"]
    shapes = ((4, 3), (3, 5), (5, 2))
    truth = s.from_factors({f"kron.{k}": rng.standard_normal(p) for k, p in enumerate(shapes)}, (60, 30))
    for options in ({"shapes": shapes}, {"shapes": list(shapes)}):
        found = s.decompose(truth.dense(), **options)
        assert np.linalg.norm(found.dense() - truth.dense()) <= 1e-9 * np.linalg.norm(truth.dense())
    four = s.decompose(rng.standard_normal((60, 36)), left=(5, 3), factors=4)
    assert s.describe(four).startswith("5x3 (x) ") and len(s.factors(four)) == 4 and four.shape == (60, 36)
    moment = np.diag(np.logspace(1, -1, 36))
    w = rng.standard_normal((60, 36))
    plain, weighted = (s.decompose(w, factors=3, moment=x) for x in (None, moment))
    error = lambda m: np.einsum("ij,jk,ik->", m.dense() - w, moment, m.dense() - w)
    assert error(weighted) < error(plain)


@pytest.mark.parametrize("shape, note", [((179, 256), "padded to 180x256"), ((118, 131), "padded to 118x")])
def test_primes_are_padded(shape, note, rng):
    w = rng.standard_normal(shape)
    for name in ("kronecker", "tensor_train", "hierarchical_tucker"):
        s = STRUCTURES[name]
        m = s.decompose(w) if name == "kronecker" else s.decompose(w, rank=3)
        assert m.shape == shape and isinstance(m, Crop) and "padded to" in s.describe(m)
        assert w.size / m.parameters() > 20
        if name == "kronecker":
            assert note in s.describe(m)


def test_rich_rows(rng):
    w = rng.standard_normal((179, 64))
    for name in ("kronecker", "tensor_train", "tensor_ring", "hierarchical_tucker"):
        s = STRUCTURES[name]
        options = {"shapes": ((16, 8), (11, 8))} if name == "kronecker" else {"m": (16, 11), "n": (8, 8), "rank": 2}
        m = s.decompose(w, rich=3, **options)
        assert isinstance(m, Rows) and np.array_equal(m.dense()[:3], w[:3]) and "3 rich rows" in s.describe(m)
        again = s.from_factors(s.factors(m), w.shape)
        assert np.array_equal(again.dense(), m.dense())


def test_padding_does_not_count(rng):
    """Entries that padding adds are free: a cropped product is found exactly, and a start with zeros is not enough."""
    s = STRUCTURES["kronecker"]
    a, b = rng.standard_normal((15, 16)), rng.standard_normal((12, 16))
    w = np.kron(a, b)[:179, :250]
    m = s.decompose(w, shapes=((15, 16), (12, 16)))
    assert np.linalg.norm(m.dense() - w) <= 1e-8 * np.linalg.norm(w)


def test_huge_input_without_the_dense_matrix(rng):
    """FDHT-LSTM: [x; h] of 57,600 + 256 values, four gates of 256, in a few thousand numbers."""
    s = STRUCTURES["hierarchical_tucker"]
    m, n, shape = (8, 8, 4, 4), (12, 15, 17, 19), (1024, 57856)
    factors = {f"ht.{k}": rng.standard_normal(a) for k, a in s.shapes(m, n, 4).items()}
    found = s.from_factors(factors, shape)
    assert found.shape == shape and found.inner.shape == (1024, 58140)
    ranks, inner = 4 * sum(a * b for a, b in zip(m, n)), 2 * 4**3 + 4**2
    assert found.parameters() == ranks + inner == 1584
    assert found.macs() < 1024 * 57856 / 20
    assert max(part.shape[0] for part in found.inner.maps) <= 50_000  # temporaries
    x = rng.standard_normal((57856, 1))
    t = np.vstack([x, np.zeros((284, 1))]).reshape(n)
    leaves, root = [factors[f"ht.leaf.{k}"] for k in range(4)], factors["ht.root"]
    t = np.einsum("ijkl,dlv->ijkdv", t, leaves[3])
    t = np.einsum("ijkdv,cku->ijcduv", t, leaves[2])
    t = np.einsum("ijcduv,uvz->ijcdz", t, factors["ht.node.2-3"])
    t = np.einsum("ijcdz,yz,pqy->ijcdpq", t, root, factors["ht.node.0-1"])
    expected = np.einsum("ijcdpq,aip,bjq->abcd", t, leaves[0], leaves[1], optimize=True).reshape(-1, 1)
    np.testing.assert_allclose(found.apply(x), expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_hmd_order_finds_the_rich_units(rng):
    """Three gates whose lower rows have rank 1 when units 3, 7, 8 and 12 are rich, hidden by a shuffle."""
    gates, units, columns, rich = 3, 16, 10, [3, 7, 8, 12]
    w = np.stack([np.hstack([np.outer(rng.standard_normal(units), rng.standard_normal(columns // 2)) for _ in "ab"])
                  for _ in range(gates)])  # fmt: skip
    w[:, rich] += rng.standard_normal((gates, 4, columns))
    s = STRUCTURES["hmd"]
    order = s.order(w, rows=4)
    assert sorted(order) == list(range(units)) and sorted(order[:4]) == rich
    assert sum(np.linalg.norm(s.decompose(g[order], rows=4).dense() - g[order]) for g in w) < 1e-9


def test_hmd_order_keeps_what_is_exact_and_never_loses(rng):
    s = STRUCTURES["hmd"]
    exact = s.from_factors(EXAMPLES["hmd"]((12, 20), rng)[1], (12, 20)).dense()
    assert np.array_equal(s.order(exact[None], rows=3), np.arange(12))
    for hidden in (None, 0, 4):
        for rows in (0, 1, 6, 11):
            w = rng.standard_normal((4, 12, 16)) * rng.random((1, 12, 1))
            order = s.order(w, rows=rows, hidden=hidden)
            assert sorted(order) == list(range(12))
            columns = np.arange(16)
            if hidden is not None:
                columns[hidden : hidden + 12] = hidden + order
            moved = w[:, order][:, :, columns]
            loss = lambda v: sum(((s.decompose(g, rows=rows).dense() - g) ** 2).sum() for g in v)  # noqa: B023
            assert loss(moved) <= loss(w) * (1 + 1e-9)
            assert rows in (0, 11) or hidden is not None or loss(moved) < loss(w)
    with pytest.raises(HmdcError, match="nearest is 11"):
        s.order(w, rows=12)


def test_whole_numbers():
    assert balanced(118, 2) == (59, 2) and balanced(128, 2) == (16, 8) and balanced(7, 3) == (7, 1, 1)
    assert near_divisors(144, 5) == [4, 6] and near_divisors(13, 20) == [13]
    assert len(ordered(12, 2)) == 6 and all(prod(s) == 12 for s in ordered(12, 3))
    for n in (1, 2, 13, 118, 179, 1024, 57856):
        for d in (2, 3, 4):
            assert n <= prod(smooth(n, d)) < 2 * n and list(smooth(n, d)) == sorted(smooth(n, d), reverse=True)


def test_small_factors_share_a_scale(rng):
    s = STRUCTURES["kronecker"]
    assert all(isinstance(f, Dense) and not f.per_row for f in s.decompose(rng.standard_normal((118, 128))).maps)
    u, v = STRUCTURES["lowrank"].decompose(rng.standard_normal((118, 128)), rank=4).maps
    assert v.per_row and not u.per_row
