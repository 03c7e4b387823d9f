"""Layers that look at windows: convolutions and pooling over time, or over time and the values of a step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import HmdcError
from .assemble import Layer, Row

OPTIONS = ("stride", "padding", "dilation")
POOLS = {"maxpool": "max", "avgpool": "mean"}


@dataclass(frozen=True)
class Window:
    """One number for each axis.  padding: zeros on both sides of each axis, or same, or causal: in front of time."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[int, ...] | str

    @classmethod
    def told(cls, table: dict, size: Sequence[int], stride: Sequence[int] | None = None) -> "Window":
        """As the architecture file has it; a number stands for all axes."""
        every = lambda v: tuple(v) if isinstance(v, list) else (v,) * len(size)
        padding = table.get("padding", 0)
        return cls(tuple(size), every(table.get("stride", stride or 1)), every(table.get("dilation", 1)),
                   padding if isinstance(padding, str) else every(padding))  # fmt: skip

    def over(self, row: Row, lengths: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
        """Numbers of windows, and the padding in front and behind.  lengths: of the axes."""
        counts, front, behind = [], [], []
        for i, (n, k, s, d) in enumerate(zip(lengths, self.size, self.stride, self.dilation)):
            reach = (k - 1) * d + 1
            around = 2 * self.padding[i] if not isinstance(self.padding, str) else reach - 1
            if self.padding == "same":
                around = max((-(-n // s) - 1) * s + reach - n, 0)
            first = around if self.padding == "causal" and i == 0 else around // 2
            if n + around < reach:
                raise HmdcError(f"{row.source} looks at {reach} values at once where there are {n + around}: "
                                "more steps, or more padding")  # fmt: skip
            counts.append((n + around - reach) // s + 1)
            front.append(first)
            behind.append(around - first)
        return counts, front, behind


def convolution(kind: str, prefix: str, w: np.ndarray, bias: np.ndarray | None, window: Window, groups: int = 1,
                note: str = "") -> Layer:  # fmt: skip
    """kind: conv1d or conv2d.  w: [out, in / groups, *kernel]."""
    space, (outputs, each) = w.ndim - 2, w.shape[:2]
    if outputs % groups:
        raise HmdcError(f"{kind} {prefix!r}: {outputs} outputs cannot be in {groups} groups")
    weights = {"w": np.moveaxis(w, 1, -1).reshape(outputs, -1)} | ({} if bias is None else {"b": bias})

    def emit(row: Row) -> None:
        if space == 2:
            row.image()
        else:
            row.reshape(1, row.steps(), row.shape[-1])
        if row.shape[-1] != each * groups:
            raise HmdcError(f"{row.source} takes {each * groups} channels but gets {row.shape[-1]}; "
                            "say the order of the layers with --architecture")  # fmt: skip
        counts, front, behind = window.over(row, row.shape[1:-1])
        row.add("conv", "conv", (1, *counts, outputs), weights, kernel=window.size, strides=window.stride,
                dilations=window.dilation, pads=(*front, *behind), groups=groups, axis=space + 1, low=-np.inf,
                high=np.inf)  # fmt: skip
        if space == 1:
            row.reshape(*counts, 1, outputs)

    return Layer(kind, prefix, each * groups if space == 1 else None, outputs, emit, note)


def pool(kind: str, window: Window) -> Layer:
    """kind: one of POOLS.  A mean counts padding as zeros, as PyTorch does; one axis: time."""

    def emit(row: Row) -> None:
        first = 1 if len(row.shape) == 4 else 0
        axes = range(first, first + len(window.size))
        if len(window.size) == 2 and first == 0:
            raise HmdcError(f"{row.source}: size {list(window.size)} is for conv2d; after others it is one number")
        counts, front, behind = window.over(row, [row.shape[a] for a in axes])
        for i, axis in enumerate(axes):
            shape = (*row.shape[:axis], counts[i], *row.shape[axis + 1 :])
            row.add("pool", kind, shape, axis=axis, kind=POOLS[kind], size=window.size[i], stride=window.stride[i],
                    dilation=window.dilation[i], pads=(front[i], behind[i]))  # fmt: skip

    return Layer(kind, "", None, None, emit)


def told_pool(kind: str, table: dict) -> Layer:
    """A pooling of the architecture file; the stride is the size unless told."""
    size = table.get("size", 2)
    size = size if isinstance(size, list) else [size]
    return pool(kind, Window.told(table, size, table.get("stride", size)))
