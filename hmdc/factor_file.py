"""Factors that were trained elsewhere: in files, .npz or .safetensors, and in the metadata of an ONNX file."""

from base64 import b64decode, b64encode
from pathlib import Path

import numpy as np

from . import data
from .errors import HmdcError

METADATA = "hmdc.factors"  # of an ONNX file: safetensors in base64


def encode(factors: dict[str, np.ndarray]) -> str:
    from safetensors.numpy import save

    return b64encode(save({k: np.ascontiguousarray(a, np.float32) for k, a in factors.items()})).decode()


def decode(text: str) -> dict[str, np.ndarray]:
    """The inverse of encode, float64.  Raises HmdcError for anything else."""
    from safetensors.numpy import load

    try:
        arrays = load(b64decode(text, validate=True))
    except Exception as e:  # whatever a damaged text makes the reader raise
        raise HmdcError(f"its metadata {METADATA} are damaged; compress the network again") from e
    return _checked(f"metadata {METADATA}", arrays)


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Name -> float64 array; names as recipe.factors writes them.  Raises HmdcError for anything else."""
    path = Path(path)
    if not path.is_file():
        raise HmdcError(f"{path}: no such file of factors")
    try:
        arrays = (
            _safetensors(path) if path.suffix == ".safetensors" else data.arrays(path, "leave out what is no factor")
        )
    except HmdcError:
        raise
    except Exception as e:  # both readers raise whatever a damaged file makes them
        raise HmdcError(f"{path} is not a readable .npz or .safetensors file ({data.one_line(e)})") from e
    return _checked(str(path), arrays)


def _checked(where: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    for name, a in arrays.items():
        if a.dtype.kind not in "fiu" or not np.isfinite(a).all():
            raise HmdcError(f"{where}: {name} has values that are no finite numbers")
    return {name: a.astype(np.float64) for name, a in arrays.items()}


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(path)
