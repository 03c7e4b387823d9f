"""What a network takes on emulated boards: instructions and where they go, cycles, bytes, and the change to earlier."""

import json
import tempfile
from collections import Counter
from pathlib import Path

from . import cycles
from .boards import Origin, disassembly, execute, gcc_version, model_flags, origins, sizes
from .compiler import Build, retarget
from .errors import HmdcError
from .firmware import TIMEOUT, board, build_firmware, main_source
from .program import Program
from .target import fitting

MEASURED_STEPS = 64
TOP_LINES = 15


def measure(build: Build, name: str, breakdown: bool = False, as_built: bool = False) -> dict:
    """bench_board of the network on that board, as C for the board's core.  "target": the one it was generated for.

    The assembly of another instruction set is left out by the preprocessor: the plain C beside it would run, which says
    nothing about the core.  So the network is rendered again where that is the case, unless `as_built`.
    """
    board(name)  # an unknown one is told first
    target = build.report["target"] if as_built else fitting(build.report["target"], name)
    with tempfile.TemporaryDirectory(prefix="hmdc-target-") as scratch:
        if target != build.report["target"]:
            build = retarget(build, target, Path(scratch) / "build")
        return {"target": target, **bench_board(name, build.program, build.source, breakdown)}


def bench_board(name: str, program: Program, source: Path, breakdown: bool = False) -> dict:
    """Figures of one board: executed instructions, estimated cycles, bytes, and how the C was compiled.

    Of the steps measured the one with the most instructions counts; instructions of what the network has not are None.
    "cycles_estimate" is of that step, or of one run where there is no step; None for cores without fixed timings, see
    cycles.  `breakdown` adds where the instructions of that step or run go: by function and by source line, each with
    the sum "instructions".  HmdcError for an unknown board and for missing tools.
    """
    machine = board(name)
    with tempfile.TemporaryDirectory(prefix="hmdc-bench-") as scratch:
        folder = Path(scratch)
        first, _ = program.written
        measured = first if first > 1 else min(program.steps, MEASURED_STEPS)
        main = main_source("bench.c.j2", program, source.stem, measured_steps=measured)
        elf = build_firmware(machine, program, source, main, folder)
        done = execute(machine, elf, folder, histogram=True, timeout=TIMEOUT)
        steps = done.regions[:measured] if "step" in program.entries else []
        run = done.regions[len(steps)] if "run" in program.entries else None
        slowest = done.histograms[steps.index(max(steps)) if steps else 0]
        stack = max(int(line.split()[1], 16) for line in done.text.splitlines() if line.startswith("stack "))
        figures = {
            "core": machine.core, "flags": " ".join(model_flags(machine)), "gcc": gcc_version(),
            "instructions_per_step": max(steps) if steps else None, "instructions_per_sequence": run,
            "cycles_estimate": cycles.estimate(machine.core, disassembly(elf), slowest),
            **{k: v for k, v in sizes(elf).items() if k in ("code_bytes", "const_bytes", "ram_bytes")},
            "stack_bytes": stack,
        }  # fmt: skip
        if breakdown:
            figures["breakdown"] = _breakdown(slowest, origins(elf, slowest), source)
            figures["breakdown"]["entry"] = "step" if steps else "run"
    return figures


def _breakdown(histogram: dict[int, int], places: dict[int, Origin], source: Path) -> dict:
    """Instructions by function and by line.  The rows of each add up to "instructions", those of the call included."""
    functions, lines = Counter(), Counter()
    for address, count in histogram.items():
        origin = places[address]
        function = "(the call)" if origin.part == "harness" else origin.function
        functions[function] += count
        lines[function if origin.line is None else f"{source.name}:{origin.line}"] += count
    total = sum(histogram.values())
    text = source.read_text(encoding="utf-8").splitlines()
    found = [_share("line", line, count, total) | {"text": _text(text, line)} for line, count in lines.most_common()]
    if rest := found[TOP_LINES:]:
        count = sum(row["instructions"] for row in rest)
        found[TOP_LINES:] = [_share("line", f"{len(rest)} more", count, total) | {"text": ""}]
    by_function = [_share("function", name, count, total) for name, count in functions.most_common()]
    return {"instructions": total, "functions": by_function, "lines": found}


