"""Keras' files: the configuration as JSON, and the weights of each layer as arrays in the order that Keras gives them.

.keras is a zip file of config.json and model.weights.h5; .h5 holds both.  h5py is an extra of the installation.
"""

import io
import json
import re
from pathlib import Path

import numpy as np

from ...apart import apart
from ...errors import HmdcError
from .tensors import MAX_VALUES, unzip

# where a layer of .keras keeps its arrays, in order
PLACES = ("vars", "cell/vars", "layer/vars", "forward_layer/cell/vars", "backward_layer/cell/vars")
SAVE = "save the whole model: model.save('net.keras')"


def read_keras(path: Path, blob: bytes) -> tuple[dict, dict[str, list[np.ndarray]]]:
    """The configuration of the model, and name of a layer -> its arrays."""
    try:
        import h5py  # noqa: F401
    except ImportError as e:
        raise HmdcError(f"{path}: Keras files need h5py: pip install 'hmdc[keras]'") from e
    return apart(_read, path, blob)


def _read(path: Path, blob: bytes) -> tuple[dict, dict[str, list[np.ndarray]]]:
    import h5py

    if path.suffix.lower() == ".keras":
        with unzip(path, blob) as archive:
            config, weights = json.loads(archive.read("config.json")), archive.read("model.weights.h5")
        with h5py.File(io.BytesIO(weights), "r") as file:
            return config, _by_class(path, config, _child(file, "layers", h5py), h5py)
    with h5py.File(io.BytesIO(blob), "r") as file:
        if "model_config" not in file.attrs:
            raise HmdcError(f"{path} holds weights without the model's configuration; {SAVE}")
        config, root = json.loads(file.attrs["model_config"]), _child(file, "model_weights", h5py)
        arrays, left = {}, [MAX_VALUES]
        for layer in layers_of(config):
            name = layer["config"]["name"]
            group = _child(root, name, h5py) if name in root else None
            names = group.attrs["weight_names"] if group is not None else ()
            texts = [n.decode() if isinstance(n, bytes) else str(n) for n in names]
            arrays[name] = [_array(path, _child(group, n, h5py), h5py, left) for n in texts]
        return config, arrays


def layers_of(config: dict) -> list[dict]:
    return config["config"]["layers"]


def _by_class(path: Path, config: dict, root, h5py) -> dict[str, list[np.ndarray]]:
    """.keras calls the weights of a layer by its class and a number, not by its name."""
    count, arrays, left = {}, {}, [MAX_VALUES]
    for layer in layers_of(config):
        kind = re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", layer["class_name"])).lower()
        number = count[kind] = count.get(kind, -1) + 1
        name = kind if number == 0 else f"{kind}_{number}"
        group = _child(root, name, h5py) if name in root else {}
        arrays[layer["config"]["name"]] = [
            _array(path, _child(group, f"{place}/{i}", h5py), h5py, left)
            for place in PLACES
            if place in group
            for i in range(len(_child(group, place, h5py)))
        ]
    return arrays


def _child(group, name: str, h5py):
    """What lies in the file itself: links could lead into other files."""
    for part in name.split("/"):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise HmdcError(f"the weights have no {name!r} of their own; {SAVE} again")
        group = group[part]
    return group


def _array(path: Path, data, h5py, left: list[int]) -> np.ndarray:
    """left: numbers that may still be read."""
    if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external or data.dtype.kind != "f":
        raise HmdcError(f"{path}: {data.name} holds no plain float numbers; {SAVE}")
    left[0] -= data.size
    if left[0] < 0:
        raise HmdcError(f"{path} holds more than {MAX_VALUES} numbers, the most that hmdc reads")
    a = data[()].astype(np.float64)
    if not np.isfinite(a).all():
        raise HmdcError(f"{path}: {data.name} has values that are NaN or infinite; train or save the network again")
    return a
