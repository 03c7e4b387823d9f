"""The order of a layer's hidden units is free: put them in another one, where all that read them can follow."""

from dataclasses import replace

import numpy as np

from .cells import CELLS
from .model import Model, Node

PASSING = ("reshape", "slice", "transpose", "mean", "activation")  # layers that leave the last axis alone


def readers(model: Model, layer: Node) -> list[Node] | None:
    """Layers whose matrices multiply the hidden state of `layer`; None when something else depends on its order."""
    if any(layer.inputs[1:]) or layer.factors:  # initial states come from outside, units have the order of training
        return None
    consumers, found, todo = model.consumers(), [], [v for v in layer.outputs if v]
    n = layer.attrs["hidden"]
    while todo:
        v = todo.pop()
        if v in model.outputs:
            return None
        for node, position in consumers.get(v, []):
            if node.factors:
                return None
            if (
                node.op in CELLS
                and position == 0
                or node.op == "dense"
                and node.attrs["axis"] == len(model.shapes[v]) - 1
            ):
                found.append(node)
            elif node.op in PASSING and _keeps_last_axis(model, node, v, n):
                todo.append(node.outputs[0])
            else:
                return None
    return found


def _keeps_last_axis(model: Model, node: Node, value: str, n: int) -> bool:
    last = len(model.shapes[value]) - 1
    if node.op == "transpose":
        return node.attrs["perm"][-1] == last
    if node.op in ("slice", "mean"):
        return node.attrs["axis"] != last
    return model.shapes[node.outputs[0]][-1] == n


def permute(model: Model, layer: Node, order: np.ndarray) -> Model:
    """The same network with unit k of `layer` in the place of unit order[k].  Its readers must be known to follow."""
    n = layer.attrs["hidden"]
    gates = len(CELLS[layer.op].gates)
    rows = np.concatenate([g * n + order for g in range(gates)])
    w = layer.weights
    changed = {k: v.reshape(-1, n)[:, order].ravel() for k, v in w.items() if v.ndim == 1}
    changed |= {"w": w["w"][rows], "u": w["u"][rows][:, order]}
    new = {layer.name: replace(layer, weights=w | changed)}
    for reader in readers(model, layer):
        new[reader.name] = replace(reader, weights=reader.weights | {"w": reader.weights["w"][:, order]})
    return replace(model, nodes=[new.get(node.name, node) for node in model.nodes])
