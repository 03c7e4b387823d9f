"""Rewrites of a Model that keep what it computes: fewer layers, better conditioned for integers."""

from dataclasses import replace
from math import fsum

import numpy as np

from .cells import CELLS
from .errors import HmdcError
from .model import Model, Node
from .reference import shapes

SPREAD = 8.0  # factors of a normalization that differ more than this would cost the weights they are folded into bits


def simplify(model: Model) -> Model:
    """Remove what does nothing, move factors and offsets into matrices, clamps into the layer before."""
    model = drop_dead(model)
    model.shapes = shapes(model)
    changed = True
    while changed:
        model.shapes = shapes(model) if not model.shapes else model.shapes
        changed = any(rule(model) for rule in RULES)
    model = drop_dead(model)
    model.nodes = named(model.nodes)
    recurrent = [n for n in model.nodes if n.op in CELLS]
    model.steps = max((model.shapes[n.inputs[0]][0] for n in recurrent), default=1)
    _check_finite(model)
    return model


def named(nodes: list[Node]) -> list[Node]:
    """Number the layers of one kind when there are several; a backward layer shares the number of its twin.

    Frontends name a layer by its kind and give both directions of one layer the same attribute `twin`.
    """
    twins: dict[str, list[str]] = {}
    keys = []
    for i, n in enumerate(nodes):
        kind, twin = n.name.removesuffix("_reverse"), n.attrs.get("twin", str(i))
        if twin not in twins.setdefault(kind, []):
            twins[kind].append(twin)
        keys.append((kind, twin))
    out = []
    for n, (kind, twin) in zip(nodes, keys):
        number = "" if len(twins[kind]) == 1 else str(twins[kind].index(twin) + 1)
        backward = "_reverse" if n.name.endswith("_reverse") else ""
        attrs = {k: v for k, v in n.attrs.items() if k != "twin"}
        out.append(replace(n, name=kind + number + backward, attrs=attrs))
    return out


def drop_dead(model: Model) -> Model:
    needed, live = set(model.outputs), []
    for n in reversed(model.nodes):
        if needed & set(n.outputs):
            first = n.outputs[0] if n.outputs[0] in needed or n.op not in CELLS else ""
            live.append(replace(n, outputs=(first, *n.outputs[1:])))
            needed |= set(n.inputs)
    return replace(model, nodes=live[::-1])


def in_order(nodes: list[Node], inputs) -> list[Node]:
    """Every node behind those that it reads, otherwise in the order given."""
    ready, out, todo = {*inputs, ""}, [], nodes
    while todo:
        later = []
        for n in todo:
            (out if ready.issuperset(n.inputs) else later).append(n)
            if out and out[-1] is n:
                ready |= {*n.outputs}
        if len(later) == len(todo):
            return nodes  # a cycle, which computes nothing
        todo = later
    return out


def _check_finite(model: Model) -> None:
    for n in model.nodes:
        for name, w in n.weights.items():
            if not np.isfinite(w).all() or np.abs(w).max(initial=0) > 1e30:
                raise HmdcError(f"{n.name} ({n.source}): its weights {name} are NaN, infinite or beyond 1e30")


def _pairs(model: Model, first: tuple[str, ...], second: tuple[str, ...]):
    """(position, node, position of its only consumer, consumer), the value between them being no graph output."""
    consumers, where = model.consumers(), {id(n): i for i, n in enumerate(model.nodes)}
    for i, a in enumerate(model.nodes):
        after = consumers.get(a.outputs[0], [])
        if a.op in first and len(after) == 1 and after[0][1] == 0 and a.outputs[0] not in model.outputs:
            b = after[0][0]
            if b.op in second:
                yield i, a, where[id(b)], b


def _replace(model: Model, i: int, j: int, new: Node) -> bool:
    """Nodes i and j become one, at the place of j."""
    model.nodes[j] = new
    del model.nodes[i]
    return True


def _free(node: Node) -> bool:
    return node.attrs["low"] == -np.inf and node.attrs["high"] == np.inf


def _varies_only(node: Node, shape: tuple[int, ...], axis: int) -> bool:
    """Whether the constants of an affine layer on values of that shape vary along `axis` only."""
    c = node.weights["scale"].shape
    c = (1,) * (len(shape) - len(c)) + c
    return all(n == 1 for i, n in enumerate(c) if i != axis)


def _along(node: Node, n: int) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.broadcast_to(node.weights[k].ravel(), (n,)) for k in ("scale", "bias"))


