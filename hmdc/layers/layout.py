"""Layers that move no numbers where they can help it: views of the same memory, and concatenation."""

import numpy as np

from ..errors import NotStreamable
from .base import NOW, Layer, join, with_attrs


class Reshape(Layer):
    """attrs: shape."""

    def reference(self, node, x):
        return (x.reshape(len(x), *node.attrs["shape"]),)

    def lower(self, b, node, x):
        return (b.contiguous(f"{node.name}.in", x).reshape(*node.attrs["shape"]),)

    def frame(self, node, tags, shapes):
        (tag,), (old,), new = tags, shapes, tuple(node.attrs["shape"])
        if not isinstance(tag, int):
            return node, tag
        before, steps = int(np.prod(old[:tag], dtype=int)), old[tag]
        for axis, n in enumerate(new):
            if n == steps and int(np.prod(new[:axis], dtype=int)) == before:
                return with_attrs(node, shape=(*new[:axis], 1, *new[axis + 1 :])), axis
        if steps == 1:
            return node, NOW
        raise NotStreamable(f"{node.name} joins the time axis with others: {list(old)} -> {list(new)}")


class Transpose(Layer):
    """attrs: perm."""

    def reference(self, node, x):
        return (x.transpose(0, *(a + 1 for a in node.attrs["perm"])),)

    def lower(self, b, node, x):
        return (x.transpose(node.attrs["perm"]),)

    def frame(self, node, tags, shapes):
        tag = tags[0]
        return node, node.attrs["perm"].index(tag) if isinstance(tag, int) else tag


class Slice(Layer):
    """The indices range(start, stop, step) of an axis.  attrs: axis, start, stop, step (negative: in reverse)."""

    def reference(self, node, x):
        a = node.attrs
        return (np.take(x, range(a["start"], a["stop"], a["step"]), axis=a["axis"] + 1),)

    def lower(self, b, node, x):
        a = node.attrs
        return (x.slice(a["axis"], a["start"], a["stop"], a["step"]),)

    def frame(self, node, tags, shapes):
        a, tag, n = node.attrs, tags[0], shapes[0][node.attrs["axis"]]
        if tag != a["axis"]:
            return node, tag
        if (a["start"], a["stop"], a["step"]) == (0, n, 1):
            return with_attrs(node, stop=1), tag
        if list(range(a["start"], a["stop"], a["step"])) == [n - 1]:
            return with_attrs(node, start=0, stop=1, step=1), NOW
        last = range(a["start"], a["stop"], a["step"])[-1]
        raise NotStreamable(f"{node.name} picks time steps {a['start']}..{last} of {n}")


class Concat(Layer):
    """attrs: axis."""

    def reference(self, node, *xs):
        return (np.concatenate(xs, axis=node.attrs["axis"] + 1),)

    def lower(self, b, node, *views):
        parts = self.parts(b, node, [v.shape for v in views])
        for i, (x, y) in enumerate(zip(views, parts)):
            if b.targets.get(node.inputs[i]) != y:
                b.move(f"{node.name}.{i}", x, y)
        return (b.targets[node.outputs[0]],)

    def parts(self, b, node, shapes):
        """The views that the inputs fill; a layer that can write there directly is told to by lower.py."""
        axis = node.attrs["axis"]
        total = sum(s[axis] for s in shapes)
        shape = (*shapes[0][:axis], total, *shapes[0][axis + 1 :])
        value = node.outputs[0]
        if value not in b.targets:
            b.targets[value] = b.output(value, shape, node.name)
        whole, parts, at = b.targets[value].reshape(*shape), [], 0
        for s in shapes:
            parts.append(whole.slice(axis, at, at + s[axis]))
            at += s[axis]
        return parts

    def frame(self, node, tags, shapes):
        if node.attrs["axis"] in tags:
            raise NotStreamable(f"{node.name} joins values along the time axis")
        return node, join(node, tags)
