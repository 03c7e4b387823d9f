"""y[i] = clamp(zero + x[i] + add[i]): int32 partial sums become values                 C: runtime_c/settle.c"""

from dataclasses import dataclass, replace

import numpy as np

from ..program import Env, View
from .base import Kernel, Quantizer, clamp


@dataclass(frozen=True)
class Settle(Kernel):
    """x, add: int32 on the grid of y; add may be None."""

    x: View
    y: View
    add: View | None = None
    low: float = -np.inf
    high: float = np.inf
    zero: int | None = None
    lo: int = 0
    hi: int = 0

    READS = ("x", "add")
    TYPES = ("y",)

    def run(self, env: Env) -> None:
        total = env.view(self.x).reshape(-1, self.y.size)
        if self.add is not None:
            total = total + env.view(self.add).reshape(total.shape)
        if self.zero is None:
            env.put(self.y, np.clip(total, self.low, self.high))
        else:
            env.put(self.y, np.clip(total + self.zero, self.lo, self.hi))

    def ties(self) -> list[tuple[View, View]]:
        return [(self.x, self.y)] + ([] if self.add is None else [(self.add, self.y)])

    def quantize(self, q: Quantizer) -> list[Kernel]:
        y = q[self.y]
        return [replace(self, zero=y.zero, **clamp(y, self.low, self.high))]

    def fields(self) -> dict:
        bounds = (
            {"lo": self.low, "hi": self.high}
            if self.zero is None
            else {"zero": self.zero, "lo": self.lo, "hi": self.hi}
        )
        return {"n": self.y.size} | bounds
