"""Run the generated C on an emulated board: replay samples.

The firmware reads in.bin (per sample: every input, whole) and writes out.bin (per sample and entry: for each call of
step one byte that says whether the output was written, then every output; for run every output; then the states).
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .boards import Board, build, execute, load_boards
from .errors import HmdcError
from .host import c_names, complete, element
from .program import Port, Program
from .render import environment

TIMEOUT = 900.0  # seconds; about 400 million instructions each without counting


@dataclass(frozen=True)
class Argument:
    """A port in the templates.  size: elements per step; run_size: per sequence."""

    port: Port
    name: str
    ctype: str
    size: int
    run_size: int

    @property
    def state(self) -> bool:
        return self.port.kind == "state"


def board(name: str) -> Board:
    """Raises HmdcError for an unknown name."""
    boards = load_boards()
    if name not in boards:
        raise HmdcError(f"--on {name}: no such board; known are host, {', '.join(boards)}")
    return boards[name]


def _arguments(program: Program, prefix: str, ports: list[Port]) -> list[Argument]:
    names, out = c_names(program, prefix), []
    for p in ports:
        ctype = element(program, program.buffers[p.buf]).replace("float32", "float")
        ctype = ctype if ctype == "float" else f"{ctype}_t"
        out.append(Argument(p, names[p.buf], ctype, p.frame, p.frame * p.frames))
    return out


def main_source(template: str, program: Program, prefix: str, **more) -> str:
    inputs, outputs = _arguments(program, prefix, program.inputs), _arguments(program, prefix, program.outputs)
    step = "".join(f", {a.name}{f' + t * {a.size}' if a.port.time is not None and a in inputs else ''}"
                   for a in inputs + outputs if not a.state)  # fmt: skip
    run = "".join(f", {a.name}" for a in inputs + outputs if not a.state)
    return environment().get_template(template).render(
        prefix=prefix, ports=inputs + outputs, inputs=inputs, outputs=outputs, entries=program.entries,
        n_steps=program.steps, step_arguments=step, run_arguments=run, **more,
    )  # fmt: skip


def build_firmware(machine: Board, program: Program, source: Path, main: str, folder: Path) -> Path:
    (folder / "main.c").write_text(main)
    libs = ("-lm", "-lc_nano") if program.precision == "float32" else ()
    return build(machine, [folder / "main.c"], source, [source.parent], folder, libs=libs)


def run_board(
    name: str, program: Program, source: Path, inputs: dict[str, np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    """entry -> output -> array [samples, ...] as simulate gives them."""
    machine, typed = board(name), complete(program, inputs)
    samples = len(next(iter(typed.values())))
    with tempfile.TemporaryDirectory(prefix="hmdc-board-") as scratch:
        folder = Path(scratch)
        elf = build_firmware(machine, program, source, main_source("firmware.c.j2", program, source.stem), folder)
        with (folder / "in.bin").open("wb") as f:
            for i in range(samples):
                for p in program.inputs:
                    f.write(typed[p.name][i].tobytes())
        execute(machine, elf, folder, timeout=TIMEOUT)
        return _parse(program, np.fromfile(folder / "out.bin", np.uint8), samples)


def _parse(program: Program, blob: np.ndarray, samples: int) -> dict[str, dict[str, np.ndarray]]:
    """out.bin -> arrays."""
    rows = blob.reshape(samples, -1)
    at, results = 0, {}
    stream = [p for p in program.outputs if p.kind == "stream"]
    states = [p for p in program.outputs if p.kind == "state"]

    def take(p: Port, n: int) -> np.ndarray:
        nonlocal at
        dtype = np.dtype(element(program, program.buffers[p.buf]))
        part = np.ascontiguousarray(rows[:, at : at + n * dtype.itemsize]).view(dtype)
        at += n * dtype.itemsize
        return part

    for entry in program.entries:
        out: dict[str, np.ndarray] = {}
        if entry == "step":
            frames: dict[str, list[np.ndarray]] = {p.name: [] for p in stream}
            for _ in range(program.steps):
                wrote = bool(rows[0, at])
                at += 1
                for p in stream:
                    frame = take(p, p.frame)
                    if wrote:
                        frames[p.name].append(frame)
            out = {name: np.stack(f, axis=1) if f else np.zeros((0, 0)) for name, f in frames.items()}
        else:
            for p in stream:
                shape = (samples, -1) if p.time is None else (samples, p.frames, p.frame)
                out[p.name] = take(p, p.frame * p.frames).reshape(shape)
        for p in states:
            out[p.name] = take(p, p.frame)
        results[entry] = out
    return results
