"""Shared by the structures that see a matrix as a tensor: rows split into modes m, columns into modes n.

The matrix is T[(m1 n1), ..., (md nd)], one axis for each pair of modes.  Where the products of m and n exceed the
matrix, the added entries are free: they are filled with the current fit until nothing changes, so a cropped structure
is recovered exactly too.  `rich` upper rows may stay dense.
"""

from collections.abc import Callable, Iterator
from math import prod

import numpy as np

from ..errors import HmdcError
from . import als
from .base import Options, Structure, expect, join, split, whole_number
from .maps import LinearMap, Sum
from .network import Core, contract, order_cost, reconstruct
from .shapes import smooth

Named = dict[str, np.ndarray]

FILLS = 200  # times that padding is filled, at most
FILL_WORK = 3 << 24  # entries that filling may visit in all
FILL_EXACT, FILL_STALLED = 1e-9, 1e-4  # relative error, relative gain of a round
REFINEMENTS = 8  # starts where filling ended in no exact fit
RICHEST = 3  # rich rows that sizing tries in place of padding


def tensor(w: np.ndarray, m: tuple[int, ...], n: tuple[int, ...]) -> np.ndarray:
    """[m1 m2 ..., n1 n2 ...] -> [m1 n1, m2 n2, ...]."""
    d = len(m)
    axes = [a for k in range(d) for a in (k, d + k)]
    return w.reshape(*m, *n).transpose(axes).reshape([a * b for a, b in zip(m, n)])


def masked(w: np.ndarray, m, n) -> tuple[np.ndarray, np.ndarray]:
    """The tensor, padded with zeros, and which of its entries count."""
    full, mask = np.zeros((prod(m), prod(n))), np.zeros((prod(m), prod(n)), bool)
    full[: w.shape[0], : w.shape[1]] = w
    mask[: w.shape[0], : w.shape[1]] = True
    return tensor(full, m, n), tensor(mask, m, n)


def even_bonds(terms: list[list[Core]]) -> Named:
    """The same network with slices of equal norm on both sides of each bond: kinder to a scale shared by a core."""
    named = {c.name: np.array(c.array) for cores in terms for c in cores}
    for cores in terms:
        ends: dict = {}
        for c in cores:
            for axis, label in enumerate(c.labels):
                if label is not None:
                    ends.setdefault(label, []).append((c.name, axis))
        for (a, i), (b, j) in (e for e in ends.values() if len(e) == 2):
            va, vb = np.moveaxis(named[a], i, 0), np.moveaxis(named[b], j, 0)
            na, nb = (np.linalg.norm(v.reshape(len(v), -1), axis=1) for v in (va, vb))
            live = (na > 0) & (nb > 0)
            scale = np.sqrt(np.divide(nb, na, out=np.ones_like(na), where=live), where=live, out=np.ones_like(na))
            va *= scale.reshape(-1, *[1] * (va.ndim - 1))
            vb /= scale.reshape(-1, *[1] * (vb.ndim - 1))
    return named