def join_reshapes(model: Model) -> bool:
    for i, a, j, b in _pairs(model, ("reshape",), ("reshape",)):
        return _replace(model, i, j, replace(b, inputs=a.inputs))
    for i, n in enumerate(model.nodes):
        x = n.inputs[0]
        if n.op == "reshape" and tuple(n.attrs["shape"]) == model.shapes[x] and n.outputs[0] not in model.outputs:
            model.nodes = [
                replace(m, inputs=tuple(x if v == n.outputs[0] else v for v in m.inputs)) for m in model.nodes
            ]
            del model.nodes[i]
            return True
    return False


def slice_of_concat(model: Model) -> bool:
    """A slice that is one part of a concatenation, whole, is that part."""
    producers = model.producers()
    for i, n in enumerate(model.nodes):
        cat = producers.get(n.inputs[0])
        if n.op != "slice" or cat is None or cat.op != "concat" or cat.attrs["axis"] != n.attrs["axis"]:
            continue
        at = 0
        for part in cat.inputs:
            size = model.shapes[part][n.attrs["axis"]]
            if (n.attrs["start"], n.attrs["stop"], n.attrs["step"]) == (at, at + size, 1):
                shape = model.shapes[n.outputs[0]]
                model.nodes[i] = replace(n, op="reshape", name="reshape", inputs=(part,), attrs={"shape": shape})
                model.nodes = drop_dead(model).nodes
                return True
            at += size
    return False


def sink_affine(model: Model) -> bool:
    """affine, reshape or transpose -> the same in the other order: the factors come next to a matrix."""
    for i, a, j, b in _pairs(model, ("affine",), ("reshape", "transpose")):
        x = model.shapes[a.inputs[0]]
        full = (1,) * (len(x) - a.weights["scale"].ndim) + a.weights["scale"].shape
        if b.op == "transpose":
            moved = {k: w.reshape(full).transpose(b.attrs["perm"]) for k, w in a.weights.items()}
        elif all(n == 1 for n in full) or (_varies_only(a, x, len(x) - 1) and b.attrs["shape"][-1] == x[-1]):
            moved = {k: w.reshape((-1,) if b.attrs["shape"] else ()) for k, w in a.weights.items()}
        else:
            continue
        middle = a.outputs[0]
        model.nodes[i] = replace(b, outputs=(middle,), inputs=a.inputs)
        model.nodes[j] = replace(a, inputs=(middle,), outputs=b.outputs, weights=moved)
        model.shapes[middle] = model.shapes[b.outputs[0]]
        return True
    return False


def join_transposes(model: Model) -> bool:
    for i, a, j, b in _pairs(model, ("transpose",), ("transpose",)):
        perm = tuple(a.attrs["perm"][p] for p in b.attrs["perm"])
        return _replace(model, i, j, replace(b, inputs=a.inputs, attrs={"perm": perm}))
    return False


def trivial_transpose(model: Model) -> bool:
    """Axes of size 1 move without a transpose."""
    for i, n in enumerate(model.nodes):
        if n.op == "transpose":
            x = model.shapes[n.inputs[0]]
            moved = [a for a in n.attrs["perm"] if x[a] > 1]
            if moved == sorted(moved):
                shape = model.shapes[n.outputs[0]]
                model.nodes[i] = replace(n, op="reshape", name="reshape", attrs={"shape": shape})
                return True
    return False


def pad_of_conv(model: Model) -> bool:
    """Zeros around the space of a convolution are its own padding; a transpose in between comes first."""
    for i, a, j, b in _pairs(model, ("pad",), ("transpose", "conv")):
        n, attrs = len(a.attrs["before"]), a.attrs
        if attrs["mode"] != "constant" or attrs["value"] != 0:
            continue
        if b.op == "transpose":
            middle, perm = a.outputs[0], b.attrs["perm"]
            moved = {k: tuple(attrs[k][p] for p in perm) for k in ("before", "after")}
            model.shapes[middle] = tuple(model.shapes[a.inputs[0]][p] for p in perm)
            model.nodes[i] = replace(b, inputs=a.inputs, outputs=(middle,))
            model.nodes[j] = replace(a, inputs=(middle,), outputs=b.outputs, attrs=attrs | moved)
            return True
        ends = (attrs["before"][0], attrs["after"][0], attrs["before"][n - 1], attrs["after"][n - 1])
        if not any(ends):
            more = (*attrs["before"][1:-1], *attrs["after"][1:-1])
            pads = tuple(map(sum, zip(b.attrs["pads"], more)))
            return _replace(model, i, j, replace(b, inputs=a.inputs, attrs=b.attrs | {"pads": pads}))
    return False


def slice_of_conv(model: Model) -> bool:
    """Positions at the end that nobody reads, and that padding alone made, as behind a causal convolution."""
    for i, a, j, b in _pairs(model, ("conv",), ("slice",)):
        axis, space = b.attrs["axis"] - 1, len(a.attrs["kernel"])
        if b.attrs["start"] or b.attrs["step"] != 1 or not 0 <= axis < space:
            continue
        less = (model.shapes[a.outputs[0]][axis + 1] - b.attrs["stop"]) * a.attrs["strides"][axis]
        pads = list(a.attrs["pads"])
        pads[axis + space] -= less
        if pads[axis + space] >= 0:
            return _replace(model, i, j, replace(a, outputs=b.outputs, attrs=a.attrs | {"pads": tuple(pads)}))
    return False