def _text(text: list[str], line: str) -> str:
    """What stands there; nothing for a function of which the lines are unknown."""
    _, _, number = line.partition(":")
    return text[int(number) - 1].strip() if number else ""


def _share(key: str, name: str, count: int, total: int) -> dict:
    return {key: name, "instructions": count, "percent": round(100 * count / total, 1)}


def tables(name: str, boards: dict[str, dict], earlier: dict[str, dict] | None = None) -> list[tuple[str, list[dict]]]:
    """What to show: titles and rows of the figures, of the breakdowns and of the change since `earlier`."""
    apart = ("target", "core", "flags", "gcc", "breakdown")  # shown elsewhere: the table should fit 80 columns
    figures = [{"board": place} | {_heading(k): v for k, v in b.items() if k not in apart}
               for place, b in boards.items()]  # fmt: skip
    what = "instructions are exact, cycles an estimate (zero wait states, no stalls)"
    out = [(f"{name}: {what}, the rest are bytes", figures)]
    for place, b in boards.items():
        if found := b.get("breakdown"):
            title = f"{place}: {found['instructions']} instructions of one {found['entry']} by"
            out += [(f"{title} function", found["functions"]), (f"{title} source line", found["lines"])]
    if earlier and (change := compare(earlier, boards)):
        out.append(("change", change))
    return out


def _heading(key: str) -> str:
    return "cycles (estimate)" if key == "cycles_estimate" else key.removesuffix("_bytes").replace("_", " ")


def notes(boards: dict[str, dict], earlier: dict[str, dict] | None = None, built: str | None = None) -> list[str]:
    """What to say below the tables: how the C was compiled, then and now.  built: the target of the build."""
    lines = [f"{name}: {_compiled(b)}" for name, b in boards.items()]
    if others := [name for name, b in boards.items() if built and b["target"] != built]:
        lines.append(f"the build is for {built}: generated again for {', '.join(others)}; "
                     "--as-built measures the files as they are")  # fmt: skip
    for name, b in boards.items() if earlier is not None else ():
        if name not in earlier:
            lines.append(f"{name}: no earlier figures")
        elif _compiled(earlier[name]) != _compiled(b):
            lines.append(f"{name}: earlier figures are of {_compiled(earlier[name])}")
    return lines


def _compiled(figures: dict) -> str:
    target, gcc, flags = (figures.get(key, "unknown") for key in ("target", "gcc", "flags"))
    return f"C for {target}, arm-none-eabi-gcc {gcc} {flags}"


def read_figures(path: Path) -> dict[str, dict]:
    """The boards of an earlier `hmdc bench --json`.  HmdcError when the file is none."""
    try:
        boards = json.loads(path.read_text(encoding="utf-8"))["boards"]
        if all("instructions_per_step" in b.keys() for b in boards.values()):
            return boards
    except OSError as e:
        raise HmdcError(f"--against {path} cannot be read: {e.strerror}") from e
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise HmdcError(f"--against {path} is no file that hmdc bench --json wrote")


def compare(old: dict[str, dict], new: dict[str, dict]) -> list[dict]:
    """Rows of a table: every figure that is a number then and now, of every board in both."""
    return [
        {"board": name, "figure": _heading(key), "old": was, "new": now, "change": _change(was, now)}
        for name, figures in new.items() if name in old
        for key, now in figures.items() if _is_number(now) and _is_number(was := old[name].get(key))
    ]  # fmt: skip


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _change(was: float, now: float) -> str | None:
    """In percent; None from nothing to something."""
    return f"{100 * (now - was) / was:+.1f} %" if was else ("+0.0 %" if not now else None)
