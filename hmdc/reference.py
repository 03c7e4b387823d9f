"""The float evaluation of a Model, layer by layer: what compiled code is measured against."""

import numpy as np

from .layers import OPS
from .model import Model


def evaluate(model: Model, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """inputs: name -> [samples, *shape]; inputs that are missing are zeros.  Returns every value, float64."""
    samples = len(next(iter(inputs.values())))
    values = {v: np.asarray(inputs[v], np.float64) if v in inputs else np.zeros((samples, *shape))
              for v, shape in model.inputs.items()}  # fmt: skip
    for node in model.nodes:
        args = [values[v] if v else None for v in node.inputs]
        for v, y in zip(node.outputs, OPS[node.op].reference(node, *args)):
            if v:
                values[v] = y
    return values


def shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Shape of every value, found by evaluating zeros."""
    zeros = {v: np.zeros((1, *shape)) for v, shape in model.inputs.items()}
    return {v: a.shape[1:] for v, a in evaluate(model, zeros).items()}