def through_transpose(model: Model) -> bool:
    """Behind a convolution: transpose -> function, slice or factors along the channels, in the other order."""
    producers = model.producers()
    for i, a, j, b in _pairs(model, ("transpose",), ("activation", "affine", "slice")):
        conv, x, middle = producers.get(a.inputs[0]), a.inputs[0], a.outputs[0]
        if conv is None or conv.op != "conv" or len(model.consumers()[x]) > 1 or x in model.outputs:
            continue
        weights, attrs = b.weights, b.attrs
        shape = model.shapes[x]
        if b.op == "slice":
            attrs = attrs | {"axis": a.attrs["perm"][attrs["axis"]]}
            shape = tuple(model.shapes[b.outputs[0]][p] for p in np.argsort(a.attrs["perm"]))
        if b.op == "affine":
            full = {k: w.reshape((1,) * (len(model.shapes[middle]) - w.ndim) + w.shape) for k, w in weights.items()}
            weights = {k: w.transpose(np.argsort(a.attrs["perm"])) for k, w in full.items()}
            if not _free(conv) or any(w.size > w.shape[-1] for w in weights.values()):
                continue
        model.nodes[i] = replace(b, inputs=(x,), outputs=(middle,), weights=weights, attrs=attrs)
        model.nodes[j] = replace(a, inputs=(middle,), outputs=b.outputs)
        model.shapes[middle] = shape
        return True
    return False


def join_affines(model: Model) -> bool:
    for i, a, j, b in _pairs(model, ("affine",), ("affine",)):
        if _free(a):
            scale = a.weights["scale"] * b.weights["scale"]
            bias = a.weights["bias"] * b.weights["scale"] + b.weights["bias"]
            scale, bias = (v.copy() for v in np.broadcast_arrays(scale, bias))
            return _replace(model, i, j, replace(b, inputs=a.inputs, weights={"scale": scale, "bias": bias}))
    return False


def affine_after_dense(model: Model) -> bool:
    for i, a, j, b in _pairs(model, ("dense", "conv"), ("affine",)):
        if _free(a) and not a.factors and _varies_only(b, model.shapes[a.outputs[0]], a.attrs["axis"]):
            scale, bias = _along(b, len(a.weights["w"]))
            weights = {"w": a.weights["w"] * scale[:, None], "b": a.weights.get("b", 0.0) * scale + bias}
            attrs = a.attrs | {"low": b.attrs["low"], "high": b.attrs["high"]}
            return _replace(model, i, j, replace(a, outputs=b.outputs, weights=weights, attrs=attrs))
    return False


def affine_before_matrix(model: Model) -> bool:
    for i, a, j, b in _pairs(model, ("affine",), ("dense", *CELLS)):
        shape = model.shapes[a.inputs[0]]
        axis = b.attrs["axis"] if b.op == "dense" else len(shape) - 1
        scale, bias = _along(a, shape[axis]) if _varies_only(a, shape, axis) else (None, None)
        if scale is None or not _free(a) or np.abs(scale).max() > SPREAD * np.abs(scale).min():
            continue
        if not all(k.startswith(("w.lowrank.", "u.")) for k in b.factors):  # factors that scaled columns do not have
            continue
        offset = np.array([fsum(row) for row in b.weights["w"] * bias])  # exact: no byte depends on the BLAS
        key = "b" if b.op == "dense" else "bw"
        right = {k: b.weights[k] * scale for k in ("w", "w.lowrank.1") if k in b.weights}
        weights = b.weights | right | {key: b.weights.get(key, 0.0) + offset}
        return _replace(model, i, j, replace(b, inputs=(a.inputs[0], *b.inputs[1:]), weights=weights))
    return False


def clamp_into_layer(model: Model) -> bool:
    for i, a, j, b in _pairs(model, ("dense", "conv", "affine"), ("activation",)):
        if b.attrs["function"] == "relu":
            attrs = a.attrs | {"low": max(a.attrs["low"], 0.0), "high": max(a.attrs["high"], 0.0)}
            return _replace(model, i, j, replace(a, outputs=b.outputs, attrs=attrs))
    return False


RULES = (
    join_reshapes,
    slice_of_concat,
    join_transposes,
    affine_after_dense,
    pad_of_conv,
    slice_of_conv,
    through_transpose,
    sink_affine,
    join_affines,
    affine_before_matrix,
    clamp_into_layer,
    trivial_transpose,
)
