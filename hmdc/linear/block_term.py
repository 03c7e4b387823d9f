"""Block-term decomposition (De Lathauwer, 2008; BT-RNN: Ye et al., arXiv 1712.05134).

W[(i1 ... id), (j1 ... jd)] = sum over terms t of C_t contracted with A_t1[i1, j1], ..., A_td[id, jd]: a sum of Tucker
decompositions.  Cores C_t [r, ..., r], factors A_tk [m_k, n_k, r]: terms (r sum(m_k n_k) + r^d) parameters; each term
is a chain, its MACs by the cheapest order.  Fitted by alternating least squares over all terms at once, from the
blocks of the HOSVD and from seeded random starts.
"""

import numpy as np

from .als import Form, fit
from .base import whole_number
from .modes import Modes
from .network import Core

STARTS = 24


class BlockTerm(Modes):
    """m, n: row and column modes.  rank: of each term in each mode.  terms: how many.  rich: upper rows left dense."""

    name = "block_term"
    prefix = "bt"

    def decompose(self, w, *, moment=None, m: tuple = None, n: tuple = None, rank: int, terms: int = 2, rich: int = 0):
        m, n, rich = self.modes(w.shape, m, n, rich)
        shapes = self.shapes(m, n, rank, terms)
        d = len(m)
        form = _form(terms, d)

        def solve(t, mask):
            ranks = [min(terms * rank, s, t.size // s) for s in t.shape]
            cores = fit(t, form, ranks, lambda small: _blocks(small, shapes, rank), STARTS, mask)
            return {k: cores[k].reshape(shape) for k, shape in shapes.items()}

        return self.fit_masked(w, m, n, rich, solve)

    def shapes(self, m, n, rank, terms=2):
        rank, terms = whole_number(self, "rank", rank, 1), whole_number(self, "terms", terms, 1, 64)
        out = {}
        for t in range(terms):
            out[f"{t}.core"] = tuple(min(rank, a * b) for a, b in zip(m, n))
            out |= {f"{t}.{k}": (a, b, min(rank, a * b)) for k, (a, b) in enumerate(zip(m, n))}
        return out

    def checked_shapes(self, named):
        terms = max(1, sum(k.endswith(".core") for k in named))
        d = max(2, (len(named) - terms) // terms)
        out = {}
        for t in range(terms):
            core = named.get(f"{t}.core", np.zeros((1,) * d))
            ranks = core.shape if core.ndim == d else (None,) * d
            out[f"{t}.core"] = ranks
            for k in range(d):
                first = named.get(f"0.{k}", np.zeros(0)).shape
                out[f"{t}.{k}"] = (*first[:2], ranks[k]) if len(first) == 3 else (None, None, ranks[k])
        return out

    def terms(self, named):
        names = sorted({int(k.split(".")[0]) for k in named})
        d = len(named) // len(names) - 1
        return [
            [Core(f"{t}.core", named[f"{t}.core"], _bonds(t, d))]
            + [Core(f"{t}.{k}", named[f"{t}.{k}"], (("m", k), ("n", k), ("r", t * d + k))) for k in range(d)]
            for t in names
        ]

    def form(self, m):
        terms = len([k for k in self.factors(m) if k.endswith(".core")])
        return f"{terms} term{'s' if terms > 1 else ''}, {super().form(m)}"


def _bonds(t: int, d: int) -> tuple:
    return tuple(("r", t * d + k) for k in range(d))


def _form(terms: int, d: int) -> Form:
    """All factors of one mode are solved for together, and all cores."""
    networks = [
        [(f"{t}.core", _bonds(t, d)), *((f"{t}.{k}", (("s", k), bond)) for k, bond in enumerate(_bonds(t, d)))]
        for t in range(terms)
    ]
    modes = [[f"{t}.{k}" for t in range(terms)] for k in range(d)]
    return Form(networks, [*modes, [f"{t}.core" for t in range(terms)]])


def _blocks(small: np.ndarray, shapes, rank: int) -> dict[str, np.ndarray]:
    """Term t takes the t-th `rank` directions of each mode and the block of the tensor there."""
    rng, cores = np.random.default_rng(0), {}
    for name, shape in shapes.items():
        t, part = name.split(".")
        if part == "core":
            block = small[tuple(slice(int(t) * rank, int(t) * rank + r) for r in shape)]
            cores[name] = rng.standard_normal(shape) * 0.1 * np.sqrt(np.mean(small**2))
            cores[name][tuple(slice(0, s) for s in block.shape)] = block
        else:
            cores[name] = np.eye(small.shape[int(part)], shape[2], -int(t) * rank)
            if not cores[name].any():
                cores[name] = rng.standard_normal(cores[name].shape)
    return cores
