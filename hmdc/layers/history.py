"""Windows along time, one step after the other: the last steps are kept, and a result comes when a window is full."""

import numpy as np

from ..errors import NotStreamable
from ..kernels import Shift
from ..model import Node
from ..program import View
from .base import with_attrs


def frame(node: Node, axis: int, n: int, steps: int, stride: int, pads: tuple[int, int]) -> Node:
    """The node for one time step, where windows of so many steps move by `stride` along an axis of n steps.

    Its attrs get `time`, the axis; `steps`, those that it keeps; `rate`, if results do not come in every step: those of
    x until the first one, and from one to the next.  Padding in front is what the kept steps begin with.
    """
    (front, behind), last = pads, (n + sum(pads) - steps) // stride * stride + steps - pads[0]
    if front >= steps or last > n:
        raise NotStreamable(f"{node.name} pads the time axis with {front} steps in front and {behind} behind; "
                            f"{steps - 1} in front and none behind would stream")  # fmt: skip
    rate = (steps - front, stride)
    return with_attrs(node, time=axis, steps=steps, **({"rate": rate} if rate != (1, 1) else {}))


def newest(b, node: Node, x: View) -> View:
    """The last time steps of x that a window reaches over, in the order of x; before the first one they are zeros.

    x itself where there is no time: see frame.
    """
    axis, steps = node.attrs.get("time"), node.attrs.get("steps", 1)
    if steps == 1:
        return x
    with b.function(node.attrs.get("source", "frame")):
        x = b.contiguous(f"{node.name}.in", x)
        window = b.state(f"{node.name}.window", None, steps * x.size, b.fmt(x))
        b.emit(Shift(f"{node.name}.shift", x, window))
    order = (axis, *(a for a in range(len(x.shape)) if a != axis))  # time comes first in memory
    window = window.reshape(steps, *(x.shape[a] for a in order[1:]))
    return window.transpose(np.argsort(order))
