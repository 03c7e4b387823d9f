"""y = y[n:], x: the newest n values come behind, the oldest leave                      C: runtime_c/shift.c"""

from dataclasses import dataclass

import numpy as np

from ..program import Env, View
from .base import Kernel


@dataclass(frozen=True)
class Shift(Kernel):
    """x: n values, y: at least as many.  Both buffers share one scale and zero point."""

    x: View
    y: View

    READS = ("x", "y")
    TYPES = ("y",)

    def run(self, env: Env) -> None:
        x, y = (env.view(v).reshape(-1, v.size) for v in (self.x, self.y))
        env.put(self.y, np.concatenate([y[:, x.shape[1] :], x], axis=1))

    def ties(self) -> list[tuple[View, View]]:
        return [(self.x, self.y)]

    def fields(self) -> dict:
        return {"kept": self.y.size - self.x.size, "n": self.x.size}
