"""Normalization of the values along one axis: by their deviation, their mean square, or their length."""

from math import prod

import numpy as np

from ..kernels import Normalize as NormalizeKernel
from .base import Layer, last_axis_only


class Normalize(Layer):
    """y = gain * c / sqrt(max(mean of c^2 + epsilon, floor)), c: x, without its mean if `centered`.

    attrs: axis (non-negative), centered, epsilon, floor (above 0), gain (above 0).
    """

    def reference(self, node, x):
        a, axis = node.attrs, node.attrs["axis"] + 1
        c = x - x.mean(axis=axis, keepdims=True) if a["centered"] else x
        squares = (c * c).mean(axis=axis, keepdims=True) + a["epsilon"]
        return (a["gain"] * c / np.sqrt(np.maximum(squares, a["floor"])),)

    def lower(self, b, node, x):
        a, axis = node.attrs, node.attrs["axis"]
        x = b.contiguous(f"{node.name}.in", x)
        y = b.output(node.outputs[0], x.shape, node.name)
        p, q = prod(x.shape[:axis]), prod(x.shape[axis + 1 :])
        how = (a["centered"], a["epsilon"], a["floor"], a["gain"])
        b.emit(NormalizeKernel(node.name, x, y, x.shape[axis], p, q, *how))
        return (y,)

    def frame(self, node, tags, shapes):
        return node, last_axis_only(node, tags[0], node.attrs["axis"], "normalizes")
