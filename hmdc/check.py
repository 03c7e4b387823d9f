"""Postconditions of lowering and quantization.  A violation is a bug of ours, not of the user's model."""

from .errors import HmdcError
from .intmath import INT32_MAX
from .kernels import Matmul
from .program import Program, View


def check(program: Program) -> Program:
    """Return the program unchanged; raise AssertionError or HmdcError unless every call may run."""
    names = [c.name for c in program.calls()]
    assert len(names) == len(set(names)), "two calls share a name"
    for function, blocks in program.functions.items():
        written = {b.name for b in program.buffers.values() if b.role in ("input", "state")}
        if function == "tail":
            written |= {v.buf for c in program.calls("frame") for v in c.writes()}
        for block in blocks:
            for call in block.calls:
                for v in call.reads() + call.writes():
                    _inside(program, call.name, v, block.repeat)
                for v in call.reads():
                    assert v.buf in written, f"{call.name} reads {v.buf} before anything is written there"
                written |= {v.buf for v in call.writes()}
    _partial_sums(program)
    return program


def _inside(program: Program, name: str, v: View, repeat: int) -> None:
    size = program.buffers[v.buf].size
    ends = [v.offset + v.advance * i for i in (0, repeat - 1)]
    reach = sum((n - 1) * s for n, s in zip(v.shape, v.strides))
    assert min(ends) >= 0 and max(ends) + reach < size, f"{name} leaves {v.buf} ({size} elements)"


def _partial_sums(program: Program) -> None:
    """Chains of int32 partial sums stay within int32: each term is below 2**30, and terms add up."""
    reach: dict[str, int] = {}
    for call in program.calls():
        if isinstance(call, Matmul) and call.rq is not None:
            total = max_term(call) + (reach.get(call.add.buf, 0) if call.add else 0)
            if total > INT32_MAX:
                raise HmdcError(f"{call.name}: partial sums may reach {total}, beyond int32; use --precision float32")
            reach[call.y.buf] = total


def max_term(call: Matmul) -> int:
    """Largest magnitude that the requantized sum of one call can have: |acc << shift| < 2**31 times mult / 2**32."""
    return (INT32_MAX * int(call.rq.mult.max())) >> 32
