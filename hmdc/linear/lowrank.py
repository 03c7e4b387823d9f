"""Low-rank matrix factorization, W = U V: the truncated SVD (Eckart and Young, 1936; LMF of recurrent layers:
Kuchaiev and Ginsburg, arXiv 1703.10722).

U [m, r], V [r, n]: r (m + n) parameters and MACs.  Weighted: the SVD of W S with S S^T = E[x x^T].
"""

import numpy as np

from .base import Structure, expect, roots, take, whole_number
from .maps import Chain
from .network import factor


class LowRank(Structure):
    """y = U (V x); rank: of the product."""

    name = prefix = "lowrank"
    weighted = True

    def decompose(self, w, *, moment=None, rank: int):
        rank = whole_number(self, "rank", rank, 1, min(w.shape), f"for a {w.shape[0]}x{w.shape[1]} matrix")
        s, s_inverse = (None, None) if moment is None else roots(moment)
        u, values, v = np.linalg.svd(w if moment is None else w @ s, full_matrices=False)
        root = np.sqrt(values[:rank])
        v = root[:, None] * v[:rank]
        return self._map(u[:, :rank] * root, v if moment is None else v @ s_inverse)

    def _map(self, u, v):
        return Chain((factor(u), factor(v)))

    def tiers(self, shape, ratio):
        yield (({"rank": r}, r * sum(shape)) for r in range(1, min(shape) + 1))

    def factors(self, m):
        return {f"lowrank.{i}": f.w for i, f in enumerate(m.maps)}

    def from_factors(self, factors, shape):
        u, v = take(self, factors, "01")
        expect(self, "0", u, (shape[0], None))
        expect(self, "1", v, (u.shape[1], shape[1]))
        return self._map(u, v)

    def form(self, m):
        return f"rank {m.maps[0].w.shape[1]}"
