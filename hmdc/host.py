"""Run the generated C in this process, through gcc and cffi."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import cffi
import numpy as np

from .errors import HmdcError
from .program import Buffer, Port, Program

FLAGS = ("-std=c99", "-O2", "-shared", "-fPIC")


def compile_shared(source: Path, folder: Path, flags=FLAGS) -> Path:
    """gcc -> shared library.  Raises HmdcError with gcc's first complaint."""
    gcc = shutil.which("gcc")
    if gcc is None:
        raise HmdcError("gcc is not installed: on Debian/Ubuntu, apt-get install gcc libc6-dev")
    library = folder / f"{source.stem}.so"
    done = subprocess.run([gcc, *flags, "-o", library, source, "-lm"], capture_output=True, text=True)
    if done.returncode:
        lines = (
            [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or ["no message"]
        )
        raise HmdcError(f"gcc cannot compile {source.name}: {lines[0]}")
    return library


class Host:
    """The entries of one compiled network as Python calls.  Arrays are as in simulate."""

    def __init__(self, program: Program, source: Path, ram_bytes: int, more: str = ""):
        """more: declarations of further functions in `source`, to be called through `lib`."""
        self.program, self.prefix = program, source.stem
        self._folder = tempfile.TemporaryDirectory(prefix="hmdc-host-")
        self._ffi = cffi.FFI()
        self._ffi.cdef(self._declarations() + more)
        library = compile_shared(source, Path(self._folder.name))
        try:
            self.lib = self._ffi.dlopen(str(library))
        except OSError as e:
            reason = str(e).split(f"{library}: ")[-1].split(". ")[0]
            raise HmdcError(f"{source.name} cannot be loaded: {reason}; run hmdc compile again") from e
        self._state = self._ffi.new("int32_t[]", -(-ram_bytes // 4))
        self._names = c_names(program, source.stem)

    def _declarations(self) -> str:
        p, names = self.prefix, c_names(self.program, self.prefix)
        pointers = "".join(", void *" for q in self.program.ports() if q.kind == "stream")
        lines = [f"void {p}_reset(void *);"]
        lines += [f"int {p}_step(void *{pointers});"] * ("step" in self.program.entries)
        lines += [f"void {p}_run(void *{pointers});"] * ("run" in self.program.entries)
        for direction, ports in (("set", self.program.inputs), ("get", self.program.outputs)):
            lines += [f"void {p}_{direction}_{names[q.buf]}(void *, void *);" for q in ports if q.kind == "state"]
        return "\n".join(lines)

    def _call(self, entry: str, *arrays: np.ndarray) -> int | None:
        pointers = [self._ffi.cast("void *", a.ctypes.data) for a in arrays]
        function = getattr(self.lib, f"{self.prefix}_{entry}", None)
        if function is None:
            raise HmdcError(f"{self.prefix}.c has no function {self.prefix}_{entry}; run hmdc compile again")
        return function(self._state, *pointers)

    def reset(self, states: dict[str, np.ndarray]) -> None:
        self._call("reset")
        for port in self.program.inputs:
            if port.kind == "state":
                self._call(f"set_{self._names[port.buf]}", states[port.name])

    def sample(self, entry: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One sequence from reset, through one entry.  inputs: without the samples axis, C-contiguous."""
        self.reset(inputs)
        stream = [p for p in self.program.inputs if p.kind == "stream"]
        outputs = [p for p in self.program.outputs if p.kind == "stream"]
        out = self._run(stream, outputs, inputs) if entry == "run" else self._steps(stream, outputs, inputs)
        for port in self.program.outputs:
            if port.kind == "state":
                out[port.name] = np.zeros(port.frame, element(self.program, self.program.buffers[port.buf]))
                self._call(f"get_{self._names[port.buf]}", out[port.name])
        return out

    def _run(self, stream: list[Port], outputs: list[Port], inputs) -> dict[str, np.ndarray]:
        shape = lambda p: p.frame if p.time is None else (p.frames, p.frame)
        out = {p.name: np.zeros(shape(p), element(self.program, self.program.buffers[p.buf])) for p in outputs}
        self._call("run", *(inputs[p.name] for p in stream), *out.values())
        return out

    def _steps(self, stream: list[Port], outputs: list[Port], inputs) -> dict[str, np.ndarray]:
        found: dict[str, list[np.ndarray]] = {p.name: [] for p in outputs}
        for t in range(self.program.steps):
            frames = {p.name: np.zeros(p.frame, element(self.program, self.program.buffers[p.buf])) for p in outputs}
            now = [inputs[p.name] if p.time is None else np.ascontiguousarray(inputs[p.name][t]) for p in stream]
            wrote = self._call("step", *now, *frames.values())
            for p in outputs:
                if wrote:
                    found[p.name].append(frames[p.name])
        return {name: np.stack(f) if f else np.zeros((0, 0)) for name, f in found.items()}


def element(program: Program, buffer: Buffer) -> str:
    """numpy type of one element of a buffer in C."""
    return "float32" if program.precision == "float32" and not buffer.fmt.token else f"int{buffer.bits}"


def c_names(program: Program, prefix: str) -> dict[str, str]:
    """Buffer of a port -> its C identifier."""
    from .names import Namespace

    names = Namespace(prefix)
    return {p.buf: names[p.buf] for p in program.ports()}


def run_host(
    program: Program, source: Path, ram_bytes: int, inputs: dict[str, np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    """entry -> output -> array [samples, ...] as simulate gives them."""
    host = Host(program, source, ram_bytes)
    typed = complete(program, inputs)
    samples = len(next(iter(typed.values())))
    results = {}
    for entry in program.entries:
        rows = [host.sample(entry, {k: a[i] for k, a in typed.items()}) for i in range(samples)]
        results[entry] = {k: np.stack([r[k] for r in rows]) for k in rows[0]}
    return results


def complete(program: Program, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every input in the element type of the C; states that are absent are zeros."""
    samples, out = len(next(iter(inputs.values()))), {}
    for p in program.inputs:
        zero = np.full((samples, p.frame), program.buffers[p.buf].zero)
        out[p.name] = np.ascontiguousarray(inputs.get(p.name, zero), element(program, program.buffers[p.buf]))
    return out
