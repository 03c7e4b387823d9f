"""Mean or sum over one axis; over time it accumulates step by step."""

from math import prod

import numpy as np

from ..kernels import Accumulate, Load, Matmul, Rescale
from ..program import SUM
from .base import MEAN, Layer, with_attrs


class Mean(Layer):
    """attrs: axis; keep: whether the axis stays with size 1; over_time: 0, or the number of steps of a frame's mean;
    sum: whether it is the sum instead."""

    def reference(self, node, x):
        f = np.sum if node.attrs.get("sum") else np.mean
        return (f(x, axis=node.attrs["axis"] + 1, keepdims=node.attrs["keep"]),)

    def lower(self, b, node, x):
        axis, n = node.attrs["axis"], x.shape[node.attrs["axis"]]
        middle = (1,) if node.attrs["keep"] else ()
        shape = (*x.shape[:axis], *middle, *x.shape[axis + 1 :])
        if node.attrs["over_time"]:
            return (self._accumulate(b, node, x, shape),)
        x = b.contiguous(f"{node.name}.in", x)
        p, q = prod(x.shape[:axis]), prod(x.shape[axis + 1 :])
        y = b.output(node.outputs[0], shape, node.name)
        b.emit(Matmul(node.name, x, y, np.full((1, n), 1.0 if node.attrs.get("sum") else 1 / n), p=p, q=q))
        return (y,)

    def _accumulate(self, b, node, x, shape):
        """The sums live in the state; the tail divides and clears them."""
        steps = node.attrs["over_time"]
        x = b.contiguous(f"{node.name}.in", x)
        sums = b.state(f"{node.name}.sums", None, x.size, SUM)
        b.emit(Accumulate(node.name, x, sums, steps))
        with b.function("tail"):
            y = b.output(node.outputs[0], shape, node.name)
            factor = 1.0 if node.attrs.get("sum") else 1 / steps
            b.emit(Rescale(f"{node.name}.divide", sums, y.reshape(x.size), factor=factor))
            b.emit(Load(f"{node.name}.clear", sums, np.zeros(x.size)))
        return y

    def frame(self, node, tags, shapes):
        if tags[0] != node.attrs["axis"]:
            tag = tags[0]
            if isinstance(tag, int) and not node.attrs["keep"] and tag > node.attrs["axis"]:
                tag -= 1
            return node, tag
        return with_attrs(node, over_time=shapes[0][node.attrs["axis"]]), MEAN
