"""A Program: named buffers and straight lines of kernel calls.  Everything after lowering sees only this."""

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np


@dataclass(frozen=True)
class Format:
    """What the integers of a buffer may look like; the quantizer fills in what calibration has to tell.

    bits: 8, 16 or 32.  scale: fixed real value of one step, None = calibrated.  zero: fixed zero point.
    symmetric: zero point 0.  clip: outliers may be cut off when that lowers the error.  power_of_two: the scale is
    rounded up to one.
    least: smallest scale.  headroom: room for values beyond those of the calibration (16 bits only).
    token: whether the values are indices, int32 in every precision.
    flexible: a name, if 8 bits are enough where they cost no accuracy; buffers of one name are decided together.
    """

    bits: int = 8
    scale: float | None = None
    zero: int = 0
    symmetric: bool = True
    clip: bool = False
    power_of_two: bool = False
    least: float = 0.0
    headroom: float = 1.25
    flexible: str = ""
    token: bool = False


GATE = Format(16, scale=2.0**-12)  # pre-activations of saturating functions: +-8
WIDE = Format(16)
TOKEN = Format(32, scale=1.0, token=True)
SUM = Format(32)  # partial sums on the grid of the buffer they are added into
CARRY = Format(16, power_of_two=True, least=2.0**-15, headroom=1.0)  # hidden state that is blended, not recomputed
CELL = Format(16, power_of_two=True, least=2.0**-12)  # LSTM cell state: the input of its tanh is a plain left shift


@dataclass(frozen=True)
class Buffer:
    """size elements; real value = (integer - zero) * scale once `scale` is set.

    parts: pieces one after the other, each with a scale of its own; `fmt` then tells the element type only.
    """

    name: str
    size: int
    fmt: Format
    role: str = "temp"  # temp | state | input | output
    scale: float | None = None
    zero: int = 0
    parts: tuple["Buffer", ...] = ()

    def grids(self, v: "View | None" = None) -> list["Buffer"]:
        """What has a scale: the buffer itself, or its parts, those only that v (one piece of memory) touches."""
        if not self.parts:
            return [self]
        ends = np.cumsum([p.size for p in self.parts])
        lo, hi = (0, self.size) if v is None else (v.offset, v.offset + v.size)
        return [p for p, end in zip(self.parts, ends) if end - p.size < hi and lo < end]

    @property
    def bits(self) -> int:
        return self.fmt.bits

    def quantize(self, real: np.ndarray) -> np.ndarray:
        lo, hi = -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return np.clip(np.floor(real / self.scale + 0.5) + self.zero, lo, hi).astype(np.int64)

    def dequantize(self, integers: np.ndarray) -> np.ndarray:
        return (integers.astype(np.float64) - self.zero) * self.scale


def frame_name(stage: int) -> str:
    """The function of a time step at that rate."""
    return f"frame{stage or ''}"


