"""What layers and cells write their kernel calls into while a Model becomes a Program."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod

import numpy as np

from .errors import HmdcError
from .kernels import Copy, Kernel, Load, Rescale
from .linear import Dense
from .program import WIDE, Block, Buffer, Format, Program, View, row_major

LONGEST = 512  # columns whose sums stay within int32 for 16-bit inputs


def _unique(taken, name: str) -> str:
    """name, numbered if it is taken; sets are told."""
    n, free = 1, name
    while free in taken:
        n += 1
        free = f"{name}_{n}"
    if isinstance(taken, set):
        taken.add(free)
    return free


def takes_blocks(maps: dict, layer: str) -> bool:
    """Whether the layer has products of x of its own that can take several steps at once."""
    return f"{layer}.wu" not in maps and maps[f"{layer}.w"].times(2) is not None


class Builder:
    """Emits calls named LAYER.PART into the current block of the current function.  maps: matrix name -> LinearMap."""

    def __init__(self, precision: str, maps: dict, time_block: int = 1):
        self.program = Program(precision=precision)
        self.maps = maps
        self.targets: dict[str, View] = {}  # value -> where it has to be written
        self.outputs: dict[str, str] = {}  # value -> name of the buffer that the caller gives for it
        self.formats: dict[str, Format] = {}  # value -> format, where its consumers ask for one
        self.carried: dict[
            str, View
        ] = {}  # final-state value -> the state itself, which may be wider than what it feeds
        self.states: dict[str, dict[str, View]] = {}  # layer -> its states
        self.shared: set[str] = set()  # values written into a part of a larger buffer
        self.exact = False  # whether moves between equal formats may share one scale to keep every bit
        self.time_block = time_block  # steps whose input products are one product
        self._blocks: list[Block] = []
        self._loop: Block | None = None  # the innermost one that is open
        self._made: list[View] = []  # buffers since same_buffers began, in order
        self._known: Iterator[View] = iter(())  # those to be taken again
        self._calls: set[str] = set()

    @property
    def activation(self) -> Format:
        return Format(8, symmetric=False, clip=True) if self.program.precision == "int8" else WIDE

    @property
    def hidden(self) -> Format:
        """Hidden states as the products read them: no zero point."""
        return self._flexible("hidden")

    @property
    def inner(self) -> Format:
        """Temporaries between the factors of a structured matrix."""
        return self._flexible("inner")

    @property
    def joined(self) -> Format:
        """The buffer [x; h] that a joined matrix reads: two ranges on one grid."""
        return self._flexible("joined")

    def _flexible(self, name: str) -> Format:
        """16 bits, or 8 where widths.choose finds them good enough."""
        return replace(WIDE, clip=True, flexible=name) if self.narrow else WIDE

    @property
    def narrow(self) -> bool:
        """Whether activations have fewer bits than carried states."""
        return self.program.precision == "int8"

    def is_joined(self, layer: str) -> bool:
        """Whether one matrix on [x; h] takes the place of the layer's two."""
        return f"{layer}.wu" in self.maps

    @contextmanager
    def function(self, name: str):
        """Calls emitted inside go to that function of the program."""
        outer = self._blocks, self._loop
        self._blocks, self._loop = self.program.functions.setdefault(name, []), None
        yield
        self._blocks, self._loop = outer

    @contextmanager
    def loop(self, repeat: int, length: str = "", part: str = "first"):
        """Calls emitted inside run `repeat` times; the views given to them advance.  Loops may hold loops.

        length, part: see Block.
        """
        if repeat == 1:
            yield
            return
        around, self._loop = self._loop, Block(repeat=repeat, length=length, part=part)
        (around.calls if around else self._blocks).append(self._loop)
        yield
        self._loop = around
        if not around:
            self._blocks.append(Block())

    def emit(self, call: Kernel) -> None:
        if not self._blocks:
            self._blocks.append(Block())
        block = self._loop or self._blocks[-1]
        block.calls.append(replace(call, name=_unique(self._calls, call.name)))

    @contextmanager
    def same_buffers(self, made: list[View]):
        """The same calls again, in the same buffers: `made` takes those of the first time, and gives them later."""
        self._made, self._known = made, iter([*made])
        yield
        self._made, self._known = [], iter(())

    def buffer(self, name: str, shape: tuple[int, ...], fmt: Format, role: str = "temp",
               parts: dict[str, tuple[int, Format]] | None = None) -> View:  # fmt: skip
        """parts: name -> (elements, format) of pieces that keep a scale each."""
        if again := next(self._known, None):
            return replace(again, shape=shape, strides=row_major(shape))
        name = _unique(self.program.buffers, name)
        pieces = tuple(Buffer(f"{name}/{k}", n, f, role) for k, (n, f) in (parts or {}).items())
        self.program.buffers[name] = Buffer(name, prod(shape), fmt, role, parts=pieces)
        self._made.append(v := View(name, 0, tuple(shape), row_major(tuple(shape))))
        return v

    def fmt(self, v: View) -> Format:
        """Of the values that v shows; they lie in one part of their buffer."""
        return self.program.buffers[v.buf].grids(v)[0].fmt

    def state(self, name: str, initial: np.ndarray | None, n: int, fmt: Format) -> View:
        """A buffer of n values that lives between calls; reset loads `initial` (None = zeros)."""
        v = self.buffer(name, (n,), fmt, "state")
        self.initial(name, v, initial)
        return v

    def initial(self, name: str, v: View, values: np.ndarray | None) -> None:
        """What reset loads into a state (None = zeros)."""
        with self.function("reset"):
            self.emit(Load(f"{name}.initial", v, np.zeros(v.size) if values is None else values.reshape(v.size)))

    def output(self, value: str, shape: tuple[int, ...], name: str, fmt: Format | None = None) -> View:
        """Where a layer writes its result: a new buffer, which is the caller's if the value is a graph output."""
        if value in self.targets:
            return self.targets[value]
        fmt = fmt or self.formats.get(value) or self.activation
        if value not in self.outputs:
            return self.buffer(name, shape, fmt)
        v = self.buffer(self.outputs[value], shape, replace(self.activation_of(fmt), clip=False), "output")
        self.targets[value] = v
        return v

    def wide(self, name: str, x: View) -> View:
        """x in at least 16 bits, whatever widths.choose makes of it."""
        if self.fmt(x).bits > 8 and not self.fmt(x).flexible:
            return x
        y = self.buffer(name, x.shape, WIDE)
        self.move(name, x, y)
        return y

    def joint(self, layer: str, name: str, x: View, n: int, role: str = "temp") -> tuple[View, View, View]:
        """A buffer [x; h] for the layer's joined matrix, and its two parts: with a scale each where the matrix can."""
        n_x = x.shape[-1]
        parts = {"x": (n_x, self.fmt(x)), "h": (n, self.hidden)} if self.maps[f"{layer}.wu"].mixes else None
        xh = self.buffer(f"{layer}.{name}", (n_x + n,), self.hidden if parts else self.joined, role, parts)
        return xh, xh.slice(0, 0, n_x), xh.slice(0, n_x, n_x + n)

    def join(self, name: str, x: View, part: View) -> None:
        """part = x, the first part of a buffer made by `joint`."""
        if self.program.buffers[part.buf].parts:
            self.emit(Rescale(name, x, part, same=True))
        else:
            self.move(name, x, part)

    def groups(self, layer: str, steps: int) -> list[tuple[int, int, int]]:
        """(first step, blocks, steps of each) along time.  The steps of a block share one product of x."""
        n = min(self.time_block, steps) if takes_blocks(self.maps, layer) else 1
        blocks = steps // n
        return [(0, blocks, n)] + ([(blocks * n, 1, steps % n)] if steps % n else [])

    def continued(self, layer: str) -> str:
        """How U h takes over the sums of W x: `start` where its accumulators can go on from them, else `add`."""
        w, u = (self.maps[f"{layer}.{k}"] for k in "wu")
        plain = all(isinstance(m, Dense) and m.p == m.q == 1 for m in (w, u))
        fits = w.shape[1] + u.shape[1] <= LONGEST and self.program.precision != "float32"
        return "start" if plain and fits and u.w.any() else "add"

    def product(self, matrix: str, x: View, y: View, rows: tuple[int, int] | None = None, part: str = "",
                p: int = 1, q: int = 1, **end) -> None:  # fmt: skip
        """y = maps[matrix] @ x, on the middle axis of x[p, k, q].

        rows: only these.  part: name of the call where one matrix takes part in several.  end: see LinearMap.lower.
        """
        m = self.maps[matrix]
        m = m.rows(*rows) if rows else m
        name = f"{matrix.split('.')[0]}.{part}" if part else matrix
        if (p, q) == (1, 1):
            m.lower(self, name, x, y, **end)
        elif isinstance(m, Dense):
            replace(m, p=p, q=q).lower(self, name, x, y, **end)
        elif q == 1:
            with self.loop(p):
                x, y = (v.reshape(p, v.size // p).step(0, False) for v in (x, y))
                m.lower(self, name, x.reshape(x.size), y.reshape(y.size), **end)
        else:
            raise HmdcError(f"{matrix} multiplies an inner axis; only a dense matrix does that")

    def activation_of(self, fmt: Format) -> Format:
        """The format of a graph output that copies a value of format `fmt`."""
        return fmt if fmt.bits == self.activation.bits else replace(self.activation, clip=False)

    def move(self, name: str, x: View, y: View) -> None:
        """y = x, each buffer keeping its own scale."""
        formats = [replace(self.fmt(v), clip=False) for v in (x, y)]
        self.emit(Copy(name, x, y) if self.exact and formats[0] == formats[1] else Rescale(name, x, y))

    def contiguous(self, name: str, x: View) -> View:
        """x itself, or a copy of it that is one piece of memory."""
        if x.contiguous:
            return x
        y = self.buffer(name, x.shape, self.fmt(x))
        self.emit(Copy(name, x, y))
        return y
