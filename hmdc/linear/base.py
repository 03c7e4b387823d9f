"""What every structure offers: decompose, size, factors, from_factors, describe; its options are checked here."""

from collections.abc import Iterable
from difflib import get_close_matches
from functools import wraps
from inspect import Parameter, signature
from math import isfinite

import numpy as np

from ..errors import HmdcError
from .maps import Crop, Dense, LinearMap, Rows

RIDGE = 1e-6  # added to a second moment, relative to its mean: inputs that calibration never showed still count a bit
DEAD = 1e-14  # a signal this far below the mean never moved
REGULAR = 1e-6  # smallest to largest pivot of a matrix that is solved directly

Options = dict[str, object]


class Structure:
    """One way to write a matrix with fewer numbers.

    A subclass defines `decompose`, whose keyword-only arguments are what users write in a recipe (they are checked
    before it runs), and the methods below that raise NotImplementedError.  `prefix`: of the names of factors.
    `weighted`: decompose minimizes the output error when given the second moment of the input; others refuse one.
    """

    name: str
    prefix: str
    weighted = False
    near = 1.25  # a size within this factor of the ratio asked for is near enough to look no further

    def __init_subclass__(cls):
        if "decompose" in cls.__dict__:
            cls.decompose = _checked(cls.decompose)

    def decompose(self, w: np.ndarray, *, moment: np.ndarray | None = None) -> LinearMap:
        """w: [m, n].  moment: [n, n], E[x x^T] of the input: minimize the error of the output, not of the matrix."""
        raise NotImplementedError

    def tiers(self, shape: tuple[int, int], ratio: float, **given) -> Iterable[Iterable[tuple[Options, int]]]:
        """Candidates of `size`, (options, parameters), best kind first; a later kind only where none before is near.

        The arguments after ratio are the options that a user may fix beside it.
        """
        raise HmdcError(f"{self.name} cannot be sized by a ratio")

    def factors(self, m: LinearMap) -> dict[str, np.ndarray]:
        """Short names -> arrays, e.g. kron.0, kron.1."""
        raise NotImplementedError

    def from_factors(self, factors: dict[str, np.ndarray], shape: tuple[int, int]) -> LinearMap:
        """The map that has these factors; the inverse of `factors`."""
        raise NotImplementedError

    def form(self, m: LinearMap) -> str:
        """What was chosen, in a few words, e.g. `59x8 (x) 2x16`."""
        return ""

    def options(self) -> dict[str, Parameter]:
        """The keyword arguments that users write."""
        found = signature(self.decompose).parameters
        return {k: v for k, v in found.items() if v.kind is Parameter.KEYWORD_ONLY and k != "moment"}

    def describe(self, m: LinearMap) -> str:
        """For reports: the form, and how awkward dimensions were handled: `padded to 180x256`, `3 rich rows`."""
        rich, inner, padded = split(m)
        notes = [self.form(m)]
        if rich is not None:
            notes.append(f"{len(rich)} rich row{'s' if len(rich) > 1 else ''}")
        if padded:
            notes.append("padded to {}x{}".format(*inner.shape))
        return ", ".join(n for n in notes if n)

    def size(self, shape: tuple[int, int], ratio: float, **given) -> Options:
        """All options that give parameters(dense) / parameters(map) >= ratio, the nearest possible to it.

        given: options that the user fixed.  Raises HmdcError that names the nearest ratios where none is possible.
        """
        self.check_names(given)
        if isinstance(ratio, bool) or not isinstance(ratio, (int, float)) or not isfinite(ratio) or ratio < 1:
            raise HmdcError(f"{self.name}(ratio={ratio!r}): the ratio must be a number of 1 or more")
        taken = signature(self.tiers).parameters
        for option in given if not any(p.kind is Parameter.VAR_KEYWORD for p in taken.values()) else ():
            if option not in taken:
                raise HmdcError(f"{self.name}({option}={given[option]!r}, ratio={ratio:g}): give one of them")
        whole = shape[0] * shape[1]
        fitting, nearest = [], {}
        for tier in self.tiers(shape, ratio, **given):
            tier = list(tier)
            fitting += [c for c in tier if c[1] * ratio <= whole]
            nearest |= {whole / c[1]: c[0] for c in tier}
            if fitting and max(c[1] for c in fitting) * ratio * self.near >= whole:
                break
        if not fitting:
            found = "; ".join(f"{r:.4g} with {_call(o)}" for r, o in sorted(nearest.items())[-2:]) or "none"
            raise HmdcError(f"{self.name}(ratio={ratio:g}): nearest possible for {shape[0]}x{shape[1]}: {found}")
        most = max(c[1] for c in fitting)
        tied = [options for options, parameters in fitting if parameters == most]
        return tied[0] if len(tied) == 1 else min(tied, key=lambda o: self.rank_tie(shape, o))

    def macs(self, shape: tuple[int, int], options: Options) -> int:
        """Multiply-accumulates of the map that these options give."""
        return 0

    def rank_tie(self, shape: tuple[int, int], options: Options) -> tuple:
        """Lowest first: which of equally large candidates `size` takes."""
        return (self.macs(shape, options),)

    def check_names(self, options: Iterable[str]) -> None:
        known = list(self.options())
        for name in options:
            if name not in known:
                near = get_close_matches(str(name), known, 1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known) or 'none'}"
                raise HmdcError(f"{self.name} has no option {name!r}; {hint}")

    def _moment(self, moment: np.ndarray, n: int) -> np.ndarray:
        """The second moment, checked, symmetric and made invertible."""
        if not self.weighted:
            raise HmdcError(f"{self.name} cannot weigh errors by the inputs; leave the weighting out")
        if moment.shape != (n, n) or not np.isfinite(moment).all():
            raise HmdcError(f"{self.name}: the second moment must be {n}x{n} and finite, not {list(moment.shape)}")
        moment = (moment + moment.T) / 2
        mean = np.trace(moment) / n
        return moment + (RIDGE * mean if mean > DEAD else 1.0) * np.eye(n)


