"""Layers that treat every element by itself: functions, factors and offsets, sums and products of two values."""

from math import prod

import numpy as np

from ..errors import NotStreamable
from ..functions import RELU, function
from ..kernels import Add, Mul, Rescale, Scale, Table
from ..program import Format
from .base import Layer


class Activation(Layer):
    """attrs: function, as in functions.py."""

    def reference(self, node, x):
        return (function(node.attrs["function"])(x),)

    def lower(self, b, node, x):
        f = function(node.attrs["function"])
        x = b.contiguous(f"{node.name}.in", x)
        y = b.output(node.outputs[0], x.shape, node.name, bounded_format(b, f.bounds))
        b.emit(Rescale(node.name, x, y, low=0.0) if f is RELU else Table(node.name, x, y, f))
        return (y,)


def bounded_format(b, bounds: tuple[float, float] | None) -> Format | None:
    """The format of values whose range is known: no calibration can do better."""
    if bounds is None:
        return None
    if not b.narrow:
        return Format(16, scale=2.0**-15)
    return Format(8, scale=2.0**-8, zero=-128) if bounds[0] == 0 else Format(8, scale=2.0**-7)


class Affine(Layer):
    """y = clip(x * scale + bias).  weights: scale, bias of one shape that broadcasts to x.  attrs: low, high."""

    def reference(self, node, x):
        y = x * node.weights["scale"] + node.weights["bias"]
        return (np.clip(y, node.attrs["low"], node.attrs["high"]),)

    def lower(self, b, node, x):
        x = b.contiguous(f"{node.name}.in", x)
        y = b.output(node.outputs[0], x.shape, node.name)
        p, c, q = channels(node.weights["scale"].shape, x.shape)
        full = [np.broadcast_to(node.weights[k], x.shape).reshape(p, c, q)[0, :, 0] for k in ("scale", "bias")]
        b.emit(Scale(node.name, x, y, *full, p, q, node.attrs["low"], node.attrs["high"]))
        return (y,)

    def frame(self, node, tags, shapes):
        tag, constant = tags[0], node.weights["scale"].shape
        if isinstance(tag, int):
            lead = len(shapes[0]) - len(constant)
            if tag >= lead and constant[tag - lead] > 1:
                raise NotStreamable(f"{node.name} has constants of its own for every time step")
        return node, tag


def channels(constant: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(p, c, q) with prod(shape) = p c q such that a constant of that shape varies over c only."""
    constant = (1,) * (len(shape) - len(constant)) + constant
    varies = [i for i, n in enumerate(constant) if n > 1]
    if not varies:
        return 1, 1, prod(shape)
    first, last = varies[0], varies[-1] + 1
    return prod(shape[:first]), prod(shape[first:last]), prod(shape[last:])


class Binary(Layer):
    """Two values of one shape; either may be repeated by the frontend with a reshape, never by broadcasting."""

    def __init__(self, name: str, sign: int = 1):
        self.name, self.sign = name, sign

    def reference(self, node, a, b):
        return (a * b if self.name == "mul" else a + self.sign * b,)

    def lower(self, b, node, x1, x2):
        x1, x2 = (b.contiguous(f"{node.name}.in", v) for v in (x1, x2))
        y = b.output(node.outputs[0], x1.shape, node.name)
        b.emit(Mul(node.name, x1, x2, y) if self.name == "mul" else Add(node.name, x1, x2, y, self.sign))
        return (y,)
