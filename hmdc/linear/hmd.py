"""Hybrid matrix decomposition (Thakker et al., arXiv 1906.04886): W = [A'; b c^T | d e^T].

The upper r rows A' [r, n] are free; below them each half of the columns has rank 1: b, d [m - r], c [n // 2],
e [n - n // 2].  Parameters r n + 2 (m - r) + n; MACs the same.  The order of outputs inside a network is free, so
`order` chooses which hidden units are rich.
"""

import numpy as np

from .base import Structure, expect, solve_normal, take, whole_number
from .maps import Dense, Rank1Blocks, Rows

ROUNDS = 30  # of alternating least squares, and of choosing rich units
SETTLED = 1e-9  # relative gain of a round at which it ends


class Hmd(Structure):
    """rows: how many stay free."""

    name = prefix = "hmd"
    weighted = True

    def decompose(self, w, *, moment=None, rows: int):
        rows = whole_number(self, "rows", rows, 0, w.shape[0] - 1, f"for {w.shape[0]} rows")
        whole_number(self, "columns", w.shape[1], 2)
        return self._map(w[:rows], *lower_rows(w[rows:], moment))

    def _map(self, rich, b, d, c, e):
        low = Rank1Blocks(b, d, c, e)
        return Rows((Dense(rich), low)) if len(rich) else low

    def tiers(self, shape, ratio):
        m, n = shape
        yield (({"rows": r}, r * n + 2 * (m - r) + n) for r in range(m))

    def factors(self, m):
        rich = {"hmd.rich": m.maps[0].w} if isinstance(m, Rows) else {"hmd.rich": np.zeros((0, m.shape[1]))}
        low = m.maps[1] if isinstance(m, Rows) else m
        return rich | {"hmd.b": low.b, "hmd.d": low.d, "hmd.c": low.c, "hmd.e": low.e}

    def from_factors(self, factors, shape):
        rich, b, d, c, e = take(self, factors, ["rich", "b", "d", "c", "e"])
        m, n = shape
        expect(self, "rich", rich, (None, n))
        for name, array, length in (("b", b, m - len(rich)), ("d", d, m - len(rich)), ("c", c, None)):
            expect(self, name, array, (length,))
        expect(self, "e", e, (n - len(c),))
        return self._map(rich, b, d, c, e)

    def form(self, m):
        rich = len(m.maps[0].w) if isinstance(m, Rows) else 0
        return f"{rich} rich row{'' if rich == 1 else 's'}"

    def describe(self, m):
        return self.form(m)

    def order(self, w: np.ndarray, *, rows: int, hidden: int | None = None) -> np.ndarray:
        """Which units come first: order[i] is the unit that becomes row i of every gate.

        w: [gates, m, n].  hidden: the first of the m columns that belong to the same units (0 for U, I for [W U]) and
        move with them; None where columns stay.  The best of a few starts, each improved by turns of fitting the lower
        rows and taking the units that fit worst as rich; the given order is a candidate and wins ties.
        """
        w = np.asarray(w, np.float64)
        rows = whole_number(self, "rows", rows, 0, w.shape[1] - 1, f"for {w.shape[1]} rows")
        units = np.arange(w.shape[1])
        best, least = units, _order_error(w, units, rows, hidden)
        whole = _misfit(w, units, 0, hidden)
        for scores in (_misfit(w, units, rows, hidden), whole, (w**2).sum(axis=(0, 2))):
            order = _richest(scores, rows)
            for _ in range(ROUNDS):
                error = _order_error(w, order, rows, hidden)
                if error < least * (1 - SETTLED):
                    best, least = order, error
                following = _richest(_misfit(w, order, rows, hidden), rows)
                if np.array_equal(following, order):
                    break
                order = following
        return best


def lower_rows(w: np.ndarray, moment: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """b, d, c, e of the best [b c^T | d e^T]: two SVDs, or alternating least squares when weighted."""
    half = w.shape[1] // 2
    (b, c), (d, e) = _rank1(w[:, :half]), _rank1(w[:, half:])
    if moment is None:
        return b, d, c, e
    error = np.inf
    for _ in range(ROUNDS):
        before, (b, d) = error, _fit_left(w, c, e, moment)
        c, e = _fit_right(w, b, d, moment)
        miss = w - np.hstack([np.outer(b, c), np.outer(d, e)])
        error = np.einsum("ij,jk,ik->", miss, moment, miss)
        if not error < before * (1 - SETTLED):
            break
    return b, d, c, e


def _rank1(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u, s, v = np.linalg.svd(w, full_matrices=False)
    return np.sqrt(s[0]) * u[:, 0], np.sqrt(s[0]) * v[0]


def _fit_left(w, c, e, moment):
    """b, d for given c, e: every row is a least squares problem in two unknowns with the same 2x2 matrix."""
    basis = np.zeros((2, w.shape[1]))
    basis[0, : len(c)], basis[1, len(c) :] = c, e
    gram = basis @ moment @ basis.T
    return solve_normal(gram, basis @ moment @ w.T)


def _fit_right(w, b, d, moment):
    """c, e for given b, d: the n normal equations of both halves."""
    half = w.shape[1] // 2
    weights = np.array([[b @ b, b @ d], [d @ b, d @ d]])
    side = (np.arange(w.shape[1]) >= half).astype(int)
    right = (moment @ w.T @ np.stack([b, d], 1))[np.arange(w.shape[1]), side]
    both = solve_normal(weights[side][:, side] * moment, right)
    return both[:half], both[half:]


def _arranged(w, order, hidden):
    """All gates in another order of units; columns hidden.. move too."""
    w = w[:, order]
    if hidden is None:
        return w
    columns = np.arange(w.shape[2])
    columns[hidden : hidden + len(order)] = hidden + order
    return w[:, :, columns]


def _order_error(w, order, rows, hidden) -> float:
    """What the lower rows lose in all gates together."""
    low = _arranged(w, order, hidden)[:, rows:]
    half = w.shape[2] // 2
    singular = [np.linalg.svd(part, compute_uv=False) for part in (low[:, :, :half], low[:, :, half:])]
    return float(sum((s[:, 1:] ** 2).sum() for s in singular))


def _misfit(w, order, rows, hidden) -> np.ndarray:
    """By unit: how badly it fits the directions c and e that the lower rows share, over all gates."""
    arranged = _arranged(w, order, hidden)
    half = w.shape[2] // 2
    out = np.zeros(len(order))
    for part in (arranged[:, :, :half], arranged[:, :, half:]):
        axis = np.linalg.svd(part[:, rows:], full_matrices=False)[2][:, 0]  # [gates, columns]
        seen = np.einsum("gmn,gn->gm", part, axis)
        out[order] += ((part**2).sum(axis=2) - seen**2).sum(axis=0)
    return out


def _richest(scores: np.ndarray, rows: int) -> np.ndarray:
    """The units of highest score first, each part in the given order."""
    rich = np.zeros(len(scores), bool)
    rich[np.argsort(-scores, kind="stable")[:rows]] = True
    return np.concatenate([np.flatnonzero(rich), np.flatnonzero(~rich)])
