"""Every structure: exact recovery, factors, parameters and MACs against brute force, sizes, weighting, errors."""

import os

import numpy as np
import pytest
from structures import EXAMPLES, FORMULAS, SHAPES

from hmdc.errors import HmdcError
from hmdc.linear import STRUCTURES
from hmdc.linear.maps import Chain, Crop, Dense, Exchange, Rank1Blocks, Rows, Sparse, Sum

SEED = int(os.environ.get("HMDC_SEED", "1"))
PARTS = (Chain, Rows, Sum)
every_structure = pytest.mark.parametrize("name", STRUCTURES)
every_case = pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s)))


@pytest.fixture
def rng():
    print(f"HMDC_SEED={SEED}")
    return np.random.default_rng(SEED)


def relative(m, w) -> float:
    return np.linalg.norm(m.dense() - w) / np.linalg.norm(w)


def leaves(m):
    if isinstance(m, Crop):
        return leaves(m.inner)
    return [leaf for part in m.maps for leaf in leaves(part)] if isinstance(m, PARTS) else [m]


def brute_macs(leaf) -> int:
    if isinstance(leaf, Exchange):
        return 0
    if isinstance(leaf, Rank1Blocks):
        return sum(v.size for v in (leaf.b, leaf.c, leaf.d, leaf.e))
    if isinstance(leaf, Sparse):
        return np.count_nonzero(leaf.w)
    return np.count_nonzero(np.kron(np.eye(leaf.p), np.kron(np.ones_like(leaf.w), np.eye(leaf.q))))


def test_every_structure_has_an_example_and_a_formula():
    assert set(EXAMPLES) == set(FORMULAS) == set(STRUCTURES)
    assert all(s.name == name for name, s in STRUCTURES.items())
    assert len({s.prefix for s in STRUCTURES.values()}) == len(STRUCTURES)


@every_case
@every_structure
def test_map_of_factors(name, shape, rng):
    s = STRUCTURES[name]
    _, factors = EXAMPLES[name](shape, rng)
    m = s.from_factors(factors, shape)
    expected = FORMULAS[name](factors)[: shape[0], : shape[1]]
    assert m.shape == shape and expected.shape == shape
    np.testing.assert_allclose(m.dense(), expected, rtol=0, atol=1e-11 * np.abs(expected).max())
    x = rng.standard_normal((shape[1], 3))
    np.testing.assert_allclose(m.apply(x), expected @ x, rtol=0, atol=1e-11 * np.abs(expected @ x).max())
    assert {k: v.tobytes() for k, v in s.factors(m).items()} == {k: np.asarray(v).tobytes() for k, v in factors.items()}
    stored = [v for k, v in factors.items() if not k.endswith(".block")]
    sparse = ("pruned", "block_pruned", "doped_kronecker")
    assert m.parameters() == sum(np.count_nonzero(v) if name in sparse else v.size for v in stored)
    assert m.macs() == sum(brute_macs(leaf) for leaf in leaves(m))
    assert isinstance(s.describe(m), str)
    assert ("padded" in s.describe(m)) == any(isinstance(p, Crop) for p in (m, *getattr(m, "maps", ())))


@every_case
@every_structure
def test_exact_recovery(name, shape, rng):
    s = STRUCTURES[name]
    options, factors = EXAMPLES[name](shape, rng)
    truth = s.from_factors(factors, shape)
    w = truth.dense()
    m = s.decompose(w, **options)
    assert relative(m, w) <= 1e-6
    assert m.parameters() <= truth.parameters() and m.macs() <= truth.macs()
    again = s.from_factors(s.factors(m), shape)
    assert np.array_equal(again.dense(), m.dense()) and again.macs() == m.macs()
    assert s.describe(again) == s.describe(m)
    assert np.array_equal(s.decompose(w, **options).dense(), m.dense())  # seeded


@pytest.mark.parametrize("ratio", [1.5, 2, 5, 8.5, 30])
@pytest.mark.parametrize("shape", [(40, 68), (118, 128), (37, 13), (179, 77)])
@every_structure
def test_size(name, shape, ratio, rng):
    s, whole = STRUCTURES[name], shape[0] * shape[1]
    try:
        options = s.size(shape, ratio)
    except HmdcError as e:
        assert "nearest possible" in str(e)
        return
    if name in ("tensor_ring", "block_term") and ratio < 30:
        return  # large ones take seconds to fit
    m = s.decompose(rng.standard_normal(shape), **options)
    assert whole / m.parameters() >= ratio
    more = {"rank": 1, "rows": 1, "density": 1 / whole}
    knob = next((k for k in more if k in options), None)
    if knob and name != "block_pruned" and name != "hybrid_kronecker":
        try:  # one more is too many, or changes nothing where a rank is clipped
            larger = s.decompose(rng.standard_normal(shape), **options | {knob: options[knob] + more[knob]})
        except HmdcError:
            return
        assert whole / larger.parameters() < ratio or larger.parameters() == m.parameters()


