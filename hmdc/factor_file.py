"""Files of factors that were trained elsewhere: .npz or .safetensors."""

from pathlib import Path

import numpy as np

from . import data
from .errors import HmdcError


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
    for name, a in arrays.items():
        if a.dtype.kind not in "fiu" or not np.isfinite(a).all():
            raise HmdcError(f"{path}: {name} has values that are no finite numbers")
    return {name: a.astype(np.float64) for name, a in arrays.items()}


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(path)
