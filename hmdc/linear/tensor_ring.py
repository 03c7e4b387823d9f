"""Tensor ring (Zhao et al., arXiv 1606.05535; TR-RNN: Pan et al., arXiv 1811.07503).

W[(i1 ... id), (j1 ... jd)] = trace(G1[i1, j1] G2[i2, j2] ... Gd[id, jd]).  Cores [r, m_k, n_k, r]: r^2 sum(m_k n_k)
parameters.  Applied like a tensor train whose first bond stays open until the last core closes it, which an exchange
of axes brings next to it; MACs by the cheapest order.  Fitted by alternating least squares from nested SVDs and seeded
random starts.
"""

import numpy as np

from .als import Form, fit
from .base import svd, whole_number
from .modes import Modes
from .network import Core

STARTS = 24


class TensorRing(Modes):
    """m, n: row and column modes.  rank: of every bond.  rich: upper rows left dense."""

    name = "tensor_ring"
    prefix = "tr"

    def decompose(self, w, *, moment=None, m: tuple = None, n: tuple = None, rank: int, rich: int = 0):
        m, n, rich = self.modes(w.shape, m, n, rich)
        shapes = list(self.shapes(m, n, rank).values())
        d = len(m)
        form = Form(
            [[(str(k), (("r", k), ("s", k), ("r", (k + 1) % d))) for k in range(d)]], [[str(k)] for k in range(d)]
        )

        def solve(t, mask):
            ranks = [min(rank * rank, s, t.size // s) for s in t.shape]
            cores = fit(t, form, ranks, lambda small: _nested(small, rank), STARTS, mask)
            return {k: cores[k].reshape(shape) for k, shape in zip(cores, shapes)}

        return self.fit_masked(w, m, n, rich, solve)

    def shapes(self, m, n, rank):
        rank = whole_number(self, "rank", rank, 1)
        return {str(k): (rank, a, b, rank) for k, (a, b) in enumerate(zip(m, n))}

    def checked_shapes(self, named):
        d = max(2, len(named))
        sizes = [named[str(k)].shape if str(k) in named else () for k in range(d)]
        if not all(len(s) == 4 for s in sizes):
            return {str(k): (None,) * 4 for k in range(d)}
        return {str(k): (None, None, None, sizes[(k + 1) % d][0]) for k in range(d)}

    def terms(self, named):
        d = len(named)
        return [
            [
                Core(name, a, (("r", k), ("m", k), ("n", k), ("r", (k + 1) % d)))
                for k, (name, a) in enumerate(named.items())
            ]
        ]


def _nested(t: np.ndarray, rank: int) -> dict[str, np.ndarray]:
    """As a tensor train whose first bond is split into two of the ring; what a rank lacks is filled with noise."""
    d, rng = len(t.shape), np.random.default_rng(0)
    u, s, v = svd(t.reshape(t.shape[0], -1))
    root = np.sqrt(s)
    first = _fill(u * root, rank * rank, rng).reshape(t.shape[0], rank, rank)  # [s, r1, r0]
    rest = _fill((root[:, None] * v).T, rank * rank, rng).T.reshape(rank, rank, -1)  # [r1, r0, others]
    cores = {"0": first.transpose(2, 0, 1)}
    rest = rest.transpose(0, 2, 1)  # [r1, others, r0]
    for k in range(1, d - 1):
        u, s, v = svd(rest.reshape(rank * t.shape[k], -1))
        root = np.sqrt(s)
        cores[str(k)] = _fill(u * root, rank, rng).reshape(rank, t.shape[k], rank)
        rest = _fill((root[:, None] * v).T, rank, rng).T
    return cores | {str(d - 1): rest.reshape(rank, t.shape[-1], rank)}


def _fill(w: np.ndarray, columns: int, rng) -> np.ndarray:
    """The first columns; missing ones are small noise."""
    more = max(0, columns - w.shape[1])
    noise = rng.standard_normal((w.shape[0], more)) * 0.1 * np.sqrt(np.mean(w**2))
    return np.hstack([w[:, :columns], noise])
