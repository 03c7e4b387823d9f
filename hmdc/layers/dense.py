"""y = clip(w x + b) along one axis."""

from math import prod

import numpy as np

from .base import Layer, last_axis_only


class Dense(Layer):
    """attrs: axis (of x, non-negative), low, high (real bounds, +-inf).  weights: w [out, in], optional b [out]."""

    def reference(self, node, x):
        axis = node.attrs["axis"] + 1
        y = np.moveaxis(np.tensordot(x, node.weights["w"], axes=(axis, 1)), -1, axis)
        if "b" in node.weights:
            y = y + node.weights["b"].reshape([-1 if a == axis else 1 for a in range(y.ndim)])
        return (np.clip(y, node.attrs["low"], node.attrs["high"]),)

    def lower(self, b, node, x):
        axis, w = node.attrs["axis"], node.weights["w"]
        shape = (*x.shape[:axis], len(w), *x.shape[axis + 1 :])
        y = b.output(node.outputs[0], shape, node.name)
        x = b.contiguous(f"{node.name}.in", x)
        p, q = prod(shape[:axis]), prod(shape[axis + 1 :])
        end = {"bias": node.weights.get("b"), "low": node.attrs["low"], "high": node.attrs["high"]}
        b.product(node.name, x, y, p=p, q=q, **end)
        return (y,)

    def frame(self, node, tags, shapes):
        return node, last_axis_only(node, tags[0], node.attrs["axis"], "is a dense layer over")
