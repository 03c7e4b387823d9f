"""How many time steps read the input weights together (--time-block), within the RAM that there is."""

from collections.abc import Callable

from .errors import HmdcError
from .place import place
from .program import Program
from .render import state_bytes
from .report import reuse

AUTO = "auto"
MOST = 8  # steps that auto tries: no kernel shares a read among more vectors, and what it shares among divides some


def parse(block: int | str | None, mode: str) -> int | str | None:
    """The option as compile takes it.  Raises HmdcError where it makes no sense."""
    if block is None or block == AUTO:
        n = block
    elif isinstance(block, bool) or not str(block).isdecimal() or int(block) < 1:
        raise HmdcError(f"--time-block {block}: give a number of time steps from 1 on, or auto")
    else:
        n = int(block)
    if n is not None and mode != "sequence":
        raise HmdcError(f"--time-block {n} needs whole sequences, not --mode {mode}: add --mode sequence")
    return n


def choose(
    fitted: Callable[[int | None], Program], block: int | str | None, steps: int, budget: int | None
) -> int | None:
    """The size of a block.  fitted: size -> program of the target.  auto: few reads of weights, then few steps.

    Raises HmdcError where the state struct takes more than `budget` bytes.
    """
    if block != AUTO:
        block = block and min(block, steps)
        if budget is not None and (ram := ram_bytes(fitted(block))) > budget:
            raise HmdcError(f"--ram-budget {budget}: the network takes {ram} bytes{_way_out(block)}")
        return block
    programs = {n: fitted(n) for n in range(1, min(steps, MOST) + 1)}
    fits = [n for n, p in programs.items() if budget is None or ram_bytes(p) <= budget]
    if not fits:
        least = min(map(ram_bytes, programs.values()))
        raise HmdcError(f"--ram-budget {budget}: even one step at a time takes {least} bytes; raise the budget")
    return min(fits, key=lambda n: (reuse(programs[n])["read_bytes"], n))


def ram_bytes(program: Program) -> int:
    return state_bytes(program, place(program))


def _way_out(block: int | None) -> str:
    if block is None:
        return "; raise the budget"
    if block == 1:
        return " even with one step at a time; raise the budget"
    return f" with time blocks of {block} steps; use --time-block {AUTO}, or raise the budget"
