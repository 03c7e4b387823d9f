"""Data files: samples of the model's inputs as .npz or .npy, checked against the model and brought into its order."""

import io
import zipfile
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0, read_magic

from .errors import HmdcError
from .program import Port, Program

MAX_BYTES = 1 << 27  # of one file, uncompressed
MAX_TRAINING = 1 << 30  # of a file to train with
SMALLEST = 4  # bytes of a value; smaller ones count as so many, as all become float64
HEADERS = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0}
LARGEST = float(np.finfo(np.float32).max)


@dataclass
class Data:
    """inputs: name -> float64 [samples, *shape of the model's input].  labels: int64 [...] or None."""

    inputs: dict[str, np.ndarray]
    labels: np.ndarray | None

    @property
    def samples(self) -> int:
        return len(next(iter(self.inputs.values())))

    def first(self, n: int | None) -> "Data":
        return self.pick(slice(n))

    def pick(self, index) -> "Data":
        """The samples that a numpy index names."""
        labels = None if self.labels is None else self.labels[index]
        return Data({k: a[index] for k, a in self.inputs.items()}, labels)


def load(path: Path, shapes: dict[str, tuple[int, ...]], optional: set[str] = frozenset(),
         integers: dict[str, tuple[int, int]] = MappingProxyType({}), most: int = MAX_BYTES) -> Data:  # fmt: skip
    """Read `path` for a model with inputs `shapes`; those in `optional` (states) may be absent, those in
    `integers` are integers, least to most.  most: bytes of its arrays.

    Raises HmdcError naming the file, the array, its shape and the shape that is wanted.
    """
    arrays = _read(path, most)
    names = list(shapes)
    if (values := sum(a.size for a in arrays.values())) > most // SMALLEST:
        raise HmdcError(f"{path} holds {values} values; the most is {most // SMALLEST}: use fewer samples")
    if "x" in arrays and names and names[0] not in arrays:
        arrays[names[0]] = arrays.pop("x")
    labels = arrays.pop("y", None) if "y" not in shapes else None
    unknown = sorted(set(arrays) - set(names))
    if unknown:
        raise HmdcError(f"{path}: array {unknown[0]!r} is no input of the model; its inputs are {', '.join(names)}")
    inputs = {}
    for name, shape in shapes.items():
        if name in arrays:
            inputs[name] = _fit(path, name, arrays[name], shape)
            _check_integers(path, name, inputs[name], integers.get(name))
        elif name not in optional:
            raise HmdcError(f"{path} has no array {name!r} (samples, {', '.join(map(str, shape))}); {how_to(names[0])}")
    counts = {name: len(a) for name, a in inputs.items()}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        raise HmdcError(f"{path}: numbers of samples {counts} must be equal and at least 1")
    return Data(inputs, _labels(path, labels, next(iter(counts.values()))))


def how_to(name: str) -> str:
    """The line that makes such a file."""
    return f"make it with numpy.savez('data.npz', {name if name.isidentifier() else 'x'}=samples)"


def _read(path: Path, most: int) -> dict[str, np.ndarray]:
    if not Path(path).is_file():
        raise HmdcError(f"{path}: no such data file; {how_to('x')}")
    try:
        return arrays(path, "use fewer samples", most)
    except HmdcError:
        raise
    except Exception as e:  # numpy raises whatever zip and its header parser do
        raise HmdcError(
            f"{path} is not a readable .npz or .npy file of plain arrays ({one_line(e)}); {how_to('x')}"
        ) from e


def arrays(path: Path, less: str, most: int = MAX_BYTES) -> dict[str, np.ndarray]:
    """What a .npz file holds; a .npy file holds x.  less: what to do where that is more than `most` bytes.

    Raises HmdcError for too much, anything else for files that are damaged.
    """
    _check_size(path, less, most)
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return {"x": loaded}
    with loaded:
        return plain(loaded)


