"""Random weights to train from, as large as PyTorch's."""

from math import log2

import torch
from torch import nn

from .. import recipe
from ..linear import STRUCTURES
from ..recipe import Assignment
from .matrix import Matrix

CLOSE, ROUNDS = 1e-3, 30  # of the search for a deviation


def uniform(bound: float, *shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


def drawn(a: Assignment, shape: tuple[int, int], deviation: float) -> Matrix:
    """What a random matrix decomposes into, its entries of that standard deviation."""
    w = uniform(deviation * 3**0.5, *shape).detach().double().numpy()
    m = Matrix.of(a.structure, STRUCTURES[a.structure].decompose(w, **recipe.sized(a, shape)), w)
    with torch.no_grad():
        _rescale(m, deviation)
    return m


def _rescale(m: Matrix, deviation: float) -> None:
    """One number t for all factors but rich rows.  The product grows with t^k; where its terms differ in k, near t."""
    inner = {k: p for k, p in m.named_parameters() if not k.endswith("rich")}
    rich = sum(len(p) for k, p in m.named_parameters() if k not in inner)

    def scaled(t: float) -> float:
        for p in inner.values():
            p.mul_(t)
        return m()[rich:].square().mean().sqrt().item()

    now = scaled(1.0)
    for _ in range(ROUNDS):
        if abs(now / deviation - 1) < CLOSE:
            return
        k = log2(scaled(2.0) / now)
        now = scaled(0.5 * (deviation / now) ** (1 / k))
