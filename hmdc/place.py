"""Static memory: every temporary gets an offset in one scratch area, by lifetime."""

from dataclasses import dataclass

from .program import Buffer, Program

ALIGN = 4


@dataclass(frozen=True)
class Plan:
    """offsets: bytes in the scratch area, per temporary.  scratch: its size.  state: bytes of all states."""

    offsets: dict[str, int]
    scratch: int
    state: int


def nbytes(b: Buffer, element: int | None = None) -> int:
    return b.size * (element or b.bits // 8)


def place(program: Program) -> Plan:
    """Largest first, at the lowest free offset.

    Two buffers may overlap when they never live at the same time and their element types may alias in C: bytes alias
    everything, int16 and int32 do not alias each other.
    """
    element = 4 if program.precision == "float32" else None
    lives = lifetimes(program)
    placed: list[tuple[int, int, str]] = []
    for name in sorted(lives, key=lambda n: (-nbytes(program.buffers[n], element), n)):
        size, at = nbytes(program.buffers[name], element), 0
        for start, end, other in sorted(placed):
            if at + size <= start:
                break
            if _conflict(program, lives, name, other, element):
                at = max(at, -(-end // ALIGN) * ALIGN)
        placed.append((at, at + size, name))
    scratch = max((end for _, end, _ in placed), default=0)
    states = sum(nbytes(b, element) for b in program.buffers.values() if b.role == "state")
    return Plan({name: at for at, _, name in placed}, -(-scratch // ALIGN) * ALIGN, states)


def _conflict(program: Program, lives, a: str, b: str, element: int | None) -> bool:
    bits = {program.buffers[a].bits, program.buffers[b].bits}
    if not element and bits == {16, 32}:
        return True
    return any(f == g and lo <= hi2 and lo2 <= hi for f, lo, hi in lives[a] for g, lo2, hi2 in lives[b])


def lifetimes(program: Program) -> dict[str, list[tuple[str, int, int]]]:
    """temporary -> [(function, first call, last call)]; frame and tail are one function.

    A buffer that crosses the border of a repeated block lives through every iteration of it.
    """
    out: dict[str, dict[str, list[int]]] = {}
    at = dict.fromkeys(program.functions, 0)
    for name, blocks in program.functions.items():
        f = "frame" if name == "tail" else name
        for block in blocks:
            first, last = at[f], at[f] + len(block.calls) - 1
            at[f] = last + 1
            for i, call in enumerate(block.calls, first):
                for v in call.reads() + call.writes():
                    if program.buffers[v.buf].role == "temp":
                        life = out.setdefault(v.buf, {}).setdefault(f, [i, i, first, last, block.repeat])
                        _extend(life, i, first, last, block.repeat)
    return {b: [(f, life[0], life[1]) for f, life in by.items()] for b, by in out.items()}


def _extend(life: list[int], i: int, first: int, last: int, repeat: int) -> None:
    """life: [first call, last call, and the block (first, last, repeat) that touched the buffer most recently]."""
    if first != life[2]:  # another block: everything in between, and the whole of any loop
        if life[4] > 1:
            life[0] = min(life[0], life[2])
        life[1] = max(life[1], last if repeat > 1 else i)
        life[2:] = [first, last, repeat]
    else:
        life[1] = max(life[1], i)