def plain(loaded: np.lib.npyio.NpzFile) -> dict[str, np.ndarray]:
    """The arrays of a .npz file.  Raises ValueError for a member that is none, or shorter than its header says."""
    for member in loaded.zip.infolist():
        with loaded.zip.open(member) as f:
            shape, _, dtype = HEADERS[read_magic(f)](f)
        if not dtype.hasobject and prod(shape) * dtype.itemsize > member.file_size:  # numpy would ask for that memory
            raise ValueError(f"{member.filename!r} says that it has shape {list(shape)}, but is shorter")
    return {name: loaded[name] for name in loaded.files}


def _check_size(path: Path, less: str, most: int) -> None:
    """A small file can unpack to a huge one."""
    size = Path(path).stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as z:
            size = sum(member.file_size for member in z.infolist())
    if size > most:
        raise HmdcError(f"{path} holds {size} bytes of arrays; the most is {most}: {less}")


def npz(arrays: dict[str, np.ndarray]) -> bytes:
    """The bytes of a .npz file, whatever the names; numpy.savez takes some of them for its own options."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, a in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, a, allow_pickle=False)
            z.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return out.getvalue()


def one_line(e: Exception) -> str:
    return (str(e).splitlines() or [type(e).__name__])[0][:120]


def _fit(path: Path, name: str, a: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    want = f"(samples, {', '.join(map(str, shape))})"
    if a.dtype.kind not in "fiub":
        raise HmdcError(f"{path}: array {name!r} has type {a.dtype}; numbers are wanted")
    squeeze = lambda s: tuple(n for n in s if n != 1)  # noqa: E731
    if a.ndim == 0 or squeeze(a.shape[1:]) != squeeze(shape):
        raise HmdcError(f"{path}: array {name!r} has shape {tuple(a.shape)} but {want} is wanted")
    a = a.astype(np.float64).reshape(len(a), *shape)
    wrong = ~((a >= -LARGEST) & (a <= LARGEST))
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0].tolist())
        raise HmdcError(f"{path}: array {name!r} has the value {a[at]} at {list(at)}; finite float32 values are wanted")
    return a


def _check_integers(path: Path, name: str, a: np.ndarray, limits: tuple[int, int] | None) -> None:
    if limits is None:
        return
    least, most = limits
    wrong = a[(a < least) | (a > most) | (a != np.floor(a))]
    if len(wrong):
        raise HmdcError(
            f"{path}: array {name!r} has the value {wrong[0]:g}; integers from {least} to {most} are wanted"
        )


def _labels(path: Path, y: np.ndarray | None, samples: int) -> np.ndarray | None:
    if y is None:
        return None
    if y.dtype.kind not in "iu" or y.ndim == 0 or len(y) != samples:
        raise HmdcError(f"{path}: labels y have type {y.dtype}, shape {tuple(y.shape)}; {samples} integers are wanted")
    return y.astype(np.int64)


def to_port(port: Port, a: np.ndarray) -> np.ndarray:
    """[samples, *shape] -> [samples, frames, frame] where the port has a time axis, else [samples, size]."""
    if port.time is None:
        return a.reshape(len(a), -1)
    return np.moveaxis(a, port.time + 1, 1).reshape(len(a), port.frames, -1)


def from_port(port: Port, a: np.ndarray) -> np.ndarray:
    """The inverse of to_port."""
    if port.time is None:
        return a.reshape(len(a), *port.shape)
    rest = (*port.shape[: port.time], *port.shape[port.time + 1 :])
    return np.moveaxis(a.reshape(len(a), port.frames, *rest), 1, port.time + 1)


def to_integers(program: Program, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Real model inputs -> what the C receives: port layout, quantized unless the program is float."""
    out = {}
    for port in program.inputs:
        if port.name in inputs:
            a, buffer = to_port(port, inputs[port.name]), program.buffers[port.buf]
            out[port.name] = a if buffer.scale is None else buffer.quantize(a)
    return out


def to_real(program: Program, name: str, a: np.ndarray) -> np.ndarray:
    """What the C returned for an output -> real values in the model's shape."""
    port = next(p for p in program.outputs if p.name == name)
    a, buffer = from_port(port, a), program.buffers[port.buf]
    return a.astype(np.float64) if buffer.scale is None else buffer.dequantize(a)