class Modes(Structure):
    """A subclass defines `shapes` (from the options), `checked_shapes` (from factors), `terms` and `decompose`."""

    def shapes(self, m: tuple[int, ...], n: tuple[int, ...], rank: int, **more) -> dict[str, tuple[int, ...]]:
        """Core name -> shape, in order.  Ranks that are impossible are clipped."""
        raise NotImplementedError

    def checked_shapes(self, named: Named) -> dict[str, tuple]:
        """The shapes that cores of these names should have, None for any length; from the cores before each."""
        raise NotImplementedError

    def terms(self, named: Named) -> list[list[Core]]:
        """The networks whose sum is the map."""
        raise NotImplementedError

    def build(self, named: Named, shape: tuple[int, int], rich: np.ndarray | None = None) -> LinearMap:
        maps = tuple(contract(cores) for cores in self.terms(named))
        return join(rich, maps[0] if len(maps) == 1 else Sum(maps), shape)

    def matrix(self, named: Named, shape: tuple[int, int]) -> np.ndarray:
        return reconstruct(self.terms(named)).reshape(shape)

    def fit(self, w, m, n, rich: int, solve: Callable[[np.ndarray], Named]) -> LinearMap:
        """solve(full matrix) -> cores."""
        lower = w[rich:]
        full = np.zeros((prod(m), prod(n)))
        inside = full[: lower.shape[0], : lower.shape[1]]
        inside[:] = lower
        named = solve(full)
        error, norm = np.inf, np.linalg.norm(lower)
        padded = full.shape != lower.shape
        for _ in range(min(FILLS, max(2, FILL_WORK // full.size)) if padded else 0):
            full[:] = self.matrix(named, full.shape)
            before, error = error, np.linalg.norm(inside - lower)
            if error <= FILL_EXACT * norm or before - error < FILL_STALLED * error:
                break
            inside[:] = lower
            named = solve(full)
        if padded and FILL_EXACT * norm < error < als.POOR * norm:
            named = self._refined(named, lower, m, n)
        return self.build(even_bonds(self.terms(named)), w.shape, w[:rich])

    def _refined(self, named: Named, lower: np.ndarray, m, n) -> Named:
        """Where filling crawls: least squares for one core after the other, on the entries that count."""
        (cores,) = self.terms(named)
        labels = {c.name: tuple(("s", a[1]) if a[0] == "m" else a for a in c.bare()[1] if a[0] != "n") for c in cores}
        form = als.Form([list(labels.items())], [[name] for name in labels])
        sizes = [a * b for a, b in zip(m, n)]
        start = {}
        for c in cores:
            array, axes = c.bare()
            start[c.name] = array.reshape(
                [sizes[a[1]] if a[0] == "m" else s for a, s in zip(axes, array.shape) if a[0] != "n"]
            )
        found = als.refine(*masked(lower, m, n), form, start, REFINEMENTS)
        return {name: found[name].reshape(array.shape) for name, array in named.items()}

    def fit_masked(self, w, m, n, rich: int, solve: Callable[[np.ndarray, np.ndarray | None], Named]) -> LinearMap:
        """solve(T, which of its entries count or None for all) -> cores."""
        t, mask = masked(w[rich:], m, n)
        named = solve(t, None if mask.all() else mask)
        return self.build(even_bonds(self.terms(named)), w.shape, w[:rich])

    def modes(self, shape: tuple[int, int], m, n, rich=0) -> tuple[tuple[int, ...], tuple[int, ...], int]:
        """Checked m, n, rich; what is not given is balanced, larger row modes with smaller column modes."""
        rich = whole_number(self, "rich", rich, 0, shape[0] - 1)
        d = len(m) if isinstance(m, tuple) else len(n) if isinstance(n, tuple) else 3 if min(shape) >= 8 else 2
        sizes = {"m": shape[0] - rich, "n": shape[1]}
        m = smooth(sizes["m"], d) if m is None else self._checked_modes("m", m, sizes["m"], "rows")
        n = smooth(sizes["n"], d)[::-1] if n is None else self._checked_modes("n", n, sizes["n"], "columns")
        if len(m) != len(n) or len(m) < 2:
            raise HmdcError(f"{self.name}(m={m}, n={n}): both need the same number of modes, two or more")
        return m, n, rich

    def _checked_modes(self, option: str, value, size: int, what: str) -> tuple[int, ...]:
        whole = isinstance(value, (tuple, list)) and all(isinstance(v, (int, np.integer)) and v > 0 for v in value)
        if not whole or not value or isinstance(value[0], bool):
            raise HmdcError(f"{self.name}({option}={value!r}): must be a tuple of positive integers")
        if not size <= prod(value) < 2 * size:
            near = smooth(size, len(value))
            raise HmdcError(f"{self.name}({option}={tuple(value)}): makes {prod(value)} {what} of {size}; "
                            f"nearest is {option}={near}")  # fmt: skip
        return tuple(int(v) for v in value)

    def tiers(self, shape, ratio, m=None, n=None, rank=None, rich=None, **more):
        """First what costs no more MACs than the dense matrix."""
        candidates = list(self._candidates(shape, m, n, rank, rich, more))
        yield [c for c in candidates if self.macs(shape, c[0]) <= shape[0] * shape[1]]
        yield candidates

    def _candidates(self, shape, m, n, rank, rich, more) -> Iterator[tuple[Options, int]]:
        given = m if m is not None else n
        for d in (2, 3, 4) if given is None else (len(given),):
            if given is None and d > 2 and min(shape) < 2**d:
                continue
            for r in self._rich_rows(shape, m, rich, d):
                modes = self.modes(shape, m or smooth(shape[0] - r, d), n or smooth(shape[1], d)[::-1], r)
                last = 0
                for k in range(1, min(shape) * 2) if rank is None else (rank,):
                    stored = sum(prod(s) for s in self.shapes(*modes[:2], k, **more).values()) + r * shape[1]
                    if stored == last or (stored > shape[0] * shape[1] and k > 1):
                        break
                    last = stored
                    options = {"m": modes[0], "n": modes[1], "rank": k, **more}
                    yield options | ({"rich": r} if r else {}), stored

    def _rich_rows(self, shape, m, rich, d) -> list[int]:
        if rich is not None or m is not None:
            return [rich or 0]
        exact = [r for r in range(1, min(RICHEST + 1, shape[0])) if prod(smooth(shape[0] - r, d)) == shape[0] - r]
        return [0] if prod(smooth(shape[0], d)) == shape[0] else [0, *exact]

    def macs(self, shape, options):
        options = dict(options)
        rich = options.pop("rich", 0)
        blank = {k: np.zeros(s) for k, s in self.shapes(**options).items()}
        return rich * shape[1] + sum(order_cost(cores) for cores in self.terms(blank))

    def factors(self, m):
        rich, inner, _ = split(m)
        networks = inner.maps if isinstance(inner, Sum) else (inner,)
        out = {} if rich is None else {f"{self.prefix}.rich": rich}
        return out | {f"{self.prefix}.{name}": array for net in networks for name, array in net.cores}

    def from_factors(self, factors, shape):
        wrong = [k for k in factors if not k.startswith(self.prefix + ".")]
        named = {k.removeprefix(self.prefix + "."): np.asarray(v, np.float64) for k, v in factors.items()}
        rich = named.pop("rich", None)
        if wrong or not named:
            raise HmdcError(f"{self.name} has factors {self.prefix}.*, not {', '.join(sorted(factors)) or 'none'}")
        if rich is not None:
            expect(self, "rich", rich, (None, shape[1]))
        expected = self.checked_shapes(named)
        if set(expected) != set(named):
            raise HmdcError(f"{self.name} has factors {self._names(expected)}, not {self._names(named)}")
        for name, wanted in expected.items():
            expect(self, name, named[name], wanted)
        terms = self.terms({name: named[name] for name in expected})
        dims = {a: s for cores in terms for c in cores for a, s in zip(c.labels, c.array.shape) if a}
        made = tuple(prod(s for a, s in dims.items() if a[0] == kind) for kind in "mn")
        lower = (shape[0] - (0 if rich is None else len(rich)), shape[1])
        if not all(a <= b < 2 * a for a, b in zip(lower, made)):
            raise HmdcError(f"{self.name}: factors {self._names(expected)} make {made[0]}x{made[1]}, "
                            f"not {lower[0]}x{lower[1]} or a little more")  # fmt: skip
        return self.build({name: named[name] for name in expected}, shape, rich)

    def _names(self, names) -> str:
        return ", ".join(f"{self.prefix}.{k}" for k in names)

    def form(self, m):
        _, inner, _ = split(m)
        first = inner.maps[0] if isinstance(inner, Sum) else inner
        terms = self.terms(dict(first.cores))
        dims = {a: s for c in terms[0] for a, s in zip(c.labels, c.array.shape) if a}
        m_, n_ = ("x".join(str(s) for a, s in sorted(dims.items()) if a[0] == kind) for kind in "mn")
        rank = max([s for a, s in dims.items() if a[0] not in "mn"], default=1)
        return f"m {m_}, n {n_}, rank {rank}"