def chained(rates: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    """(first, every) of the last of them, in calls of what comes before the first."""
    first = every = 1
    for f, e in rates:
        first, every = first + (f - 1) * every, every * e
    return first, every


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


@dataclass(frozen=True)
class View:
    """A strided window on a buffer, in elements.

    It moves by `advance` per iteration of its block, by `outer` per iteration of the block around that one.
    """

    buf: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    advance: int = 0
    outer: int = 0

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def contiguous(self) -> bool:
        return all(n == 1 or s == m for n, s, m in zip(self.shape, self.strides, row_major(self.shape)))

    def reshape(self, *shape: int) -> "View":
        """The same elements in the same order; only for a contiguous view."""
        if not self.contiguous or prod(shape) != self.size:
            raise ValueError(f"cannot see {self} as {shape}")
        return replace(self, shape=shape, strides=row_major(shape))

    def transpose(self, perm) -> "View":
        return replace(self, shape=tuple(self.shape[a] for a in perm), strides=tuple(self.strides[a] for a in perm))

    def slice(self, axis: int, start: int, stop: int, step: int = 1) -> "View":
        index = range(start, stop, step)
        shape, strides = list(self.shape), list(self.strides)
        offset = self.offset + start * strides[axis]
        shape[axis], strides[axis] = len(index), step * strides[axis]
        return replace(self, offset=offset, shape=tuple(shape), strides=tuple(strides))

    def step(self, axis: int, reverse: bool) -> "View":
        """Walk along `axis`, one index per iteration of the block.  A view that walks already does so around it."""
        return replace(self.walk(axis, 0, 1, reverse), outer=self.advance)

    def walk(self, axis: int, first: int, n: int, reverse: bool) -> "View":
        """n indices at a time, starting behind the `first` ones; reverse: from the end, still in ascending order."""
        total, move = self.shape[axis], n * self.strides[axis]
        start = total - first - n if reverse else first
        return replace(self.slice(axis, start, start + n), advance=-move if reverse else move)


# part of a block that depends on a length n -> its iterations, from and up to, as (multiples of repeat, of n)
PARTS = {"first": ((0, 0), (0, 1)), "behind": ((0, 1), (1, 0)), "last": ((1, -1), (1, 0)), "before": ((0, 0), (1, -1))}


@dataclass
class Block:
    """Kernel calls run `repeat` times; among them may be blocks of calls, which hold no further blocks.

    length: a buffer of one int32, n; only a part of the iterations runs: the first n, the last n, those behind the
    first or before the last.  n is limited to 0..repeat.
    """

    calls: list = field(default_factory=list)
    repeat: int = 1
    length: str = ""
    part: str = "first"

    def iterations(self, n: int) -> range:
        """Those that run when the length is n."""
        n = min(max(n, 0), self.repeat)
        return range(*(r * self.repeat + k * n for r, k in PARTS[self.part])) if self.length else range(self.repeat)

    def walk(self, outer: int = 1) -> Iterator[tuple]:
        """(call, repeat of its block, repeat of the block around that one), in order."""
        for c in self.calls:
            yield from c.walk(self.repeat) if isinstance(c, Block) else [(c, self.repeat, outer)]

    def map(self, f: Callable) -> "Block":
        """f: call -> the calls in its place."""
        return replace(self, calls=[d for c in self.calls for d in ([c.map(f)] if isinstance(c, Block) else f(c))])


@dataclass(frozen=True)
class Port:
    """One argument of the generated functions: an ONNX input or output.

    shape: as in the model.  frame: elements per call of step.  time: the axis that is time, None = the whole value.
    kind: stream (a parameter of step and run) or state (kws_set_NAME / kws_get_NAME).
    """

    name: str
    buf: str
    shape: tuple[int, ...]
    frame: int
    time: int | None = None
    kind: str = "stream"

    @property
    def frames(self) -> int:
        """How many of them a sequence has."""
        return 1 if self.time is None else self.shape[self.time]


@dataclass
class Program:
    """functions: reset, frame* + tail (a network that streams) or run (one that does not), set_* and get_*.

    One time step is `frame`.  What a convolution with a stride leaves over goes on in `frame1`, and so on: rates has
    (first, every) for each, in calls of the one before.  `tail` turns what the last of them left into the outputs, once
    in `period` calls.  entries: what the C offers, step and run.  steps: calls of `frame` in a sequence.
    """

    buffers: dict[str, Buffer] = field(default_factory=dict)
    functions: dict[str, list[Block]] = field(default_factory=dict)
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    steps: int = 1
    rates: tuple[tuple[int, int], ...] = ()
    period: int = 1
    precision: str = "int8"
    entries: tuple[str, ...] = ("run",)

    @property
    def streams(self) -> bool:
        return "frame" in self.functions

    @property
    def frames(self) -> dict[str, int]:
        """frame, frame1... -> how often a sequence calls it."""
        calls = [self.steps]
        for first, every in self.rates:
            calls.append(1 + (calls[-1] - first) // every)
        return {frame_name(i): n for i, n in enumerate(calls)}

    @property
    def runs(self) -> dict[str, int]:
        """Function -> how often a sequence calls it."""
        return self.frames | {"tail": 1} if self.streams else {"run": 1}

    @property
    def written(self) -> tuple[int, int]:
        """Calls of step until the outputs are written first, and from one time to the next."""
        return chained((*self.rates, (self.period, self.period)))

    def calls(self, *names: str) -> Iterator:
        for name in names or self.functions:
            for block in self.functions[name]:
                yield from (call for call, *_ in block.walk())

    def times(self, function: str) -> Iterator[tuple]:
        """(call, how often it runs whenever the function does)"""
        for block in self.functions[function]:
            yield from ((call, repeat * outer) for call, repeat, outer in block.walk())

    def lengths(self) -> dict[str, int]:
        """Inputs that tell how many steps there are -> the most."""
        return {b.length: b.repeat for blocks in self.functions.values() for b in blocks if b.length}

    def ports(self) -> list[Port]:
        return self.inputs + self.outputs


class Env:
    """Memory of a simulation: buffer name -> array [samples, size], real numbers or integers."""

    def __init__(self, program: Program, samples: int, integer: bool):
        dtype = np.int64 if integer else np.float64
        self.arrays = {b.name: np.zeros((samples, b.size), dtype) for b in program.buffers.values()}
        self.iteration = self.outer = 0

    def view(self, v: View) -> np.ndarray:
        """[samples, *v.shape], writable."""
        a = self.arrays[v.buf]
        at = v.offset + v.advance * self.iteration + v.outer * self.outer
        if v.contiguous:
            return a[:, at : at + v.size].reshape(len(a), *v.shape)
        item = a.itemsize
        return np.lib.stride_tricks.as_strided(
            a[:, at:], (len(a), *v.shape), (a.strides[0], *(s * item for s in v.strides)), writeable=True
        )

    def put(self, v: View, value: np.ndarray) -> None:
        self.view(v)[...] = value.reshape(len(value), *v.shape)

    def run(self, blocks: list[Block], watch=None) -> None:
        """watch(call, env) sees every call after it ran."""
        for block in blocks:
            self._block(block, watch, 0)
        self.iteration = self.outer = 0

    def _block(self, block: Block, watch, outer: int, length: int | None = None) -> None:
        if block.length and length is None:
            return self._by_length(block, watch)
        for i in block.iterations(length or 0):
            for call in block.calls:
                if isinstance(call, Block):
                    self._block(call, watch, i)
                    continue
                self.iteration, self.outer = i, outer
                call.run(self)
                if watch:
                    watch(call, self)

    def _by_length(self, block: Block, watch) -> None:
        """Samples of one length at a time."""
        lengths = self.arrays[block.length][:, 0]
        for n in np.unique(lengths):
            some = copy(self)
            some.arrays = {name: a[lengths == n] for name, a in self.arrays.items()}
            some._block(block, watch, 0, int(n))
            for name, a in some.arrays.items():
                self.arrays[name][lengths == n] = a
