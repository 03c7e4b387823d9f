"""Kronecker products, W = A_1 (x) A_2 (x) ... (KP: Thakker et al., arXiv 1906.02876).

A_k [m_k, n_k]: sum(m_k n_k) parameters.  Two factors: y = B X A^T on x as a matrix, m1 n1 m2 + n1 m2 n2 or
m1 n1 n2 + m1 m2 n2 MACs, whichever order is cheaper.  Van Loan and Pitsianis (1993): |W - A (x) B| is the distance of
a rearranged W [m1 n1, m2 n2] from vec(A) vec(B)^T, so an SVD gives the best; more factors are a rank-1 tensor, by
alternating least squares from nested SVDs.  Weighted by M = E[x x^T]: alternating least squares as well.
"""

from collections.abc import Iterator
from math import prod

import numpy as np

from ..errors import HmdcError
from .base import Options, solve_normal, split, whole_number
from .modes import Modes
from .network import Core, order_cost
from .shapes import PAD, balanced, near_divisors, ordered, smooth

SWEEPS = 200  # of alternating least squares
SETTLED = 1e-11  # relative change of the product at which it ends
SMALLEST_PRIME, LOPSIDED = 5, 32  # smaller primes are not padded; factors further apart are
Pairs = tuple[tuple[int, int], ...]


def awkward(size: int) -> bool:
    """Primes have no factors to offer, and numbers like 334 = 167 * 2 hardly any."""
    large, small = balanced(size, 2)
    return size >= SMALLEST_PRIME and (small == 1 or large > LOPSIDED * small)


