"""Products of two values of the network, and values repeated to fit others: attention."""

from dataclasses import replace

import numpy as np

from ..errors import NotStreamable
from ..kernels import Matmul, Mul
from ..program import WIDE, View
from .base import Layer, join, with_attrs


def repeated(x: View, shape: tuple[int, ...]) -> View:
    """x with axes of size 1 repeated: the same memory again and again."""
    strides = tuple(s if n == m else 0 for s, n, m in zip(x.strides, x.shape, shape))
    return replace(x, shape=tuple(shape), strides=strides)


def with_axis(x: View, axis: int) -> View:
    """One more axis, of size 1."""
    put = lambda t, n: (*t[:axis], n, *t[axis:])
    return replace(x, shape=put(x.shape, 1), strides=put(x.strides, 0))


class Repeat(Layer):
    """attrs: shape, of as many axes as x has."""

    def reference(self, node, x):
        return (np.broadcast_to(x, (len(x), *node.attrs["shape"])),)

    def lower(self, b, node, x):
        return (repeated(x, node.attrs["shape"]),)

    def frame(self, node, tags, shapes):
        tag, shape = tags[0], node.attrs["shape"]
        if not isinstance(tag, int):
            return node, tag
        if shape[tag] != shapes[0][tag]:
            raise NotStreamable(f"{node.name} repeats the time step")
        return with_attrs(node, shape=(*shape[:tag], 1, *shape[tag + 1 :])), tag


class Dot(Layer):
    """y[p, m, n] = sum over k of left[p, m, k] right[p, k, n]"""

    def reference(self, node, left, right):
        return (left @ right,)

    def lower(self, b, node, left, right):
        (p, m, k), n = left.shape, right.shape[2]
        whole = (p, m, n, k)
        sides = with_axis(left, 2), with_axis(right.transpose((0, 2, 1)), 1)
        a, c = (b.contiguous(f"{node.name}.in", repeated(v, whole)) for v in sides)
        terms = b.buffer(f"{node.name}.terms", whole, WIDE)
        b.emit(Mul(f"{node.name}.terms", a, c, terms))
        y = b.output(node.outputs[0], (p, m, n), node.name)
        b.emit(Matmul(node.name, terms, y, np.ones((1, k)), p=p * m * n))
        return (y,)

    def frame(self, node, tags, shapes):
        if any(isinstance(t, int) for t in tags):
            raise NotStreamable(f"{node.name} multiplies whole sequences")
        return node, join(node, tags)
