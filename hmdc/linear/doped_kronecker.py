"""Doped Kronecker product (Thakker et al., arXiv 2102.07071): W = A (x) B + S, S sparse.

m1 n1 + m2 n2 + density m n parameters.  Fitted in turns: the Kronecker product to W - S, then S takes the largest
entries of what is left; the error never grows.
"""

from math import prod

import numpy as np

from ..errors import HmdcError
from .base import Structure, expect, fraction, split
from .kronecker import Kronecker, alternate, nested
from .maps import Sparse, Sum
from .pruned import largest

ROUNDS, WORK = (20, 300), 1 << 24  # of both fits in turn: least and most, entries that all of them visit
SETTLED = 1e-4  # relative gain of a round at which they end
EXACT = 1e-10  # relative error that needs no further round
KRONECKER = Kronecker()


class DopedKronecker(Structure):
    """left: shape of the left factor, balanced when not given.  density: share of entries in S."""

    name = "doped_kronecker"
    prefix = "doped"

    def decompose(self, w, *, moment=None, left=None, density: float):
        count = fraction(self, "density", density, w.size)
        pairs = self._pairs(w.shape, left)
        starts = (np.zeros_like(w), largest(w, count, np.abs(w)))
        return min((self._fit(w, pairs, count, s) for s in starts), key=lambda fit: fit[0])[1]

    def _fit(self, w, pairs, count, sparse):
        """(error, map) from a first S; entries that padding adds follow the product."""
        m, n = zip(*pairs)
        full, error, norm = np.zeros((prod(m), prod(n))), np.inf, np.linalg.norm(w)
        factors: list[np.ndarray] = []
        for turn in range(min(ROUNDS[1], max(ROUNDS[0], WORK // w.size))):
            full[: w.shape[0], : w.shape[1]] = w - sparse
            factors = alternate(full, m, n, factors, None, 2) if turn else nested(full, m, n)
            full = np.kron(*factors)
            rest = w - full[: w.shape[0], : w.shape[1]]
            sparse = largest(rest, count, np.abs(rest))
            before, error = error, np.linalg.norm(rest - sparse)
            if error <= EXACT * norm or before - error < SETTLED * error:
                break
        product = KRONECKER.build({str(k): a for k, a in enumerate(factors)}, w.shape)
        return error, Sum((product, Sparse(sparse)))

    def _pairs(self, shape, left):
        try:
            return KRONECKER.default(shape, rich=False)[1] if left is None else KRONECKER.pairs(shape, left)
        except HmdcError as e:
            raise HmdcError(str(e).replace(KRONECKER.name, self.name, 1)) from e

    def tiers(self, shape, ratio, left=None):
        whole = shape[0] * shape[1]
        product = sum(a * b for a, b in self._pairs(shape, left))
        kept = max(1, int(whole // ratio) - product)
        yield [({"density": kept / whole} | ({} if left is None else {"left": left}), product + kept)]

    def factors(self, m):
        product, sparse = m.maps
        names = {f"doped.{k}": a for k, a in split(product)[1].cores}
        return names | {"doped.sparse": sparse.w}

    def from_factors(self, factors, shape):
        if "doped.sparse" not in factors:
            raise HmdcError(f"doped_kronecker has factors doped.0, doped.1, doped.sparse, not {', '.join(factors)}")
        sparse = np.asarray(factors["doped.sparse"], np.float64)
        expect(self, "sparse", sparse, shape)
        named = {f"kron.{k.removeprefix('doped.')}": v for k, v in factors.items() if k != "doped.sparse"}
        return Sum((KRONECKER.from_factors(named, shape), Sparse(sparse)))

    def form(self, m):
        return f"{KRONECKER.describe(m.maps[0])}, {np.count_nonzero(m.maps[1].w)} more entries"
