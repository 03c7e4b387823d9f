"""Tensor networks as chains: cores with labelled axes, contracted with the input in the cheapest order.

The input is seen as a tensor with axes ("n", 0), ("n", 1), ..., the output with ("m", 0), ("m", 1), ...; every other
label is a bond between two cores.  Applying a core sums over the axes that it shares with the state and puts its
other axes in their place, which is one Dense(w, p, q) where the shared axes are neighbors; an Exchange brings them
together where they are not.  MACs depend only on which cores were applied before, scratch and exchanges also on the
order of the axes: an A* search over both gives the least MACs, then the least scratch, then the least moving.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush
from itertools import count, permutations
from math import prod

import numpy as np

from .maps import Chain, Dense, Exchange

PER_ROW = 64  # columns from which a scale per row is worth its 4 bytes
LARGEST = 1 << 28  # entries of an intermediate result

Label = tuple[str, int]
Labels = tuple[Label, ...]


@dataclass(frozen=True)
class Network(Chain):
    """A chain that remembers the cores that it was contracted from, and their names."""

    cores: tuple[tuple[str, np.ndarray], ...] = ()


@dataclass(frozen=True)
class Core:
    """labels: of the axes of array; None for an axis of size 1 that is only a convention."""

    name: str
    array: np.ndarray
    labels: tuple[Label | None, ...]

    def bare(self) -> tuple[np.ndarray, Labels]:
        """Without axes that have no label."""
        kept = tuple(0 if a is None else slice(None) for a in self.labels)
        return self.array[kept], tuple(a for a in self.labels if a is not None)


@dataclass(frozen=True)
class Apply:
    """Core `core` onto axes at `p` (product of the sizes before) and `q` (after); inputs, outputs: labels in order."""

    core: int
    inputs: Labels
    outputs: Labels
    p: int
    q: int


def factor(w: np.ndarray, p: int = 1, q: int = 1) -> Dense:
    """A factor of a chain: small ones share one scale."""
    return Dense(w, p, q, per_row=w.shape[1] >= PER_ROW)


def contract(cores: Sequence[Core]) -> Network:
    """The cheapest chain for a network of one term."""
    arrays, labels = zip(*(c.bare() for c in cores))
    maps = []
    for step in plan(labels, tuple(a.shape for a in arrays)):
        if isinstance(step, Apply):
            axes = [labels[step.core].index(a) for a in (*step.outputs, *step.inputs)]
            w = arrays[step.core].transpose(axes)
            maps.append(factor(w.reshape(prod(w.shape[: len(step.outputs)]), -1), step.p, step.q))
        else:
            maps.append(Exchange(*step))
    return Network(tuple(reversed(maps)), tuple((c.name, c.array) for c in cores))


def reconstruct(terms: Sequence[Sequence[Core]]) -> np.ndarray:
    """The sum of networks as a tensor [m0, m1, ..., n0, n1, ...]."""
    total = 0.0
    for cores in terms:
        ids: dict[Label, int] = {}
        operands = []
        for array, labels in (c.bare() for c in cores):
            operands += [array, [ids.setdefault(a, len(ids)) for a in labels]]
        out = sorted(a for a in ids if a[0] in "mn")
        total = total + np.einsum(*operands, [ids[a] for a in out], optimize=("greedy", LARGEST))
    return total


def order_cost(cores: Sequence[Core], choose=min) -> int:
    """MACs of the best order of contraction, or of the worst (choose=max)."""
    arrays, labels = zip(*(c.bare() for c in cores))
    return _Search(labels, tuple(a.shape for a in arrays)).to_go(frozenset(range(len(cores))), choose)


@lru_cache(maxsize=512)
def plan(labels: tuple[Labels, ...], shapes: tuple[tuple[int, ...], ...]) -> tuple:
    """Steps, first one first: Apply, or the (p, a, b, q) of an Exchange."""
    search = _Search(labels, shapes)
    start = (frozenset(range(len(labels))), search.inputs)
    heap, tie, seen = [(search.to_go(start[0], min), 0, 0, 0, 0, start, ())], count(1), set()
    while heap:
        _, scratch, moved, _, macs, (left, layout), steps = heappop(heap)
        if not left:
            return steps
        if (left, layout) in seen:
            continue
        seen.add((left, layout))
        for core in search.ready(left, layout):
            for more, peak, shift, then in search.moves(left, layout, core):
                done = left - {core}
                cost = macs + search.step_macs(left, core)
                if done or then == search.outputs:
                    key = (cost + search.to_go(done, min), max(scratch, peak), moved + shift, next(tie), cost)
                    heappush(heap, (*key, (done, then), (*steps, *more)))
    raise AssertionError("a network without an order of contraction")


class _Search:
    def __init__(self, labels: tuple[Labels, ...], shapes: tuple[tuple[int, ...], ...]):
        self.labels = labels
        self.dims = {a: s for ls, ss in zip(labels, shapes) for a, s in zip(ls, ss)}
        self.inputs = tuple(sorted(a for a in self.dims if a[0] == "n"))
        self.outputs = tuple(sorted(a for a in self.dims if a[0] == "m"))
        self.axes_of: dict[frozenset, frozenset] = {}
        self.best: dict[tuple, int] = {}

    def size(self, axes) -> int:
        return prod(self.dims[a] for a in axes)

    def axes(self, left: frozenset) -> frozenset:
        """Of the state once all but the cores `left` are applied."""
        if left not in self.axes_of:
            axes = set(self.inputs)
            for i, labels in enumerate(self.labels):
                if i not in left:
                    axes ^= set(labels)
            self.axes_of[left] = frozenset(axes)
        return self.axes_of[left]

    def step_macs(self, left: frozenset, core: int) -> int:
        return self.size(self.axes(left) | set(self.labels[core]))

    def ready(self, left: frozenset, state) -> list[int]:
        """Cores that share an axis with the state."""
        return [i for i in sorted(left) if set(self.labels[i]) & set(state)]

    def to_go(self, left: frozenset, choose) -> int:
        """MACs of the remaining cores in the best (choose=min) or worst (max) order."""
        if not left:
            return 0
        if (left, choose) not in self.best:
            ready = self.ready(left, self.axes(left))
            self.best[left, choose] = choose(self.step_macs(left, i) + self.to_go(left - {i}, choose) for i in ready)
        return self.best[left, choose]

    def moves(self, left: frozenset, layout: Labels, core: int):
        """(steps, peak of scratch, entries moved, layout after) of every way to apply a core."""
        labels = self.labels[core]
        shared = [a for a in layout if a in labels]
        fixed = [a for a in shared if a[0] == "n"]
        temporary = left != frozenset(range(len(self.labels)))
        size = self.size(layout)
        for anchor in fixed[:1] or shared:
            at, swaps = self._gather(layout, shared, anchor)
            where = min(at.index(a) for a in shared)
            inputs = tuple(at[where : where + len(shared)])
            before, after = at[:where], at[where + len(shared) :]
            for outputs in permutations(a for a in labels if a not in shared):
                then = (*before, *outputs, *after)
                ms = [a for a in then if a[0] == "m"]
                if ms != sorted(ms):
                    continue
                step = Apply(core, inputs, outputs, self.size(before), self.size(after))
                peak = size * (temporary or bool(swaps)) + self.size(then) * (len(left) > 1)
                if swaps:
                    peak = max(peak, size * (1 + (temporary or len(swaps) > 1)))
                yield (*swaps, step), peak, size * len(swaps), then

    def _gather(self, layout: Labels, shared: list[Label], anchor: Label) -> tuple[list[Label], list[tuple]]:
        """Move shared axes next to the anchor; the exchanges that do it."""
        at, swaps = list(layout), []
        block = [anchor]
        here = layout.index(anchor)
        right = [a for a in shared if layout.index(a) > here]
        left = [a for a in reversed(shared) if layout.index(a) < here]
        for axis in right:
            lo, hi = at.index(block[-1]) + 1, at.index(axis)
            self._exchange(at, lo, hi, hi + 1, swaps)
            block.append(axis)
        for axis in left:
            lo, hi = at.index(axis), at.index(block[0])
            self._exchange(at, lo, lo + 1, hi, swaps)
            block.insert(0, axis)
        return at, swaps

    def _exchange(self, at: list[Label], lo: int, mid: int, hi: int, swaps: list[tuple]) -> None:
        """Exchange at[lo:mid] and at[mid:hi]."""
        p, a, b, q = (self.size(part) for part in (at[:lo], at[lo:mid], at[mid:hi], at[hi:]))
        at[lo:hi] = at[mid:hi] + at[lo:mid]
        if a > 1 and b > 1:
            swaps.append((p, a, b, q))
