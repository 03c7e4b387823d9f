"""Second moments of what the matrices multiply, from calibration data: weights for a decomposition."""

import numpy as np

from .cells import CELLS
from .layers import OPS
from .model import Model, Node
from .reference import evaluate


def second_moments(model: Model, inputs: dict[str, np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
    """Matrix name -> E[v v^T], v the vectors that it multiplies.  inputs: name -> [samples, *shape]."""
    if not names:
        return {}
    values = evaluate(model, inputs)
    nodes = {n.name: n for n in model.nodes}
    out = {}
    for name in names:
        layer, _, kind = name.partition(".")
        v = _vectors(nodes[layer], kind, values)
        out[name] = v.T @ v / len(v)
    return out


def _vectors(node: Node, kind: str, values: dict[str, np.ndarray]) -> np.ndarray:
    """[many, n]: one row per time step or position.  The candidate gate of a GRU is treated like the others."""
    x = values[node.inputs[0]]
    if node.op == "conv":
        return OPS["conv"].patches(node, x).reshape(-1, node.weights["w"].shape[1])
    if node.op not in CELLS:
        return np.moveaxis(x, node.attrs["axis"] + 1, -1).reshape(-1, node.weights["w"].shape[1])
    initial = [values[v] if v else None for v in node.inputs[1:]]
    h = OPS[node.op].reference(node, x, *initial)[0].reshape(*x.shape[:2], -1)
    before = np.zeros_like(h)
    if node.attrs["reverse"]:
        before[:, :-1] = h[:, 1:]
    else:
        before[:, 1:] = h[:, :-1]
    x, before = x.reshape(-1, x.shape[-1]), before.reshape(-1, h.shape[-1])
    return {"w": x, "u": before, "wu": np.hstack([x, before])}[kind]
