"""A convolution is a dense layer on windows of its input, channels last."""

import numpy as np

from ..errors import NotStreamable
from ..kernels import BlockSpmv, Copy, Load
from ..linear import Dense as DenseMap
from ..program import View
from . import history
from .base import Layer, with_attrs

TOGETHER = 1024  # values of the patches that one product takes at once


class Conv(Layer):
    """x: [1, *space, channels] with one or two axes of space.

    attrs: kernel, strides, dilations (one value for each axis of space), pads (all in front, then all behind, zeros),
    groups, axis (the last), low, high.
    weights: w [out, kernel * channels / groups], optional b [out].
    A row of w has channels side by side, then the last axis of space.
    """

    def patches(self, node, x):
        """x: [samples, 1, *space, channels] -> [samples, 1, *space, groups, kernel * channels / groups]"""
        a, space = node.attrs, len(node.attrs["kernel"])
        x = np.pad(x, [(0, 0), (0, 0), *zip(a["pads"][:space], a["pads"][space:]), (0, 0)])
        reach = [(k - 1) * d + 1 for k, d in zip(a["kernel"], a["dilations"])]
        w = np.lib.stride_tricks.sliding_window_view(x, reach, tuple(range(2, 2 + space)))
        w = w[(..., *(slice(None, None, d) for d in a["dilations"]))]
        w = w[(slice(None),) * 2 + tuple(slice(None, None, s) for s in a["strides"])]
        w = np.moveaxis(w, 2 + space, -1)  # [samples, 1, *space, *kernel, channels]
        w = np.moveaxis(w.reshape(*w.shape[:-1], a["groups"], -1), -2, 2 + space)
        return w.reshape(*w.shape[: 3 + space], -1)

    def reference(self, node, x):
        a, groups = node.attrs, node.attrs["groups"]
        w = node.weights["w"].reshape(groups, -1, node.weights["w"].shape[1])
        y = (self.patches(node, x)[..., None, :] @ w.swapaxes(1, 2))[..., 0, :]
        y = y.reshape(*y.shape[:-2], -1) + node.weights.get("b", 0.0)
        return (np.clip(y, a["low"], a["high"]),)

    def lower(self, b, node, x):
        x = history.newest(b, node, x)
        windows = self._windows(node, self._padded(b, node, x))
        (h, w), rows = windows.shape[:2], len(node.weights["w"])
        shape = (1, *(h, w)[: len(node.attrs["kernel"])], rows)
        y = b.output(node.outputs[0], shape, node.name)
        n = self._together(b, node, windows)
        walk = lambda v, axis, n: v if v.shape[axis] == n else v.walk(axis, 0, n, False)
        windows, out = walk(windows, 0, 1), walk(y.reshape(h, w, rows), 0, 1)
        with b.loop(h), b.loop(w // n):
            if n < w:
                windows, out = (self._inner(v, n) for v in (windows, out))
            patch = b.contiguous(f"{node.name}.patch", windows)
            self._product(b, node, patch.reshape(patch.size), out.reshape(out.size), n)
        return (y,)

    @staticmethod
    def _inner(v: View, n: int) -> View:
        """n positions along axis 1 per iteration, inside the loop over axis 0."""
        return View(v.buf, v.offset, (1, n, *v.shape[2:]), v.strides, n * v.strides[1], v.advance)

    def _product(self, b, node, x, y, n):
        w, end = node.weights["w"], {"bias": node.weights.get("b"), "low": node.attrs["low"],
                                     "high": node.attrs["high"]}  # fmt: skip
        groups = node.attrs["groups"]
        if groups == 1:
            return b.product(node.name, x, y, p=n, **end)
        each = len(w) // groups
        whole = np.zeros((groups, each, groups, w.shape[1]))
        whole[range(groups), :, range(groups)] = w.reshape(groups, each, -1)
        rows = max(r for r in range(1, 9) if each % r == 0)
        block = (rows, w.shape[1])
        b.emit(BlockSpmv(node.name, x, y, whole.reshape(len(w), -1), block, **end))

    def _padded(self, b, node, x: View) -> View:
        """x as [height, width, channels], zeros around it."""
        pads, space = node.attrs["pads"], len(node.attrs["kernel"])
        if any(pads):
            shape = [1, *(n + f + r for n, f, r in zip(x.shape[1:], pads[:space], pads[space:])), x.shape[-1]]
            around = b.buffer(f"{node.name}.padded", tuple(shape), b.fmt(x))
            inside = around
            for i in range(space):
                inside = inside.slice(i + 1, pads[i], pads[i] + x.shape[i + 1])
            b.emit(Load(f"{node.name}.pad", around, np.zeros(around.size)))
            b.emit(Copy(f"{node.name}.fill", x, inside))
            x = around
        one = () if space == 2 else (1,)
        strides = (*x.strides[1:-1], *(0 for _ in one), x.strides[-1])
        return View(x.buf, x.offset, (*x.shape[1:-1], *one, x.shape[-1]), strides)

    def _windows(self, node, x: View) -> View:
        """x: [height, width, channels] -> [rows, columns, groups, *kernel, channels / groups], overlapping."""
        two = lambda key: (*node.attrs[key], 1)[:2]
        kernel, strides, dilations, groups = two("kernel"), two("strides"), two("dilations"), node.attrs["groups"]
        moves = x.strides[:2]
        counts = [(n - (k - 1) * d - 1) // s + 1 for n, k, d, s in zip(x.shape, kernel, dilations, strides)]
        each, step = x.shape[2] // groups, x.strides[2]
        taps = [d * m for d, m in zip(dilations, moves)]
        starts = [s * m for s, m in zip(strides, moves)]
        return View(x.buf, x.offset, (*counts, groups, *kernel, each), (*starts, each * step, *taps, step))

    def _together(self, b, node, windows: View) -> int:
        """Positions of a row that one product takes."""
        columns, size = windows.shape[1], windows.size // (windows.shape[0] * windows.shape[1])
        alone = windows.slice(0, 0, 1).slice(1, 0, 1).contiguous or node.attrs["groups"] > 1
        if alone or not isinstance(b.maps[node.name], DenseMap):
            return 1
        return max(n for n in range(1, columns + 1) if columns % n == 0 and (n == 1 or n * size <= TOGETHER))

    def frame(self, node, tags, shapes):
        tag = tags[0]
        if not isinstance(tag, int):
            return node, tag
        a, i, space = node.attrs, tag - 1, len(node.attrs["kernel"])
        if not 0 <= i < space:
            raise NotStreamable(f"{node.name} takes time for its channels")
        steps, pads = (a["kernel"][i] - 1) * a["dilations"][i] + 1, (a["pads"][i], a["pads"][i + space])
        node = history.frame(node, tag, shapes[0][tag], steps, a["strides"][i], pads)
        others = tuple(0 if k % space == i else p for k, p in enumerate(a["pads"]))
        strides = tuple(1 if k == i else s for k, s in enumerate(a["strides"]))
        return with_attrs(node, pads=others, strides=strides), tag
