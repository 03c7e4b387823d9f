"""Files of named tensors -> arrays.  No file is trusted: nothing in it is executed, and what it may take is bounded."""

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...data import plain
from ...errors import HmdcError
from .torch_zip import read_torch, widen

MAX_BYTES = 1 << 26  # of a file, unpacked; far beyond what any microcontroller stores
MAX_VALUES = 1 << 24
LESS = "save the weights without the optimizer, or take a smaller network"
SAFE = {"F64": "f8", "F32": "f4", "F16": "f2", "BF16": "u2"}  # types of weights in .safetensors -> numpy
COUNTERS = ("num_batches_tracked", "n_averaged")  # of training; no layer computes with them


@dataclass(frozen=True)
class Tensors:
    """arrays: name -> float64.  ordered: as the program listed them, which is mostly the order of use.  sha256: of the
    file."""

    arrays: dict[str, np.ndarray]
    ordered: bool
    sha256: str


def read(path: Path) -> Tensors:
    """Raises HmdcError when the file is damaged or holds anything but tensors."""
    blob = whole(path)
    reader = READERS[path.suffix.lower()]
    arrays = reader(path, blob)
    arrays = {k: a for k, a in arrays.items() if k.rpartition(".")[2] not in COUNTERS}
    if not arrays:
        raise HmdcError(f"{path} holds no tensors by name; save model.state_dict()")
    if (values := sum(a.size for a in arrays.values())) > MAX_VALUES:
        raise HmdcError(f"{path} holds {values} numbers; the most that hmdc reads is {MAX_VALUES}: {LESS}")
    arrays = {k: _floats(path, k, a) for k, a in arrays.items()}
    return Tensors(arrays, reader is not _safetensors, hashlib.sha256(blob).hexdigest())


def whole(path: Path) -> bytes:
    """The bytes of a file of bearable size."""
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise HmdcError(f"{path} has {size} bytes; the most that hmdc reads is {MAX_BYTES}: {LESS}")
        return path.read_bytes()
    except OSError as e:
        raise HmdcError(f"{path} cannot be read: {e.strerror}") from e


def _floats(path: Path, name: str, a: np.ndarray) -> np.ndarray:
    if a.dtype.kind != "f":
        raise HmdcError(f"{path}: tensor {name!r} has type {a.dtype}; save the network with float weights")
    if not np.isfinite(a).all():
        raise HmdcError(f"{path}: tensor {name!r} has values that are NaN or infinite; train or save the network again")
    return a.astype(np.float64)


def unzip(path: Path, blob: bytes) -> zipfile.ZipFile:
    """The archive, which unpacks to a bearable size."""
    archive = zipfile.ZipFile(io.BytesIO(blob))
    if (size := sum(member.file_size for member in archive.infolist())) > MAX_BYTES:
        raise HmdcError(f"{path} unpacks to {size} bytes; the most that hmdc reads is {MAX_BYTES}: {LESS}")
    return archive


def _npz(path: Path, blob: bytes) -> dict[str, np.ndarray]:
    unzip(path, blob).close()
    with np.load(io.BytesIO(blob), allow_pickle=False) as data:
        return plain(data)


def _torch(path: Path, blob: bytes) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(io.BytesIO(blob)):
        raise HmdcError(f"{path} is no zip file: damaged, or in the format of PyTorch before 1.6; in Python: "
                        "torch.save(torch.load(f, map_location='cpu'), f) with a newer PyTorch")  # fmt: skip
    with unzip(path, blob) as archive:
        return read_torch(path, archive, MAX_VALUES)


def _safetensors(path: Path, blob: bytes) -> dict[str, np.ndarray]:
    from safetensors import deserialize

    out = {}
    for name, tensor in sorted(deserialize(blob), key=lambda item: item[0]):
        if name.rpartition(".")[2] in COUNTERS:
            continue
        if tensor["dtype"] not in SAFE:
            raise HmdcError(f"{path}: tensor {name!r} has type {tensor['dtype']}; save the network with float weights")
        a = np.frombuffer(tensor["data"], np.dtype(SAFE[tensor["dtype"]]).newbyteorder("<")).reshape(tensor["shape"])
        out[name] = widen(a) if tensor["dtype"] == "BF16" else a
    return out


READERS = {".npz": _npz, ".safetensors": _safetensors, ".pt": _torch, ".pth": _torch}
