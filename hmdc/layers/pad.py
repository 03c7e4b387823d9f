"""More values around a value: a constant, or copies of what lies inside."""

import numpy as np

from ..errors import NotStreamable
from ..kernels import Copy, Load, Rescale
from ..program import View
from .base import Layer


class Pad(Layer):
    """attrs: mode (constant, edge, reflect, wrap), value (of constant), before and after (one for each axis)."""

    def reference(self, node, x):
        a = node.attrs
        own = {"constant_values": a["value"]} if a["mode"] == "constant" else {}
        return (np.pad(x, [(0, 0), *zip(a["before"], a["after"])], a["mode"], **own),)

    def lower(self, b, node, x):
        a = node.attrs
        shape = tuple(n + f + r for n, f, r in zip(x.shape, a["before"], a["after"]))
        y = b.output(node.outputs[0], shape, node.name)
        inside = y
        for axis, n in enumerate(x.shape):
            inside = inside.slice(axis, a["before"][axis], a["before"][axis] + n)
        if a["mode"] == "constant":
            b.emit(Load(f"{node.name}.value", y, np.full(y.size, a["value"])))
        b.emit(Rescale(node.name, x, inside, same=True))
        if a["mode"] != "constant":
            self._around(b, node, y, x.shape)
        return (y,)

    def _around(self, b, node, y: View, inner: tuple[int, ...]) -> None:
        """Axis by axis, from what is inside along this axis and those to come, everywhere along those before."""
        a = node.attrs
        for axis, n in enumerate(inner):
            part = y
            for later in range(axis + 1, len(inner)):
                part = part.slice(later, a["before"][later], a["before"][later] + inner[later])
            first = a["before"][axis]
            for at, count in ((0, first), (first + n, a["after"][axis])):
                if count:
                    places = np.pad(np.arange(n), (first, a["after"][axis]), a["mode"])[at : at + count] + first
                    step = int(places[1] - places[0]) if count > 1 else 1
                    source = self._picked(part, axis, int(places[0]), count, step)
                    b.emit(Copy(f"{node.name}.around", source, part.slice(axis, at, at + count)))

    @staticmethod
    def _picked(v: View, axis: int, first: int, count: int, step: int) -> View:
        """count indices of an axis from `first` on; step 0: always the same one."""
        shape, strides = list(v.shape), list(v.strides)
        offset = v.offset + first * strides[axis]
        shape[axis], strides[axis] = count, step * strides[axis]
        return View(v.buf, offset, tuple(shape), tuple(strides), v.advance, v.outer)

    def frame(self, node, tags, shapes):
        tag = tags[0]
        if isinstance(tag, int) and (node.attrs["before"][tag] or node.attrs["after"][tag]):
            raise NotStreamable(f"{node.name} pads the time axis")
        return node, tag
