"""y[i] = clamp(zero + requant(x[i] - x_zero)): from one scale to another               C: runtime_c/rescale.c"""

from dataclasses import dataclass, replace

import numpy as np

from ..intmath import Requant
from ..program import Env, View
from .base import Kernel, Quantizer, clamp
from .copy import Copy, strided_fields


@dataclass(frozen=True)
class Rescale(Kernel):
    """Strided views of the same shape.  y = clip(factor * x, low, high) in real numbers.

    same: y shall have the scale of x, so that nothing but the element type may change.
    """

    x: View
    y: View
    factor: float = 1.0
    low: float = -np.inf
    high: float = np.inf
    same: bool = False
    rq: Requant | None = None
    x_zero: int = 0
    zero: int = 0
    lo: int = 0
    hi: int = 0

    def run(self, env: Env) -> None:
        x = env.view(self.x)
        if self.rq is None:
            env.put(self.y, np.clip(self.factor * x, self.low, self.high))
        else:
            env.put(self.y, np.clip(self.zero + self.rq(x - self.x_zero), self.lo, self.hi))

    def ties(self) -> list[tuple[View, View]]:
        return [(self.x, self.y)] if self.same else []

    def quantize(self, q: Quantizer) -> list[Kernel]:
        x, y = q[self.x], q[self.y]
        if self.same and x.bits == y.bits:
            return [Copy(self.name, self.x, self.y)]
        rq = Requant.of(self.factor * x.scale / y.scale)
        rq.prove(q.peak(self.x), self.name)
        return [replace(self, rq=rq, x_zero=x.zero, zero=y.zero, **clamp(y, self.low, self.high))]

    def fields(self) -> dict:
        if self.rq is None:
            own = {"factor": self.factor, "lo": self.low, "hi": self.high}
        else:
            own = {"mult": int(self.rq.mult[0]), "shift": self.rq.shift, "x_zero": self.x_zero, "zero": self.zero,
                   "lo": self.lo, "hi": self.hi}  # fmt: skip
        return own | strided_fields(self.x, self.y)
