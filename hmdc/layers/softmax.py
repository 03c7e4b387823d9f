"""softmax along one axis, and its logarithm."""

from math import prod

import numpy as np

from ..kernels import LogSoftmax as LogSoftmaxKernel
from ..kernels import Softmax as SoftmaxKernel
from .base import Layer, last_axis_only
from .elementwise import bounded_format


class Softmax(Layer):
    """attrs: axis (non-negative)."""

    kernel = SoftmaxKernel

    def reference(self, node, x):
        axis = node.attrs["axis"] + 1
        e = np.exp(x - x.max(axis=axis, keepdims=True))
        return (e / e.sum(axis=axis, keepdims=True),)

    def lower(self, b, node, x):
        axis = node.attrs["axis"]
        x = b.contiguous(f"{node.name}.in", b.wide(f"{node.name}.in", x))
        y = b.output(node.outputs[0], x.shape, node.name, self.format(b))
        b.emit(self.kernel(node.name, x, y, x.shape[axis], prod(x.shape[:axis]), prod(x.shape[axis + 1 :])))
        return (y,)

    def format(self, b):
        return bounded_format(b, (0.0, 1.0))

    def frame(self, node, tags, shapes):
        return node, last_axis_only(node, tags[0], node.attrs["axis"], "is a softmax over")


class LogSoftmax(Softmax):
    """attrs: axis (non-negative).  Its range is calibrated."""

    kernel = LogSoftmaxKernel

    def reference(self, node, x):
        axis = node.attrs["axis"] + 1
        down = x - x.max(axis=axis, keepdims=True)
        return (down - np.log(np.exp(down).sum(axis=axis, keepdims=True)),)

    def format(self, b):
        return None
