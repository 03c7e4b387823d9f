"""Fitting a tensor by a sum of networks: alternating least squares, with Gauss-Newton steps where that is small.

The tensor T[s_1, ..., s_d] is approximated by terms of cores; a core has at most one axis ("s", k), its other axes are
bonds.  The sum is linear in each core, and in all cores of a group at once when they share the same axis of T.
T is first compressed to what the ranks can tell apart (HOSVD, exact for a tensor of that form), all starts are tried on
the small tensor, the best is refined on the whole one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .modes import svd

SEED = 20260
EXACT = 1e-10  # relative error that needs no improvement
SWEEPS, REFINING = 12, 40  # of a start, and of the best one
STALLED = 1e-5  # relative gain of a sweep
NEWTON = 60  # Gauss-Newton steps of a start
NEWTON_WORK = 1 << 28  # entries x parameters^2 of such a step
GOOD = 1e-7  # relative error of a start that ends the search

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
        return np.einsum(*operands, [ids[a] for a in out], optimize="greedy")


def fit(t: np.ndarray, form: Form, ranks: Sequence[int], first: Callable[[np.ndarray], Arrays], starts: int) -> Arrays:
    """ranks: of T seen from each axis, at most.  first(small tensor): a start; the others are random, seeded."""
    bases = [svd(np.moveaxis(t, k, 0).reshape(t.shape[k], -1))[0][:, :r] for k, r in enumerate(ranks)]
    small = t
    for k, basis in enumerate(bases):
        small = np.moveaxis(np.tensordot(basis, small, (0, k)), 0, k)
    rng = np.random.default_rng(SEED)
    start = first(small)
    best, least, norm = start, np.inf, np.linalg.norm(small)
    for attempt in range(starts):
        if attempt:
            start = {k: rng.standard_normal(a.shape) * np.sqrt(np.mean(a**2)) for k, a in start.items()}
        cores = newton(small, form, sweeps(small, form, start, SWEEPS))
        error = np.linalg.norm(form.value(cores) - small)
        if error < least:
            best, least = cores, error
        if least <= GOOD * norm:
            break
    labels = form.labels()
    whole = {}
    for name, core in best.items():
        axis = next((i for i, a in enumerate(labels[name]) if a[0] == "s"), None)
        whole[name] = core
        if axis is not None:
            whole[name] = np.moveaxis(np.tensordot(bases[labels[name][axis][1]], core, (1, axis)), 0, axis)
    return sweeps(t, form, whole, REFINING)


def sweeps(t: np.ndarray, form: Form, cores: Arrays, most: int) -> Arrays:
    """Alternating least squares over the groups."""
    cores, error, norm = dict(cores), np.linalg.norm(form.value(cores) - t), np.linalg.norm(t)
    for _ in range(most):
        if error <= EXACT * norm:
            break
        for group in form.groups:
            cores |= _solve(t, form, cores, group)
        before, error = error, np.linalg.norm(form.value(cores) - t)
        if before - error < STALLED * error:
            break
    return cores


def _solve(t: np.ndarray, form: Form, cores: Arrays, group: Sequence[str]) -> Arrays:
    labels = form.labels()
    axes = [next((i for i, a in enumerate(labels[g]) if a[0] == "s"), None) for g in group]
    arounds = [form.around(cores, g) for g in group]
    bonds = [int(np.prod([s for i, s in enumerate(cores[g].shape) if i != axis])) for g, axis in zip(group, axes)]
    left = np.hstack([a.reshape(-1, b) for a, b in zip(arounds, bonds)])
    if axes[0] is None:
        right = t.reshape(-1, 1)
    else:
        mode = labels[group[0]][axes[0]][1]
        right = np.moveaxis(t, mode, -1).reshape(-1, t.shape[mode])
    solved = np.linalg.lstsq(left, right, rcond=None)[0]  # [bonds of all, s]
    out = {}
    for g, axis, part in zip(group, axes, np.split(solved, np.cumsum(bonds)[:-1])):
        shape = [s for i, s in enumerate(cores[g].shape) if i != axis]
        out[g] = part.reshape(shape) if axis is None else np.moveaxis(part.T.reshape(-1, *shape), 0, axis)
    return out


def newton(t: np.ndarray, form: Form, cores: Arrays) -> Arrays:
    """Levenberg-Marquardt steps: quick where alternating crawls."""
    count = sum(a.size for a in cores.values())
    if t.size * count**2 > NEWTON_WORK:
        return sweeps(t, form, cores, REFINING)
    residual = (t - form.value(cores)).ravel()
    error, norm, damping = residual @ residual, (t**2).sum(), 1e-3
    for _ in range(NEWTON):
        if error <= EXACT**2 * norm:
            break
        j = _jacobian(form, cores, t.shape)
        normal, slope = j.T @ j, j.T @ residual
        scale = np.trace(normal) / count
        before = error
        for _ in range(8):
            step = np.linalg.solve(normal + damping * scale * np.eye(count), slope)
            trial = _moved(cores, step)
            rest = (t - form.value(trial)).ravel()
            if rest @ rest < error:
                cores, residual, error, damping = trial, rest, rest @ rest, max(damping / 8, 1e-14)
                break
            damping *= 8
        if before - error <= STALLED * error:
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
        axis = next((i for i, a in enumerate(labels[name]) if a[0] == "s"), None)
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
