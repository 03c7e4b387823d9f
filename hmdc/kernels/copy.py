"""y[i] = x[i], both strided views of the same shape                                    C: runtime_c/copy.c"""

from dataclasses import dataclass

from ..errors import HmdcError
from ..program import Env, View
from .base import Kernel


def loops(x: View, y: View) -> tuple[list[int], list[int], list[int]]:
    """Sizes, strides of x and strides of y of the fewest nested loops that walk both views, as 4 loops.

    Raises HmdcError if they take more.
    """
    merged: list[list[int]] = []
    for n, sx, sy in zip(x.shape, x.strides, y.strides):
        if n == 1:
            continue
        if merged and merged[-1][1] == n * sx and merged[-1][2] == n * sy:
            merged[-1] = [merged[-1][0] * n, sx, sy]
        else:
            merged.append([n, sx, sy])
    if len(merged) > 4:
        raise HmdcError(f"{x.buf} to {y.buf}: shape {x.shape} takes {len(merged)} nested loops to walk; the most is 4")
    merged = [[1, 0, 0]] * (4 - len(merged)) + merged
    n, sx, sy = (list(c) for c in zip(*merged))
    return n, sx, sy


def strided_fields(x: View, y: View) -> dict[str, int]:
    """The loop nest as constants of a C struct."""
    n, sx, sy = loops(x, y)
    return {f"{name}{i}": v[i] for i in range(4) for name, v in (("n", n), ("x", sx), ("y", sy))}


@dataclass(frozen=True)
class Copy(Kernel):
    """Both buffers share one scale and zero point."""

    x: View
    y: View

    TYPES = ("y",)

    def run(self, env: Env) -> None:
        env.put(self.y, env.view(self.x).copy())

    def ties(self) -> list[tuple[View, View]]:
        return [(self.x, self.y)]

    def fields(self) -> dict:
        return strided_fields(self.x, self.y)
