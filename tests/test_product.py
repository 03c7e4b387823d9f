"""Structured matrices times vectors in torch, without the matrix.

Another seed: HMDC_SEED=2 pytest tests/test_product.py
"""

import os
from math import prod

import numpy as np
import pytest
import torch

from hmdc.linear import STRUCTURES
from hmdc.torch.matrix import Matrix
from hmdc.torch.product import SAMPLE, order

SEED = int(os.environ.get("HMDC_SEED", "1"))
SHAPE = (11, 28)
MODES = {"m": (2, 3, 2), "n": (3, 2, 5)}  # make 12x30: both are padded
OPTIONS = {"tensor_train": {"rank": 3}, "hierarchical_tucker": {"rank": 3}, "tensor_ring": {"rank": 2},
           "block_term": {"rank": 2, "terms": 3}}  # fmt: skip


def random(structure: str, rich: int = 0) -> Matrix:
    rng, own = np.random.default_rng(SEED), STRUCTURES[structure]
    print(f"seed {SEED}")
    sizes = own.shapes(**MODES, **OPTIONS[structure]) | ({"rich": (rich, SHAPE[1])} if rich else {})
    factors = {f"{own.prefix}.{k}": rng.standard_normal(s) for k, s in sizes.items()}
    return Matrix(structure, factors, (SHAPE[0] + rich, SHAPE[1]))


@pytest.mark.parametrize("structure", OPTIONS)
@pytest.mark.parametrize("rich", [0, 2])
@pytest.mark.parametrize(("start", "stop"), [(0, 28), (0, 20), (20, 28), (7, 13), (10, 20)])
def test_equals_the_matrix(structure, rich, start, stop):
    """Product and gradients, for vectors in all columns and in some."""
    m = random(structure, rich).double()
    x = torch.randn(4, stop - start, dtype=torch.float64, generator=torch.Generator().manual_seed(SEED))
    found, wanted = m.times(x, start), x @ m()[:, start:stop].T
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    weights = torch.randn(found.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(SEED))
    ours, theirs = (torch.autograd.grad((y * weights).sum(), m.parameters()) for y in (found, wanted))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_other_structures():
    own = STRUCTURES["lowrank"]
    m = Matrix.of("lowrank", own.decompose(np.random.default_rng(SEED).random(SHAPE), rank=2))
    x = torch.eye(28)
    torch.testing.assert_close(m.times(x[:, 5:9], 5), x[:, 5:9] @ m()[:, 5:9].T)


@pytest.mark.parametrize("structure", OPTIONS)
def test_random_factors(structure):
    """As large as they should be, on average over many matrices."""
    rng, options = np.random.default_rng(SEED), MODES | OPTIONS[structure]
    print(f"seed {SEED}")
    squares = [Matrix.random(structure, options, SHAPE, 0.3, rng)().square().mean().item() for _ in range(1000)]
    assert abs(np.mean(squares) / 0.3**2 - 1) < 0.2


def test_order():
    """x [samples n], b [n r], c [r m]: from the left for one sample, b c first for many where r is large."""
    labels = ((SAMPLE, ("n", 0)), (("n", 0), ("r", 0)), (("r", 0), ("m", 0)))
    steps = lambda x, n, r, m: order(labels, ((x, n), (n, r), (r, m)), (SAMPLE, ("m", 0)))
    assert steps(1, 50, 2, 50) == [(0, 1, (SAMPLE, ("r", 0))), (3, 2, (SAMPLE, ("m", 0)))]
    assert steps(100_000, 20, 100, 20)[0] == (1, 2, (("n", 0), ("m", 0)))


def test_57600_inputs():
    """arXiv 2104.05758: no temporary of 192 frames is larger than they are, and none is the matrix."""
    m, n, frames = (8, 8, 4, 4), (11, 11, 20, 24), 192
    (cores,) = STRUCTURES["hierarchical_tucker"].terms(
        {k: np.zeros(s) for k, s in STRUCTURES["hierarchical_tucker"].shapes(m, n, 9).items()}
    )
    x = (SAMPLE, *(("n", k) for k in range(4)))
    arrays, labels = zip(*(c.bare() for c in cores))
    sizes = {a: s for own, array in zip(labels, arrays) for a, s in zip(own, array.shape)} | {SAMPLE: frames}
    steps = order((x, *labels), ((frames, *n), *(a.shape for a in arrays)), (SAMPLE, *(("m", k) for k in range(4))))
    assert len(steps) == len(cores)
    assert max(prod(sizes[a] for a in kept) for *_, kept in steps) < frames * prod(n)
