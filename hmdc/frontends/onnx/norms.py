"""Translators of normalizations: operators of their own, and those that files write out (statistics.py)."""

from math import prod, sqrt

import numpy as np

from .graph import attributes, refuse, translator

TINY = 1e-30  # of squares: rows of zeros stay zeros


def normalize(g, node, x: str, y: str, axes, centered: bool = True, epsilon=0.0, floor=0.0, gain=1.0) -> None:
    """y = gain * c / sqrt(max(mean of c^2 over the axes + epsilon, floor)), c = x less its mean, or x."""
    shape, axes = g.shape(x), sorted(a % len(g.shape(x)) for a in axes)
    axes = [a for a in axes if shape[a] > 1] or axes[-1:]
    first, last = axes[0], axes[-1] + 1
    if axes != [*range(first, last)]:
        raise refuse(node, f"normalizes the axes {axes} of {list(shape)} together", "use neighboring axes")
    flat = (*shape[:first], prod(shape[first:last]), *shape[last:])
    attrs = {"axis": first, "centered": centered, "epsilon": float(epsilon), "floor": max(float(floor), TINY)}
    if flat != shape:
        g.reshape(node, x, x := g.fresh(flat), flat)
    whole = y if flat == g.shape(y) else g.fresh(flat)
    g.add("normalize", "norm", [x], [whole], node, **attrs, gain=float(gain))
    if whole != y:
        g.reshape(node, whole, y)


def _constants(g, node, *positions: int) -> list[np.ndarray | None]:
    """Scale, bias: None where there is none."""
    names = [node.input[i] if len(node.input) > i else "" for i in positions]
    if any(v and g.constant(v) is None for v in names):
        raise refuse(node, "its scale or bias depends on the data", "use constant weights")
    return [g.floats(node, v) if v else None for v in names]


def _scaled(g, node, x: str, scale, bias) -> None:
    """The result of the node: x * scale + bias."""
    if (scale is None or (scale == 1).all()) and (bias is None or (bias == 0).all()):
        return g.reshape(node, x, node.output[0])
    g.affine(node, x, node.output[0], 1.0 if scale is None else scale, 0.0 if bias is None else bias)


@translator("LayerNormalization", "RMSNormalization")
def _layer(g, node):
    a, x = attributes(node), node.input[0]
    if any(node.output[1:]):
        raise refuse(node, "gives mean and deviation too", "use the normalized values only")
    axes = range(a.get("axis", -1) % len(g.shape(x)), len(g.shape(x)))
    centered = node.op_type == "LayerNormalization"
    scale, bias = _constants(g, node, 1, 2) if centered else (*_constants(g, node, 1), None)
    normalize(g, node, x, y := g.fresh(g.shape(x)), axes, centered, a.get("epsilon", 1e-5))
    _scaled(g, node, y, scale, bias)


@translator("InstanceNormalization", "GroupNormalization")
def _groups(g, node):
    """x [1, channels, ...], in groups of channels; an instance is a group of one."""
    a, x = attributes(node), node.input[0]
    shape = g.shape(x)
    groups = a.get("num_groups", shape[1])
    if shape[1] % groups:
        raise refuse(node, f"makes {groups} groups of {shape[1]} channels", "export the network again")
    weights = _constants(g, node, 1, 2)
    each = (shape[0], groups, prod(shape) // (shape[0] * groups))
    g.reshape(node, x, flat := g.fresh(each), each)
    normalize(g, node, flat, y := g.fresh(each), [2], True, a.get("epsilon", 1e-5))
    g.reshape(node, y, y := g.fresh(shape), shape)
    _scaled(g, node, y, *(np.repeat(w, shape[1] // w.size).reshape(-1, *[1] * (len(shape) - 2)) for w in weights))


@translator("LpNormalization")
def _length(g, node):
    a, x, y = attributes(node), node.input[0], node.output[0]
    if a.get("p", 2) != 2:
        raise refuse(node, "divides by the sum of absolute values", "normalize with p=2")
    axis = a.get("axis", -1) % len(g.shape(x))
    normalize(g, node, x, y, [axis], False, gain=1 / sqrt(g.shape(x)[axis]))
