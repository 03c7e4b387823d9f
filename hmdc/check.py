"""Postconditions of lowering and quantization.  A violation is a bug of ours, not of the user's model."""

from .kernels import Copy, Rescale
from .program import Program, View


def check(program: Program) -> Program:
    """Return the program unchanged; raise AssertionError unless every call may run."""
    names = [c.name for c in program.calls()]
    assert len(names) == len(set(names)), "two calls share a name"
    stages = [*program.frames, "tail"]
    for function, blocks in program.functions.items():
        written = {b.name for b in program.buffers.values() if b.role in ("input", "state")}
        if function in stages:
            before = stages[: stages.index(function)]
            written |= {v.buf for c in (program.calls(*before) if before else ()) for v in c.writes()}
        for block in blocks:
            for call, *repeats in block.walk():
                for v in call.reads() + call.writes():
                    _inside(program, call.name, v, *repeats)
                    assert v.contiguous or isinstance(call, (Copy, Rescale)), f"{call.name} walks one piece of memory"
                for v in call.reads():
                    assert v.buf in written, f"{call.name} reads {v.buf} before anything is written there"
                written |= {v.buf for v in call.writes()}
    return program


def _inside(program: Program, name: str, v: View, repeat: int, outer: int) -> None:
    size = program.buffers[v.buf].size
    ends = [v.offset + v.advance * i + v.outer * j for i in (0, repeat - 1) for j in (0, outer - 1)]
    reach = [(n - 1) * s for n, s in zip(v.shape, v.strides)]
    low, high = min(ends) + sum(r for r in reach if r < 0), max(ends) + sum(r for r in reach if r > 0)
    assert 0 <= low and high < size, f"{name} leaves {v.buf} ({size} elements)"
