"""Generated C as a process of this machine: strict warnings, sanitizers, and the firmware that also runs on boards."""

import subprocess
from pathlib import Path

import numpy as np

from hmdc import paths
from hmdc.compiler import Build
from hmdc.data import to_integers
from hmdc.firmware import _parse, main_source
from hmdc.host import complete
from hmdc.intmath import limits

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic", "-Werror"]
SANITIZE = ["-O1", "-g", "-fsanitize=undefined,address", "-fno-sanitize-recover=all"]
HOST_C = Path(__file__).with_name("semihost_host.c")


def tool(*command: str | Path, cwd: Path) -> None:
    """Run a compiler or a program; its whole complaint is the failure."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\nstatus {done.returncode}\n{done.stdout}{done.stderr}"


def link(sources: list[Path], include: list[Path], folder: Path, flags=SANITIZE) -> Path:
    """gcc: sources and the host's semihost.h -> folder/firmware."""
    where = [f"-I{p}" for p in (*include, paths.BOARDS / "common")]
    tool("gcc", *STRICT, *flags, *where, *sources, HOST_C, "-lm", "-o", "firmware", cwd=folder)
    return folder / "firmware"


def run_native(build: Build, inputs: dict[str, np.ndarray], folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """entry -> output -> array as simulate gives them, from a sanitized process."""
    program = build.program
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.c").write_text(main_source("firmware.c.j2", program, build.name))
    firmware = link([build.source, folder / "main.c"], [build.path], folder)
    typed = complete(program, inputs)
    n = len(next(iter(typed.values())))
    with (folder / "in.bin").open("wb") as f:
        for i in range(n):
            for p in program.inputs:
                f.write(typed[p.name][i].tobytes())
    tool(firmware, cwd=folder)
    return _parse(program, np.fromfile(folder / "out.bin", np.uint8), n)


def stressed(build: Build, inputs: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What the C may receive: the given samples, the same far out of range, zeros, and every extreme of the type."""
    program = build.program
    if program.precision == "float32":
        floats = to_integers(program, inputs)
        return {k: np.concatenate([a, 3 * a, 0 * a[:1]]) for k, a in floats.items()}
    typical, far = (to_integers(program, {k: c * a for k, a in inputs.items()}) for c in (1, 1000))
    nothing = to_integers(program, {k: 0 * a[:1] for k, a in inputs.items()})
    out = {}
    for p in program.inputs:
        lo, hi = limits(program.buffers[p.buf].bits)
        one = typical[p.name][:1]
        flips = np.where(rng.random((3, *one.shape[1:])) < 0.5, lo, hi)
        noise = rng.integers(lo, hi, (3, *one.shape[1:]), endpoint=True)
        parts = [typical[p.name], far[p.name], nothing[p.name], 0 * one + lo, 0 * one + hi, flips, noise]
        out[p.name] = np.concatenate(parts)
    return out