@pytest.mark.parametrize("shape", [(40, 68), (118, 128), (32, 48)])
@pytest.mark.parametrize("ratio", [2, 4, 8, 15, 16, 20])
def test_kronecker_size_is_nearest(shape, ratio):
    """Against all exact splits: none is nearer, and it is not padded where one is near."""
    m, n = shape
    stored = [
        (m * n / (a * b + (m // a) * (n // b)))
        for a in range(1, m + 1)
        for b in range(1, n + 1)
        if m % a == n % b == 0 and min(a, b, m // a, n // b) > 1
    ]
    nearest = min((r for r in stored if r >= ratio), default=None)
    if nearest is not None and nearest <= 2 * ratio:
        a, b = STRUCTURES["kronecker"].size(shape, ratio)["left"]
        assert m * n / (a * b + (m // a) * (n // b)) == nearest


def test_hybrid_kronecker_size_is_near():
    """The nearest of all numbers of rich rows whose remainder is no prime."""
    s, shape = STRUCTURES["hybrid_kronecker"], (40, 68)
    w = np.ones(shape)
    ratios = [w.size / s.decompose(w, rows=r).parameters() for r in range(1, 40)]
    for ratio in (2, 3, 7):
        chosen = w.size / s.decompose(w, **s.size(shape, ratio)).parameters()
        assert ratio <= chosen and sum(ratio <= r < chosen for r in ratios) <= 2


@every_structure
def test_larger_is_better(name, rng):
    if name == "dense":
        return
    s, w = STRUCTURES[name], rng.standard_normal((24, 36))
    errors, sizes = [], []
    for ratio in (10, 5, 2.6, 1.6) if name != "hybrid_kronecker" else (5, 3, 2, 1.6):
        m = s.decompose(w, **s.size(w.shape, ratio))
        errors.append(relative(m, w))
        sizes.append(m.parameters())
    assert sizes == sorted(sizes)
    assert all(b < a + 0.02 for a, b in zip(errors, errors[1:])) and errors[-1] < errors[0]


@every_structure
def test_weighting_lowers_the_output_error(name, rng):
    s, shape = STRUCTURES[name], (24, 36)
    options, _ = EXAMPLES[name](shape, rng)
    w = rng.standard_normal(shape)
    mixing = rng.standard_normal((36, 36)) * np.logspace(1, -1, 36)  # correlated, very different directions
    moment = mixing @ mixing.T
    if name.endswith("pruned"):
        moment = np.diag(np.logspace(2, -2, 36))
    if not s.weighted:
        with pytest.raises(HmdcError, match=f"{name} cannot weigh"):
            s.decompose(w, moment=moment, **options)
        return
    plain, weighted = s.decompose(w, **options), s.decompose(w, moment=moment, **options)

    def output_error(m):
        d = m.dense() - w
        return np.einsum("ij,jk,ik->", d, moment, d)

    assert weighted.parameters() == plain.parameters()
    assert output_error(weighted) < 0.95 * output_error(plain) or name == "dense"
    same = s.decompose(w, moment=np.eye(36) * 3.0, **options)  # an isotropic input changes nothing
    assert abs(relative(same, w) - relative(plain, w)) < 1e-6
    s.decompose(w, moment=np.zeros((36, 36)), **options)  # an input that never moved


@pytest.mark.parametrize("name", [n for n, s in STRUCTURES.items() if s.weighted])
def test_weighted_recovery(name, rng):
    for shape in ((40, 68), (37, 13)):
        options, factors = EXAMPLES[name](shape, rng)
        w = STRUCTURES[name].from_factors(factors, shape).dense()
        mixing = rng.standard_normal((shape[1], shape[1] // 2))
        m = STRUCTURES[name].decompose(w, moment=mixing @ mixing.T, **options)
        assert np.linalg.norm((m.dense() - w) @ mixing) <= 1e-5 * np.linalg.norm(w @ mixing)


@every_structure
def test_zero_matrix_and_tiny_shapes(name, rng):
    s = STRUCTURES[name]
    options, _ = EXAMPLES[name]((12, 20), rng)
    assert not s.decompose(np.zeros((12, 20)), **options).dense().any()
    try:
        small = s.size((4, 6), 1.2) if name != "dense" else {}
    except HmdcError as e:
        assert "nearest possible" in str(e)
        return
    assert s.decompose(rng.standard_normal((4, 6)), **small).shape == (4, 6)


@every_structure
def test_wrong_factors(name, rng):
    s = STRUCTURES[name]
    _, factors = EXAMPLES[name]((12, 20), rng)
    first = next(k for k in factors if not k.endswith("block"))
    cut = {k: v[..., :-1] if k == first else v for k, v in factors.items()}
    wrong = [{}, {"other.0": np.zeros((2, 2))}, factors | {f"{s.prefix}.extra": np.zeros(3)}, cut]
    for bad in wrong:
        with pytest.raises(HmdcError):
            s.from_factors(bad, (12, 20))
    with pytest.raises(HmdcError):
        s.from_factors(factors, (25, 41))


@every_structure
def test_unknown_and_missing_options(name):
    s, w = STRUCTURES[name], np.ones((12, 20))
    with pytest.raises(HmdcError, match=f"{name} has no option 'ranc'"):
        s.decompose(w, ranc=3)
    with pytest.raises(HmdcError, match="has no option"):
        s.size((12, 20), 2, ranc=3)
    if any(p.default is p.empty for p in s.options().values()):
        with pytest.raises(HmdcError, match=f"{name} needs "):
            s.decompose(w)
    for ratio in (0.5, 0, -1, float("nan"), "4", True):
        with pytest.raises(HmdcError, match="ratio"):
            s.size((12, 20), ratio)
    with pytest.raises(HmdcError, match="1e\\+09"):
        s.size((12, 20), 1e9)
    with pytest.raises(HmdcError, match="finite"):
        s.decompose(np.full((12, 20), np.nan), **{k: 1 for k, p in s.options().items() if p.default is p.empty})


IMPOSSIBLE = [
    ("kronecker", {"left": (5, 8)}, r"kronecker\(left=\(5, 8\)\): 5 does not divide 144; divisors near 5: 4, 6"),
    ("kronecker", {"left": 5}, r"kronecker\(left=5\): must be \(rows, columns\)"),
    ("kronecker", {"shapes": ((5, 8), (2, 6))}, "makes 10 rows of 144; nearest is"),
    ("kronecker", {"factors": 1}, "nearest is 2"),
    ("hybrid_kronecker", {"rows": 144}, r"must be 1..143 for 144 rows; nearest is 143"),
    ("hybrid_kronecker", {"rows": 4, "left": (3, 8)}, "3 does not divide 140; divisors near 3: 2, 4"),
    ("doped_kronecker", {"left": (5, 8), "density": 0.1}, r"doped_kronecker\(left=\(5, 8\)\): 5 does not divide 144"),
    ("lowrank", {"rank": 100}, "must be 1..48 for a 144x48 matrix; nearest is 48"),
    ("hmd", {"rows": 144}, "nearest is 143"),
    ("tensor_train", {"m": (5, 8), "n": (6, 8), "rank": 2}, r"40 rows of 144; nearest is m=\(12, 12\)"),
    ("tensor_train", {"m": (12, 12), "n": (2, 4, 6), "rank": 2}, "the same number of modes"),
    ("tensor_ring", {"rank": 0}, "must be 1 or more"),
    ("block_term", {"rank": 2, "terms": 0}, "nearest is 1"),
    ("hierarchical_tucker", {"rank": 2, "n": (48, 3)}, "makes 144 columns of 48"),
    ("pruned", {"density": 1.5}, "above 0 and at most 1"),
    ("pruned", {"density": 1e-9}, "keeps nothing of 6912; nearest is 0.000145"),
    ("block_pruned", {"density": 0.5, "block": (4, 49)}, "within 144x48"),
]  # fmt: skip


@pytest.mark.parametrize("name, options, message", IMPOSSIBLE)
def test_impossible_options(name, options, message):
    with pytest.raises(HmdcError, match=message):
        STRUCTURES[name].decompose(np.ones((144, 48)), **options)


def test_no_dense_leaf_stands_alone_in_a_chain_without_bias():
    """What is applied last takes the bias: a Dense in every chain."""
    rng = np.random.default_rng(0)
    for name in STRUCTURES:
        _, factors = EXAMPLES[name]((40, 68), rng)
        m = STRUCTURES[name].from_factors(factors, (40, 68))
        stack = [m]
        while stack:
            part = stack.pop()
            if isinstance(part, Chain):
                assert isinstance(part.maps[0], Dense)
            stack += [part.inner] if isinstance(part, Crop) else list(getattr(part, "maps", ()))
