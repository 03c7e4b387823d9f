"""Files of weights without a graph.  tensors: files to arrays; families: names to layers; find: their order, or
architecture: as the user says; assemble: layers to a model.
keras: models of Keras, whose files have a configuration."""

from dataclasses import replace
from pathlib import Path

from ...errors import HmdcError
from ...model import Model
from . import architecture, tensors
from .assemble import assemble, table
from .families import WITHOUT_WEIGHTS
from .find import find
from .keras import load_keras
from .tensors import READERS


def load(path: Path, steps: int | None, input_shapes: dict, architecture_file: Path | None) -> Model:
    """See frontends.load."""
    if input_shapes:
        raise HmdcError(f"--input-shape is for ONNX files; {path.name} takes --steps N")
    told = architecture.read(architecture_file)
    found = tensors.read(path)
    layers = find(found, told)
    first = next((layer for layer in layers if layer.type not in WITHOUT_WEIGHTS), None)
    size = first.inputs if first and first.inputs is not None else told.input
    if layers[0].tokens:
        size = None
    elif size is None:
        raise HmdcError("--architecture: no layer tells how many values a step has; write input = N")
    if told.input not in (None, size):
        raise HmdcError(f"--architecture: input = {told.input}, but {layers[0]} takes {size} values")
    steps = steps or told.steps
    if steps is None:
        raise HmdcError(f"{path} does not tell how many time steps a sequence has: --steps N")
    model = assemble(layers, steps, size)
    return replace(model, sha256=found.sha256, path=path.name, found=table(layers, size))


LOADERS = dict.fromkeys(READERS, load) | dict.fromkeys((".keras", ".h5", ".hdf5"), load_keras)

__all__ = ["LOADERS"]
