"""What a layer is: its float definition, its lowering to kernel calls, and how it behaves along time."""

from dataclasses import replace

import numpy as np

from ..build import Builder
from ..errors import NotStreamable
from ..model import Node
from ..program import View

# Where the time axis of a value is: an int = that axis, one index per step; NOW = no such axis, the value stands for
# the newest step; MEAN = likewise, but only after the last of all steps; None = does not change over time.
NOW, MEAN = "now", "mean"
Tag = int | str | None


class Layer:
    """Subclasses are registered in layers.OPS under the `op` of the nodes they define."""

    def reference(self, node: Node, *xs: np.ndarray) -> tuple[np.ndarray, ...]:
        """The definition in float64.  xs: [samples, *shape]."""
        raise NotImplementedError

    def lower(self, b: Builder, node: Node, *views: View) -> tuple[View, ...]:
        """Emit the calls; return one view per output."""
        raise NotImplementedError

    def frame(self, node: Node, tags: list[Tag], shapes: list[tuple[int, ...]]) -> tuple[Node, Tag]:
        """The node that does one time step of this one, and the tag of its outputs.  shapes: of the whole sequence.

        A node whose outputs come at another rate than its inputs says so in attrs: see history.frame.
        """
        return node, join(node, tags)


def join(node: Node, tags: list[Tag]) -> Tag:
    """The tag of an element-wise combination."""
    kinds = set(tags)
    if kinds == {NOW, MEAN}:
        return MEAN
    if len(kinds) > 1:
        raise NotStreamable(f"{node.name} combines values of one step with values of the whole sequence")
    return tags[0]


def last_axis_only(node: Node, tag: Tag, axis: int, what: str) -> Tag:
    """A layer that mixes the values along `axis` streams unless that axis is time."""
    if tag == axis:
        raise NotStreamable(f"{node.name} {what} all time steps")
    return tag


def with_attrs(node: Node, **attrs) -> Node:
    return replace(node, attrs=node.attrs | attrs)
