"""Tensor train (Oseledets, 2011, Algorithm 1; for matrices: Novikov et al., arXiv 1509.06569; TT-RNN: Yang et al.,
arXiv 1707.01786).

W[(i1 ... id), (j1 ... jd)] = G1[i1, j1] G2[i2, j2] ... Gd[id, jd], matrices G_k[i_k, j_k] of r_{k-1} x r_k.
Cores [r_{k-1}, m_k, n_k, r_k]: sum(r_{k-1} m_k n_k r_k) parameters.  Applied from the last core or from the first,
whichever is cheaper: core k costs r_{k-1} r_k n_1 ... n_k m_k ... m_d MACs from the last.  TT-SVD: within sqrt(d - 1)
of the best error.
"""

from math import prod

from .base import svd, whole_number
from .modes import Modes, tensor
from .network import Core


class TensorTrain(Modes):
    """m, n: row and column modes.  rank: of every bond, less where less is possible.  rich: upper rows left dense."""

    name = "tensor_train"
    prefix = "tt"

    def decompose(self, w, *, moment=None, m: tuple = None, n: tuple = None, rank: int, rich: int = 0):
        m, n, rich = self.modes(w.shape, m, n, rich)
        shapes = self.shapes(m, n, rank)
        return self.fit(w, m, n, rich, lambda full: self._cores(tensor(full, m, n), list(shapes.values())))

    def _cores(self, t, shapes):
        cores, rest = {}, t
        for k, (r0, mk, nk, r1) in enumerate(shapes[:-1]):
            u, s, v = svd(rest.reshape(r0 * mk * nk, -1))
            cores[str(k)] = u[:, :r1].reshape(r0, mk, nk, r1)
            rest = s[:r1, None] * v[:r1]
        return cores | {str(len(shapes) - 1): rest.reshape(shapes[-1])}

    def shapes(self, m, n, rank):
        rank = whole_number(self, "rank", rank, 1)
        s = [a * b for a, b in zip(m, n)]
        r = [min(rank, prod(s[:k]), prod(s[k:])) for k in range(len(s) + 1)]
        return {str(k): (r[k], a, b, r[k + 1]) for k, (a, b) in enumerate(zip(m, n))}

    def checked_shapes(self, named):
        d = max(2, len(named))
        ranks = [1]
        for k in range(d - 1):
            core = named.get(str(k))
            ranks.append(core.shape[-1] if core is not None and core.ndim == 4 else None)
        return {str(k): (r0, None, None, r1) for k, (r0, r1) in enumerate(zip(ranks, [*ranks[1:], 1]))}

    def terms(self, named):
        ends = {("r", 0): None, ("r", len(named)): None}
        rows = (((("r", k), ("m", k), ("n", k), ("r", k + 1)), item) for k, item in enumerate(named.items()))
        return [[Core(name, core, tuple(ends.get(a, a) for a in labels)) for labels, (name, core) in rows]]
