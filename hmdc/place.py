"""Static memory: every temporary gets an offset in one scratch area, by lifetime."""

from dataclasses import dataclass

from .program import Block, Buffer, Program

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
    """temporary -> [(function, first call, last call)]; all of a time step is one function.

    A buffer that crosses the border of a repeated block lives through every iteration of it; what the tail takes over
    lives through the time step where others may come in between.
    """
    uses: dict[str, dict[str, list[int]]] = {}  # temporary -> function -> numbers of the calls that touch it
    loops: dict[str, list[range]] = {}  # function -> numbers of the calls in each of its repeated blocks
    at, steps = dict.fromkeys(program.functions, 0), (*program.frames, "tail")
    for name, blocks in program.functions.items():
        f = "frame" if name in steps else name
        if name == "tail" and program.rates:
            loops.setdefault("frame", []).append(range(at["frame"]))
        for block in blocks:
            loops.setdefault(f, []).extend(_loops(block, at[f]))
            for i, (call, *_) in enumerate(block.walk(), at[f]):
                at[f] = i + 1
                for v in call.reads() + call.writes():
                    if program.buffers[v.buf].role == "temp":
                        uses.setdefault(v.buf, {}).setdefault(f, []).append(i)
    return {b: [(f, *_life(numbers, loops[f])) for f, numbers in by.items()] for b, by in uses.items()}


def _loops(block: Block, first: int) -> list[range]:
    """The calls of the block and of those in it, numbered from `first`, where they are repeated."""
    found, at = [], first
    for c in block.calls:
        n = len(list(c.walk())) if isinstance(c, Block) else 1
        found += _loops(c, at) if isinstance(c, Block) else []
        at += n
    return found + ([range(first, at)] if block.repeat > 1 else [])


def _life(numbers: list[int], loops: list[range]) -> tuple[int, int]:
    crossed = [loop for loop in loops if 0 < sum(i in loop for i in numbers) < len(numbers)]
    return min([*numbers, *(loop[0] for loop in crossed)]), max([*numbers, *(loop[-1] for loop in crossed)])
