"""Files of weights without a graph.  tensors: files to arrays; families: names to layers; find: their order, or
architecture: as the user says; assemble: layers to a model."""

from dataclasses import replace
from pathlib import Path

from ...errors import HmdcError
from ...model import Model
from ..onnx.bind import MAX_STEPS
from . import architecture, tensors
from .assemble import Layer, assemble
from .find import find
from .tensors import READERS

SUFFIXES = tuple(READERS)


def load(path: Path, steps: int | None, input_shapes: dict, architecture_file: Path | None) -> Model:
    """See frontends.load."""
    if input_shapes:
        raise HmdcError(f"--input-shape is for ONNX files; {path.name} takes --steps N")
    told = architecture.read(architecture_file)
    found = tensors.read(path)
    layers = find(found, told)
    size = next((layer.inputs for layer in layers if layer.inputs is not None), told.input)
    if size is None:
        raise HmdcError("--architecture: no layer has weights; the size of the input is not known")
    if told.input not in (None, size):
        raise HmdcError(f"--architecture: input = {told.input}, but {layers[0]} takes {size} values")
    steps = steps or told.steps
    if steps is None:
        raise HmdcError(f"{path} does not tell how many time steps a sequence has: --steps N")
    if steps > MAX_STEPS:
        raise HmdcError(f"--steps {steps}: 1 to {MAX_STEPS} are compiled")
    model = assemble(layers, steps, size)
    return replace(model, sha256=found.sha256, path=path.name, found=_table(layers, size))


def _table(layers: list[Layer], size: int) -> list[dict]:
    """For people: what was found."""
    rows = []
    for layer in layers:
        out = layer.outputs or size
        rows.append({"layer": layer.type, "weights": layer.weights or "-", "input": size, "output": out,
                     "found": layer.note or "-"})  # fmt: skip
        size = out
    return rows


__all__ = ["SUFFIXES", "load"]
