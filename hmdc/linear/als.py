"""Fitting a tensor by a sum of networks: alternating least squares, with Gauss-Newton steps where that is small.

The tensor T[s_1, ..., s_d] is approximated by terms of cores; a core has at most one axis ("s", k), its other axes are
bonds.  The sum is linear in each core, and in all cores of a group at once when they share the same axis of T.
T is first compressed to what the ranks can tell apart (HOSVD, exact for a tensor of that form), all starts are tried on
the small tensor, the best is refined on the whole one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .base import svd
from .network import LARGEST

SEED = 20260
EXACT = 1e-10  # relative error that needs no improvement
GOOD = 1e-7  # relative error of a start that ends the search
RESTARTED = 1 << 28  # entries x parameters^2 up to which starts are tried on the whole tensor too
FILLS = 40  # rounds of filling what the mask leaves free
SWEEPS, REFINING = 12, 40  # of a start, and of the best one
STALLED, CRAWLING = 1e-5, 1e-3  # relative gain of a sweep, of a step, at which they end
NEWTON = 60  # Gauss-Newton steps of a start
STEP_WORK, START_WORK, WORK = 1 << 22, 1 << 32, 1 << 34  # multiply-adds: of a step at least, of a start, a search
POOR, POOR_WORK = 0.3, 1 << 28  # relative error of a tensor that has another form: it is worth less work

Arrays = dict[str, np.ndarray]
Terms = Sequence[Sequence[tuple[str, tuple]]]  # (name, labels) of the cores of each term


@dataclass(frozen=True)
class Form:
    """terms: the networks.  groups: names of cores that are solved for together."""

    terms: Terms
    groups: Sequence[Sequence[str]]

    def labels(self) -> dict[str, tuple]:
        return {name: labels for term in self.terms for name, labels in term}

    def value(self, cores: Arrays) -> np.ndarray:
        """[s_1, ..., s_d]."""
        return sum(self._einsum(cores, term, ()) for term in self.terms)

    def around(self, cores: Arrays, name: str) -> np.ndarray:
        """What multiplies a core: [the other axes of T, the bonds of the core]."""
        term = next(t for t in self.terms if any(n == name for n, _ in t))
        labels = dict(term)[name]
        rest = [(n, ls) for n, ls in term if n != name]
        return self._einsum(cores, rest, tuple(a for a in labels if a[0] != "s"))

    def _einsum(self, cores, term, bonds) -> np.ndarray:
        ids: dict = {}
        operands = []
        for name, labels in term:
            operands += [cores[name], [ids.setdefault(a, len(ids)) for a in labels]]
        out = [*sorted(a for a in ids if a[0] == "s"), *bonds]
        return np.einsum(*operands, [ids[a] for a in out], optimize=("greedy", LARGEST))


class Problem:
    """T, the entries of it that count (None: all), the form, and the work spent on it so far and at most."""

    def __init__(self, t: np.ndarray, form: Form, mask: np.ndarray | None):
        self.t = t if mask is None else np.where(mask, t, 0.0)
        self.form, self.mask, self.spent, self.limit = form, mask, 0, START_WORK
        self.norm = np.linalg.norm(self.t)

    def residual(self, cores: Arrays) -> np.ndarray:
        rest = self.t - self.form.value(cores)
        return rest if self.mask is None else rest * self.mask

    def error(self, cores: Arrays) -> float:
        return float(np.linalg.norm(self.residual(cores)))

    def hopeless(self, error: float) -> bool:
        """Whether another start is not worth it when the best had this error."""
        return self.spent > (POOR_WORK if error > POOR * self.norm else WORK)


def fit(
    t: np.ndarray, form: Form, ranks: Sequence[int], first: Callable[[np.ndarray], Arrays], starts: int, mask=None
) -> Arrays:
    """ranks: of T seen from each axis, at most.  first(small tensor): a start; the others are random, seeded.

    mask: the entries of T that count.  The rest is zero in the small tensor, and free when that fit is refined.
    """
    small, bases = _compress(t, ranks)
    best = _search(Problem(small, form, None), first(small), starts)
    best = _project(form, best, bases)
    whole = Problem(t, form, mask)
    if mask is not None:
        best = _filled(whole, best, ranks)
    best = sweeps(whole, best, REFINING)
    if mask is None or whole.error(best) <= GOOD * whole.norm:
        return best
    best = newton(whole, best)
    if whole.error(best) <= GOOD * whole.norm or t.size * sum(a.size for a in best.values()) ** 2 > RESTARTED:
        return best
    return min(best, _search(whole, best, starts), key=whole.error)


def refine(t: np.ndarray, mask: np.ndarray, form: Form, start: Arrays, starts: int) -> Arrays:
    """A better fit to the entries that count than this start, which should be near."""
    whole = Problem(t, form, mask)
    best = newton(whole, sweeps(whole, start, SWEEPS))
    if whole.error(best) <= GOOD * whole.norm or t.size * sum(a.size for a in best.values()) ** 2 > RESTARTED:
        return best
    return min(best, _search(whole, best, starts), key=whole.error)


def _compress(t: np.ndarray, ranks: Sequence[int]) -> tuple[np.ndarray, list[np.ndarray]]:
    """HOSVD: (small tensor, a basis [s, rank] for each axis)."""
    bases = [svd(np.moveaxis(t, k, 0).reshape(t.shape[k], -1))[0][:, :r] for k, r in enumerate(ranks)]
    for k, basis in enumerate(bases):
        t = np.moveaxis(np.tensordot(basis, t, (0, k)), 0, k)
    return t, bases


def _filled(whole: Problem, best: Arrays, ranks: Sequence[int]) -> Arrays:
    """Rounds of filling the free entries with the fit and fitting the small tensor again."""
    error = whole.error(best)
    for _ in range(FILLS):
        small, bases = _compress(np.where(whole.mask, whole.t, whole.form.value(best)), ranks)
        problem = Problem(small, whole.form, None)
        start = _project(whole.form, best, [b.T for b in bases])
        trial = _project(whole.form, newton(problem, start), bases)
        before, error = error, whole.error(trial)
        if error < before:
            best = trial
        if error <= EXACT * whole.norm or error > 0.9 * before:
            break
    return best


def _search(problem: Problem, start: Arrays, starts: int) -> Arrays:
    """The best of the start and of random ones like it, each improved."""
    rng = np.random.default_rng(SEED)
    best, errors = start, []
    for attempt in range(starts):
        if attempt:
            start = {k: rng.standard_normal(a.shape) * np.sqrt(np.mean(a**2)) for k, a in start.items()}
        problem.limit = problem.spent + START_WORK
        cores = newton(problem, sweeps(problem, start, SWEEPS))
        errors.append(problem.error(cores))
        if errors[-1] == min(errors):
            best = cores
        if min(errors) <= GOOD * problem.norm or problem.hopeless(min(errors)):
            break
    return best


def _project(form: Form, cores: Arrays, bases: Sequence[np.ndarray]) -> Arrays:
    """Multiply the axes ("s", k) of all cores by bases[k]: from the small tensor to the whole one, or back."""
    labels, out = form.labels(), {}
    for name, core in cores.items():
        axis = _axis(labels[name])
        out[name] = core
        if axis is not None:
            out[name] = np.moveaxis(np.tensordot(bases[labels[name][axis][1]], core, (1, axis)), 0, axis)
    return out


def _axis(labels: tuple) -> int | None:
    """Which axis of a core is one of T."""
    return next((i for i, a in enumerate(labels) if a[0] == "s"), None)


def sweeps(problem: Problem, cores: Arrays, most: int) -> Arrays:
    """Alternating least squares over the groups."""
    cores, error = dict(cores), problem.error(cores)
    for _ in range(most):
        if error <= EXACT * problem.norm or problem.spent > problem.limit:
            break
        if most_work(problem, cores) > START_WORK:
            break
        trial = dict(cores)
        for group in problem.form.groups:
            trial |= _solve(problem, trial, group)
        before, error = error, problem.error(trial)
        if error < before:
            cores = trial
        if before - error < STALLED * error:
            break
    return cores


def most_work(problem: Problem, cores: Arrays) -> int:
    """Multiply-adds of the largest least squares problem of a sweep."""
    labels, work = problem.form.labels(), []
    for group in problem.form.groups:
        axis = _axis(labels[group[0]])
        s = 1 if axis is None else cores[group[0]].shape[axis]
        bonds = sum(cores[g].size for g in group) // s
        work.append(problem.t.size // s * bonds * (bonds + s) * (1 if problem.mask is None else s))
    return max(work)


def _solve(problem: Problem, cores: Arrays, group: Sequence[str]) -> Arrays:
    """Cores of a group, all others given: one least squares problem, or one for each index of a masked axis."""
    labels = [problem.form.labels()[g] for g in group]
    axes = [_axis(ls) for ls in labels]
    shapes = [[s for i, s in enumerate(cores[g].shape) if i != axis] for g, axis in zip(group, axes)]
    bonds = [int(np.prod(shape)) for shape in shapes]
    left = np.hstack([problem.form.around(cores, g).reshape(-1, b) for g, b in zip(group, bonds)])
    mode = None if axes[0] is None else labels[0][axes[0]][1]
    right, mask = (_unfold(a, mode) for a in (problem.t, problem.mask))
    problem.spent += STEP_WORK + left.size * (left.shape[1] + right.shape[1])
    if mask is None:
        solved = np.linalg.lstsq(left, right, rcond=None)[0]  # [bonds of all, s]
    else:
        columns = [np.linalg.lstsq(left[k], r[k], rcond=None)[0] for r, k in zip(right.T, mask.T)]
        solved = np.stack(columns, axis=1)
    parts = np.split(solved, np.cumsum(bonds)[:-1])
    return {
        g: part.reshape(shape) if axis is None else np.moveaxis(part.T.reshape(-1, *shape), 0, axis)
        for g, axis, part, shape in zip(group, axes, parts, shapes)
    }


def _unfold(t: np.ndarray | None, mode: int | None) -> np.ndarray | None:
    """[the other axes, axis mode]."""
    if t is None:
        return None
    return t.reshape(-1, 1) if mode is None else np.moveaxis(t, mode, -1).reshape(-1, t.shape[mode])


def newton(problem: Problem, cores: Arrays) -> Arrays:
    """Levenberg-Marquardt steps, where they are affordable: quick where alternating crawls."""
    count = sum(a.size for a in cores.values())
    residual = problem.residual(cores).ravel()
    error, damping = residual @ residual, 1e-3
    for _ in range(NEWTON):
        problem.spent += STEP_WORK + residual.size * count**2
        if error <= (EXACT * problem.norm) ** 2 or problem.spent > problem.limit:
            break
        j = _jacobian(problem.form, cores, problem.t.shape)
        if problem.mask is not None:
            j *= problem.mask.reshape(-1, 1)
        normal, slope = j.T @ j, j.T @ residual
        scale = np.trace(normal) / count
        before = error
        for _ in range(8):
            trial = _moved(cores, np.linalg.solve(normal + damping * scale * np.eye(count), slope))
            rest = problem.residual(trial).ravel()
            if rest @ rest < error:
                cores, residual, error, damping = trial, rest, rest @ rest, max(damping / 8, 1e-14)
                break
            damping *= 8
        if before - error <= CRAWLING * error:
            break
    return cores


def _moved(cores: Arrays, step: np.ndarray) -> Arrays:
    out, at = {}, 0
    for name, a in cores.items():
        out[name] = a + step[at : at + a.size].reshape(a.shape)
        at += a.size
    return out


def _jacobian(form: Form, cores: Arrays, shape) -> np.ndarray:
    """[entries of T, entries of all cores]."""
    labels, columns = form.labels(), []
    for name, core in cores.items():
        around = form.around(cores, name)
        axis = _axis(labels[name])
        if axis is None:
            columns.append(around.reshape(-1, core.size))
            continue
        mode, s = labels[name][axis][1], core.shape[axis]
        d = len(shape)
        block = np.zeros((*shape, s, *around.shape[d - 1 :]))
        for i in range(s):
            block[(slice(None),) * mode + (i,) + (slice(None),) * (d - 1 - mode) + (i,)] = around
        columns.append(np.moveaxis(block, d, d + axis).reshape(-1, core.size))
    return np.hstack(columns)