class Kronecker(Modes):
    """left: shape of the first factor.  factors: how many.  shapes: of all factors, more than W means padding.

    Without left and shapes both dimensions are split into their most balanced divisors, larger row divisors with
    smaller column divisors.  rich: upper rows that stay dense.
    """

    name = "kronecker"
    prefix = "kron"
    weighted = True
    near = 2.0  # padding costs time: only where no exact split is within this factor

    def decompose(self, w, *, moment=None, left=None, factors: int = 2, shapes=None, rich: int = 0):
        rich = whole_number(self, "rich", rich, 0, w.shape[0] - 1, f"for {w.shape[0]} rows")
        pairs = self.pairs((w.shape[0] - rich, w.shape[1]), left, factors, shapes)
        if left is None and shapes is None and rich == 0:
            rich, pairs = self.default(w.shape, whole_number(self, "factors", factors, 2))
        return self.fit_pairs(w, pairs, rich, moment)

    def fit_pairs(self, w, pairs: Pairs, rich: int, moment):
        m, n = zip(*pairs)

        def solve(full):
            factors = nested(full, m, n)
            if len(pairs) > 2 or moment is not None:
                factors = alternate(full, m, n, factors, _pad(moment, full.shape[1]))
            return {str(k): a for k, a in enumerate(factors)}

        return self.fit(w, m, n, rich, solve)

    def pairs(self, shape, left=None, factors: int = 2, shapes=None) -> Pairs:
        """The shapes of all factors for a matrix without its rich rows."""
        if shapes is not None:
            return self._given(shape, left, shapes)
        factors = whole_number(self, "factors", factors, 2, 6)
        if left is None:
            return self.default(shape, factors, rich=False)[1]
        self.check_left(left)
        for given, size in zip(left, shape):
            if size % given:
                near = ", ".join(map(str, near_divisors(size, given)))
                raise HmdcError(f"{self.name}(left={tuple(left)}): {given} does not divide {size}; "
                                f"divisors near {given}: {near}")  # fmt: skip
        rest = [balanced(size // given, factors - 1) for given, size in zip(left, shape)]
        return (tuple(int(v) for v in left), *zip(rest[0], rest[1][::-1]))

    def check_left(self, left) -> None:
        good = isinstance(left, (tuple, list)) and len(left) == 2
        if not good or not all(isinstance(v, (int, np.integer)) and v > 0 for v in left):
            raise HmdcError(f"{self.name}(left={left!r}): must be (rows, columns) of the left factor")

    def _given(self, shape, left, shapes) -> Pairs:
        try:
            m, n = zip(*[(int(a), int(b)) for a, b in shapes])
        except (TypeError, ValueError) as e:
            raise HmdcError(f"{self.name}(shapes={shapes!r}): must be a tuple of (rows, columns)") from e
        if left is not None or len(m) < 2 or min(m + n) < 1:
            raise HmdcError(f"{self.name}(shapes={shapes!r}): two or more pairs of positive integers, without left")
        for made, size, what, near in zip(
            (m, n), shape, ("rows", "columns"), (smooth, lambda k, d: smooth(k, d)[::-1])
        ):
            if not size <= prod(made) < 2 * size:
                raise HmdcError(f"{self.name}(shapes={tuple(shapes)}): makes {prod(made)} {what} of {size}; "
                                f"nearest is {near(size, len(made))}")  # fmt: skip
        return tuple(zip(m, n))

    def default(self, shape, factors: int = 2, pad: bool = True, rich: bool = True) -> tuple[int, Pairs]:
        """(rich rows, shapes): the balanced split; for primes padding or rich rows, whichever stores fewer numbers."""
        rows, columns = ([k for k in range(s, s + PAD) if not awkward(k)] if awkward(s) else [s] for s in shape)
        choices = [(0, (a, b)) for a in (rows if pad else shape[:1]) for b in columns]
        if rich and awkward(shape[0]):
            choices += [(r, (shape[0] - r, b)) for r in range(1, min(PAD, shape[0] - 1)) for b in columns]
        split_up = [(r, tuple(zip(balanced(a, factors), balanced(b, factors)[::-1]))) for r, (a, b) in choices]
        return min(split_up, key=lambda c: (c[0] * shape[1] + sum(a * b for a, b in c[1]), c[0]))

    def tiers(self, shape, ratio, left=None, factors: int = 2, shapes=None, rich: int | None = None):
        if left is not None or shapes is not None:
            r = rich or 0
            pairs = self.pairs((shape[0] - r, shape[1]), left, factors, shapes)
            given = {"left": left, "factors": factors} if shapes is None else {"shapes": shapes}
            yield [(given | ({"rich": r} if r else {}), r * shape[1] + sum(a * b for a, b in pairs))]
            return
        factors = whole_number(self, "factors", factors, 2, 4)
        if rich is not None or not any(map(awkward, shape)):
            yield from (self._splits(shape, factors, rich or 0, None, least) for least in (2, 1))
        if rich is None:
            yield from (self._inexact(shape, factors, least) for least in (2, 1))
        yield self._splits(shape, factors, rich or 0)

    def _splits(self, shape, factors, rich, padded=None, least=1) -> Iterator[tuple[Options, int]]:
        """Every way to split both dimensions (of the padded shape), the balanced one first; least: rows, columns."""
        made = padded or (shape[0] - rich, shape[1])
        extra = {"rich": rich} if rich else {}
        preferred = self.pairs(made, factors=factors)
        every = (tuple(zip(m, n)) for m in ordered(made[0], factors) for n in ordered(made[1], factors))
        for pairs in sorted(every, key=lambda p: p != preferred):
            if min(v for pair in pairs for v in pair) >= least:
                plain = factors == 2 and not padded
                options = {"left": pairs[0], **extra} if plain else {"shapes": pairs, **extra}
                yield options, rich * shape[1] + sum(a * b for a, b in pairs)

    def _inexact(self, shape, factors, least) -> Iterator[tuple[Options, int]]:
        """Padded by a few rows and columns, or with a few rich rows; a prime dimension must change."""
        few = PAD if factors == 2 else 3
        rows, columns = (range(1 if awkward(s) else 0, min(few, s - 1) + 1) for s in shape)
        for more in columns:
            for rest in rows:
                yield from self._splits(shape, factors, 0, (shape[0] + rest, shape[1] + more), least)
                if 0 < rest < shape[0]:
                    lower = (shape[0] - rest, shape[1] + more)
                    yield from self._splits(shape, factors, rest, lower if more else None, least)

    def macs(self, shape, options):
        options = dict(options)
        rich = options.pop("rich", 0)
        pairs = self.pairs((shape[0] - rich, shape[1]), **options)
        return rich * shape[1] + order_cost(self.terms({str(k): np.zeros(p) for k, p in enumerate(pairs)})[0])

    def rank_tie(self, shape, options):
        """The balanced split first: of equally large products it has the highest rank."""
        return options.get("left") != self.pairs(shape)[0], self.macs(shape, options)

    def checked_shapes(self, named):
        return {str(k): (None, None) for k in range(max(2, len(named)))}

    def terms(self, named):
        return [[Core(name, a, (("m", int(name)), ("n", int(name)))) for name, a in named.items()]]

    def form(self, m):
        return " (x) ".join("x".join(map(str, a.shape)) for _, a in split(m)[1].cores)

    def order_costs(self, m) -> tuple[int, int]:
        """MACs of the product in the best and in the worst order of its factors, without rich rows."""
        cores = self.terms(dict(split(m)[1].cores))[0]
        return order_cost(cores), order_cost(cores, max)


def kron(factors: list[np.ndarray]) -> np.ndarray:
    out = np.ones((1, 1))
    for a in factors:
        out = np.kron(out, a)
    return out


def nested(w: np.ndarray, m, n) -> list[np.ndarray]:
    """The best first factor against the rest, then the same for the rest."""
    if len(m) == 1:
        return [w]
    m2, n2 = prod(m[1:]), prod(n[1:])
    rearranged = w.reshape(m[0], m2, n[0], n2).transpose(0, 2, 1, 3).reshape(m[0] * n[0], m2 * n2)
    u, s, v = np.linalg.svd(rearranged, full_matrices=False)
    root = np.sqrt(s[0])
    return [root * u[:, 0].reshape(m[0], n[0]), *nested(root * v[0].reshape(m2, n2), m[1:], n[1:])]


def alternate(w, m, n, factors: list[np.ndarray], moment, most: int = SWEEPS) -> list[np.ndarray]:
    """Least squares for one factor after the other; its rows share their normal equations."""
    seen = w if moment is None else w @ moment
    product = kron(factors)
    for _ in range(most):
        for k in range(len(m)):
            rest = kron(factors[:k] + factors[k + 1 :])
            right = np.einsum("aibj,ij->ab", _front(seen, m, n, k), rest)
            if moment is None:
                factors[k] = right / max((rest**2).sum(), np.finfo(float).tiny)
            else:
                weights = np.einsum("iajb,ab->ij", _front(moment, n, n, k), rest.T @ rest)
                factors[k] = solve_normal(weights, right.T).T
        before, product = product, kron(factors)
        if np.linalg.norm(product - before) <= SETTLED * np.linalg.norm(product):
            break
    return factors


def _front(w, m, n, k) -> np.ndarray:
    """[m_k, the other rows, n_k, the other columns]."""
    d = len(m)
    t = np.moveaxis(w.reshape(*m, *n), (k, d + k), (0, d))
    return t.reshape(m[k], prod(m) // m[k], n[k], prod(n) // n[k])


def _pad(moment, n: int):
    """Columns that padding adds see nothing, almost."""
    if moment is None or len(moment) == n:
        return moment
    least = np.diag(moment).min() * 1e-6
    out = np.eye(n) * least
    out[: len(moment), : len(moment)] = moment
    return out
