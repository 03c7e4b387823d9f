"""Float Program -> integer Program.  Knows kernels and ranges; knows no structure and no cell."""

from dataclasses import dataclass, field, replace
from math import gcd

import numpy as np

from .errors import HmdcError
from .intmath import limits, significant
from .kernels import Kernel, Quantizer, Rescale
from .kernels.base import Rounding
from .program import Env, Program
from .simulate import simulate

SAMPLES = 1 << 15  # values kept per buffer to weigh clipping against resolution
ROOM = 1.0625  # for outputs beyond those of the calibration: costs half a decibel at most, saturation costs several


@dataclass
class Range:
    """Values that a buffer took: extremes, and an evenly spaced part of them."""

    lo: float = 0.0
    hi: float = 0.0
    values: list[np.ndarray] = field(default_factory=list)

    def see(self, a: np.ndarray, keep: int) -> None:
        self.lo, self.hi = min(self.lo, float(a.min())), max(self.hi, float(a.max()))
        if keep:
            flat, step = a.ravel(), max(1, a.size // keep)
            while gcd(step, flat.size) > 1:  # a common divisor would see some channels only
                step += 1
            self.values.append(flat[::step].astype(np.float32))

    def merge(self, other: "Range") -> None:
        self.lo, self.hi = min(self.lo, other.lo), max(self.hi, other.hi)
        self.values = self.values + other.values

    @property
    def peak(self) -> float:
        return max(-self.lo, self.hi)


def observe(program: Program, inputs: dict[str, np.ndarray]) -> dict[str, Range]:
    """Run the float program on calibration data (see simulate); return what each buffer took."""
    ranges = {g.name: Range() for b in program.buffers.values() for g in b.grids()}
    visits: dict[str, int] = {}
    for function in program.functions:
        runs = program.steps if function == "frame" else 1
        for call, times in program.times(function):
            for v in call.writes():
                visits[v.buf] = visits.get(v.buf, 0) + times * runs

    def watch(call: Kernel, env: Env) -> None:
        for v in call.writes():
            (grid,) = program.buffers[v.buf].grids(v)
            ranges[grid.name].see(env.view(v), SAMPLES // visits[v.buf] if grid.fmt.clip else 0)

    for port in program.inputs:
        if port.name in inputs:
            ranges[port.buf].see(inputs[port.name], SAMPLES)
    simulate(program, inputs, watch=watch)
    return ranges


Scales = dict[str, tuple[float, int]]  # buffer or part of one -> (real value of one step, zero point)


def quantize(program: Program, scales: Scales, rounding: Rounding | None = None) -> Program:
    """The integer program with the same functions; weights take the nearest integers unless there is a rounding.

    Raises HmdcError if a sum cannot be kept within int32.
    """
    q = _announced(program, scales, rounding)
    if coarser := _coarser(program, scales, q):
        q = _announced(program, scales | coarser, rounding)
    functions = {
        name: [b.map(lambda call: call.quantize(q)) for b in blocks] for name, blocks in program.functions.items()
    }
    return replace(program, buffers=q.buffers, functions=functions)


def _announced(program: Program, scales: Scales, rounding: Rounding | None) -> Quantizer:
    with_scale = lambda g: replace(g, scale=scales[g.name][0], zero=scales[g.name][1])
    buffers = {n: replace(b, scale=1.0, parts=tuple(map(with_scale, b.parts))) if b.parts else with_scale(b)
               for n, b in program.buffers.items()}  # fmt: skip
    q = Quantizer(program, buffers, rounding)
    for call in program.calls():
        call.announce(q)
    return q


def _coarser(program: Program, scales: Scales, q: Quantizer) -> Scales:
    """Other scales for 16-bit buffers that are much finer than the sums which go there: those bits say nothing."""
    excess = {}
    for call in program.calls():
        if bits := call.excess(q):
            (grid,) = program.buffers[call.y.buf].grids(call.y)
            excess[grid.name] = max(bits, excess.get(grid.name, 0))
    formats, found = {g.name: g.fmt for b in program.buffers.values() for g in b.grids()}, {}
    for group in _groups(program) if excess else ():
        if all(formats[n].scale is None and formats[n].bits > 8 for n in group):
            factor = 2.0 ** max(excess.get(n, 0) for n in group)
            found |= {n: (scales[n][0] * factor, scales[n][1]) for n in group if factor > 1}
    return found


def scales(program: Program, ranges: dict[str, Range]) -> Scales:
    """The scale and zero point of every buffer; buffers that kernels tie together share them."""
    ranges = _spread(program, ranges)
    grids = {g.name: g for b in program.buffers.values() for g in b.grids()}
    found = {}
    for group in _groups(program):
        members = [grids[n] for n in group]
        total = Range()
        for b in members:
            if b.bits < 32:  # sums follow the grid of their group, they do not decide it
                total.merge(ranges.get(b.name, Range()))
        narrow = [b.fmt for b in members if b.bits < 32] or [members[0].fmt]
        fmt = next((f for f in narrow if f.scale), None) or min(narrow, key=lambda f: f.bits)
        fmt = replace(fmt, symmetric=any(f.symmetric for f in narrow))  # who asks for no zero point counts on it
        scale, zero = choose(fmt, total)
        for b in members:
            found[b.name] = (scale, zero if b.bits < 32 else 0)
    return {name: found[name] for name in grids}


def _groups(program: Program) -> list[list[str]]:
    """Connected components of what has a scale, under Kernel.ties."""
    group = {g.name: [g.name] for b in program.buffers.values() for g in b.grids()}
    for call in program.calls():
        for views in call.ties():
            a, b = (program.buffers[v.buf].grids(v)[0].name for v in views)
            if group[a] is not group[b]:
                joined = group[a] + group[b]
                group |= dict.fromkeys(joined, joined)
    return list({id(g): g for g in group.values()}.values())


def _spread(program: Program, ranges: dict[str, Range]) -> dict[str, Range]:
    """States that callers set or get have the range of the buffers they are moved from and to."""
    ranges = dict(ranges)
    for name in program.functions:
        if name.startswith(("set_", "get_")):
            moves = [c for c in program.calls(name) if isinstance(c, Rescale)]
            for call in moves + moves[::-1]:
                total = Range()
                ends = [program.buffers[v.buf].grids(v)[0].name for v in (call.x, call.y)]
                for name in ends:
                    total.merge(ranges[name])
                ranges |= dict.fromkeys(ends, total)
    return ranges


def choose(fmt, seen: Range) -> tuple[float, int]:
    """Scale and zero point of a buffer of format `fmt` that took the values `seen`."""
    if fmt.scale is not None:
        return fmt.scale, fmt.zero
    if not np.isfinite(seen.peak):
        raise HmdcError("the calibration data drive the network to infinity or NaN; check the data and the weights")
    if seen.peak == 0:  # a ReLU that never fired: any scale is right, a tiny one would ask for huge ratios
        seen = Range(-1.0, 1.0)
    if fmt.power_of_two:
        exponent = np.ceil(np.log2(max(seen.peak * fmt.headroom, 1e-30) / 2 ** (fmt.bits - 1)))
        return max(float(2.0**exponent), fmt.least), 0
    if fmt.bits > 8:
        return float(significant(max(seen.peak * fmt.headroom, 1e-6) / limits(fmt.bits)[1])), 0
    room = 1.0 if fmt.clip else ROOM
    lo, hi = (-seen.peak * room, seen.peak * room) if fmt.symmetric else (seen.lo * room, seen.hi * room)
    if hi - lo < 1e-6:
        hi = lo + 1e-6
    candidates = [
        _grid(fmt, lo * c, hi * c) for c in ((1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5) if fmt.clip else (1.0,))
    ]
    if len(candidates) == 1 or not seen.values:
        return candidates[0]
    values = np.concatenate(seen.values)
    return min(candidates, key=lambda g: _error(values, fmt.bits, *g))


def _grid(fmt, lo: float, hi: float) -> tuple[float, int]:
    """The grid that covers lo..hi; zero is always on it."""
    q_lo, q_hi = limits(fmt.bits)
    if fmt.symmetric:
        return float(significant(hi / q_hi)), 0
    scale = float(significant((hi - lo) / (q_hi - q_lo)))
    return scale, int(np.clip(np.floor(q_lo - lo / scale + 0.5), q_lo, q_hi))


def _error(values: np.ndarray, bits: int, scale: float, zero: int) -> float:
    """Mean cubed error of rounding to that grid: what is cut off errs one way, it does not average out."""
    q = np.clip(np.floor(values / scale + 0.5) + zero, *limits(bits))
    return float(np.mean(np.abs((q - zero) * scale - values) ** 3))
