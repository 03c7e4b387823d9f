"""Magnitude pruning (Han et al., arXiv 1506.02626): the largest entries of W stay.

density * m * n parameters and MACs.  Weighted: an entry counts as |w| sqrt(E[x^2]) of its input.
"""

import numpy as np

from .base import Structure, expect, fraction, take
from .maps import Sparse


def largest(w: np.ndarray, count: int, score: np.ndarray) -> np.ndarray:
    """w with all but the `count` entries of highest score set to zero; the first of equals stay."""
    keep = np.argsort(-score, axis=None, kind="stable")[:count]
    out = np.zeros_like(w)
    out.flat[keep] = w.flat[keep]
    return out


class Pruned(Structure):
    """density: share of the entries that stay."""

    name = prefix = "pruned"
    weighted = True

    def decompose(self, w, *, moment=None, density: float):
        score = np.abs(w) if moment is None else np.abs(w) * np.sqrt(np.diag(moment))
        return Sparse(largest(w, fraction(self, "density", density, w.size), score))

    def tiers(self, shape, ratio):
        whole = shape[0] * shape[1]
        kept = max(1, int(whole // ratio))
        yield [({"density": kept / whole}, kept)]

    def factors(self, m):
        return {"pruned.w": m.w}

    def from_factors(self, factors, shape):
        (w,) = take(self, factors, ["w"])
        expect(self, "w", w, shape)
        return Sparse(w)

    def form(self, m):
        return f"density {np.count_nonzero(m.w) / m.w.size:.3g}"
