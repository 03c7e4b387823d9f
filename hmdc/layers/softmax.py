"""softmax along one axis."""

from math import prod

import numpy as np

from ..kernels import Softmax as SoftmaxKernel
from .base import Layer, last_axis_only
from .elementwise import bounded_format


class Softmax(Layer):
    """attrs: axis (non-negative)."""

    def reference(self, node, x):
        axis = node.attrs["axis"] + 1
        e = np.exp(x - x.max(axis=axis, keepdims=True))
        return (e / e.sum(axis=axis, keepdims=True),)

    def lower(self, b, node, x):
        axis = node.attrs["axis"]
        x = b.contiguous(f"{node.name}.in", b.wide(f"{node.name}.in", x))
        y = b.output(node.outputs[0], x.shape, node.name, bounded_format(b, (0.0, 1.0)))
        b.emit(SoftmaxKernel(node.name, x, y, x.shape[axis], prod(x.shape[:axis]), prod(x.shape[axis + 1 :])))
        return (y,)

    def frame(self, node, tags, shapes):
        return node, last_axis_only(node, tags[0], node.attrs["axis"], "is a softmax over")