def _checked(decompose):
    @wraps(decompose)
    def wrapper(self, w, *, moment=None, **options):
        self.check_names(options)
        for name, parameter in self.options().items():
            if parameter.default is Parameter.empty and name not in options:
                raise HmdcError(f"{self.name} needs {name}=..., or a ratio=... that chooses it")
        w = np.asarray(w, np.float64)
        if w.ndim != 2 or 0 in w.shape or not np.isfinite(w).all():
            raise HmdcError(f"{self.name}: needs a matrix of finite numbers, not an array {list(w.shape)}")
        if moment is not None:
            moment = self._moment(np.asarray(moment, np.float64), w.shape[1])
        return decompose(self, w, moment=moment, **options)

    return wrapper


def _call(options: Options) -> str:
    """As users write it."""
    return ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in options.items()) or "no options"


def roots(moment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """S and its inverse with S S^T = moment: |D S|^2 is the output error of a matrix error D."""
    values, vectors = np.linalg.eigh(moment)
    root = np.sqrt(np.maximum(values, values[-1] * DEAD))
    return vectors * root, (vectors / root).T


def solve_normal(gram: np.ndarray, right: np.ndarray) -> np.ndarray:
    """x of least norm with gram x = right; gram [n, n] is symmetric without negative eigenvalues."""
    try:
        pivots = np.linalg.cholesky(gram).diagonal()
    except np.linalg.LinAlgError:
        pivots = np.zeros(1)
    if pivots.min() > REGULAR * pivots.max():  # far faster than by singular values
        return np.linalg.solve(gram, right)
    return np.linalg.lstsq(gram, right, rcond=None)[0]


def svd(w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thin."""
    return np.linalg.svd(w, full_matrices=False)


def split(m: LinearMap) -> tuple[np.ndarray | None, LinearMap, bool]:
    """(rich rows or None, the structured map below them, whether it was padded)."""
    rich = None
    if isinstance(m, Rows):
        rich, m = m.maps[0].w, m.maps[1]
    return (rich, m.inner, True) if isinstance(m, Crop) else (rich, m, False)


def join(rich: np.ndarray | None, inner: LinearMap, shape: tuple[int, int]) -> LinearMap:
    """The inverse of `split`: rich rows on top of the structured map, which is cropped to fit."""
    lower = (shape[0] - (0 if rich is None else len(rich)), shape[1])
    if inner.shape != lower:
        inner = Crop(inner, lower)
    return inner if rich is None or not len(rich) else Rows((Dense(rich), inner))


def whole_number(structure: Structure, option: str, value, low: int, high: int | None = None, why: str = "") -> int:
    """value, if it is an integer in low..high."""
    bad = isinstance(value, bool) or not isinstance(value, (int, np.integer))
    if bad or value < low or (high is not None and value > high):
        span = f"{low} or more" if high is None else f"{low}..{high}"
        nearest = "" if bad or high is None else f"; nearest is {min(max(value, low), high)}"
        raise HmdcError(f"{structure.name}({option}={value!r}): must be {span}{why and ' ' + why}{nearest}")
    return int(value)


def fraction(structure: Structure, option: str, value, pieces: int) -> int:
    """How many of so many pieces a density means, at least one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise HmdcError(f"{structure.name}({option}={value!r}): must be above 0 and at most 1")
    if round(value * pieces) < 1:
        raise HmdcError(f"{structure.name}({option}={value!r}): keeps nothing of {pieces}; nearest is {1 / pieces:.3g}")
    return round(value * pieces)


def take(structure: Structure, factors: dict[str, np.ndarray], expected: Iterable[str]) -> list[np.ndarray]:
    """The named factors in this order, as float64; every name must be there and no other."""
    names = [f"{structure.prefix}.{name}" for name in expected]
    if set(names) != set(factors):
        raise HmdcError(f"{structure.name} has factors {', '.join(names)}, not {', '.join(sorted(factors)) or 'none'}")
    return [np.asarray(factors[name], np.float64) for name in names]


def expect(structure: Structure, name: str, array: np.ndarray, shape: tuple) -> None:
    """None in shape: any length."""
    if array.ndim != len(shape) or any(s is not None and s != a for s, a in zip(shape, array.shape)):
        wanted = "x".join("?" if s is None else str(s) for s in shape)
        got = "x".join(map(str, array.shape))
        raise HmdcError(f"{structure.prefix}.{name} must be {wanted}, not {got}")
