"""The zip file that torch.save writes, without PyTorch: ROOT/data.pkl lists the tensors, ROOT/data/KEY hold numbers."""

import zipfile
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from ...errors import HmdcError
from .pickles import Name, Refused, read_pickle

TYPES = {"Double": "f8", "Float": "f4", "Half": "f2", "BFloat16": "u2", "Long": "i8", "Int": "i4", "Short": "i2",
         "Char": "i1", "Byte": "u1", "Bool": "?"}  # fmt: skip
MAX_NAMES, MAX_DEPTH, MAX_KEY = 1 << 14, 16, 256
WAY_OUT = "save weights only: torch.save(model.state_dict(), 'net.pt')"


@dataclass(frozen=True)
class Storage:
    """A member of the archive: numbers of one type."""

    kind: str
    key: str


@dataclass(frozen=True)
class Tensor:
    """A view of a storage; offset and strides count numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def last(self) -> int:
        """The place of its last number."""
        return self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides))


def read_torch(path: Path, archive: zipfile.ZipFile, most: int) -> dict[str, np.ndarray]:
    """Dotted name -> array, nested dictionaries included.  most: numbers in all of them."""
    members = archive.namelist()
    roots = [m.removesuffix("/data.pkl") for m in members if m.endswith("/data.pkl") and m.count("/") == 1]
    if len(roots) != 1:
        raise HmdcError(f"{path} is no file of torch.save: it has no list of tensors data.pkl; {WAY_OUT}")
    if f"{roots[0]}/constants.pkl" in members:
        raise HmdcError(f"{path} is a TorchScript archive, which holds code; {WAY_OUT}")
    calls = {"collections.OrderedDict": _ordered_dict, "torch._utils._rebuild_tensor_v2": _tensor,
             "torch._utils._rebuild_parameter": lambda tensor, *_: tensor}  # fmt: skip
    try:
        content = read_pickle(archive.read(f"{roots[0]}/data.pkl"), calls, _storage)
    except Refused as e:
        raise HmdcError(f"{path} holds {e}, which is not read: only tensors, dictionaries and numbers are; {WAY_OUT}"
                        ) from e  # fmt: skip
    found: dict[str, Tensor] = {}
    _flatten(path, content, (), found, [0])
    if (values := sum(prod(t.shape) for t in found.values())) > most:
        raise HmdcError(f"{path} declares tensors of {values} numbers; the most that hmdc reads is {most}; {WAY_OUT}")
    order = archive.read(f"{roots[0]}/byteorder") if f"{roots[0]}/byteorder" in members else b"little"
    numbers = _Numbers(path, archive, roots[0], "big" if order == b"big" else "little")
    return {name: numbers.view(name, tensor) for name, tensor in found.items()}


def _ordered_dict(*arguments) -> dict:
    if arguments:
        raise Refused("an OrderedDict made from a list")
    return {}


def _storage(identity) -> Storage:
    """('storage', class, key, device, numbers)"""
    match identity:
        case ("storage", Name(name), str(key), _, _) if name.startswith("torch.") and name.endswith("Storage"):
            kind = name.removeprefix("torch.").removesuffix("Storage")
            if kind in TYPES:
                return Storage(kind, key)
            raise Refused(name)
    raise ValueError("a tensor without its storage")


def _tensor(storage, offset, shape, strides, *_rest) -> Tensor:
    sizes = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or len(shape) != len(strides) or len(shape) > 8:
        raise ValueError("a tensor without shape and storage")
    if not all(type(n) is int and 0 <= n < 1 << 31 for n in sizes):
        raise ValueError("a tensor of impossible shape")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _flatten(path: Path, content, names: tuple[str, ...], found: dict[str, Tensor], count: list[int]) -> None:
    """The tensors below `content` by dotted name.  Numbers, strings and lists beside them belong to the training."""
    count[0] += 1
    if len(names) > MAX_DEPTH or count[0] > MAX_NAMES:
        raise HmdcError(f"{path} nests its dictionaries too deeply or has more than {MAX_NAMES} entries; {WAY_OUT}")
    if isinstance(content, Tensor):
        found[".".join(names)] = content
    elif isinstance(content, dict):
        for key, value in content.items():
            if len(str(key)) > MAX_KEY:
                raise HmdcError(f"{path} has a name of {len(str(key))} letters; {WAY_OUT}")
            _flatten(path, value, (*names, str(key)), found, count)
    elif isinstance(content, Name):
        raise HmdcError(f"{path} holds {content.name}, which is not read; {WAY_OUT}")


class _Numbers:
    """The storages of an archive, each read once."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, root: str, order: str):
        self.path, self.archive, self.root, self.order = path, archive, root, order
        self.known: dict[str, bytes] = {}

    def view(self, name: str, tensor: Tensor) -> np.ndarray:
        key, kind = tensor.storage.key, tensor.storage.kind
        if 0 in tensor.shape:
            return np.zeros(tensor.shape)
        if key not in self.known:
            self.known[key] = self.archive.read(f"{self.root}/data/{key}")
        dtype = np.dtype(TYPES[kind]).newbyteorder("<" if self.order == "little" else ">")
        flat = np.frombuffer(self.known[key], dtype, len(self.known[key]) // dtype.itemsize)
        if tensor.last >= flat.size:
            raise HmdcError(f"{self.path}: tensor {name!r} of shape {list(tensor.shape)} ends at number {tensor.last} "
                            f"of {flat.size}; the file is damaged: save it again")  # fmt: skip
        strides = [s * flat.itemsize for s in tensor.strides]
        a = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides, writeable=False)
        return widen(a) if kind == "BFloat16" else a


def widen(bits: np.ndarray) -> np.ndarray:
    """bfloat16 is the upper half of a float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
