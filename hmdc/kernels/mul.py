"""y[i] = clamp(zero + requant((a[i] - a_zero) (b[i] - b_zero)))                        C: runtime_c/mul.c"""

from dataclasses import dataclass, replace

import numpy as np

from ..intmath import Requant
from ..program import Env, View
from .base import Kernel, Quantizer, clamp


@dataclass(frozen=True)
class Mul(Kernel):
    """a, b, y: the same number of values."""

    a: View
    b: View
    y: View
    rq: Requant | None = None
    zeros: tuple[int, int, int] = (0, 0, 0)
    lo: int = 0
    hi: int = 0

    READS = ("a", "b")
    TYPES = ("a", "b", "y")

    def run(self, env: Env) -> None:
        a, b = (env.view(v).reshape(-1, self.y.size) for v in (self.a, self.b))
        if self.rq is None:
            env.put(self.y, a * b)
        else:
            za, zb, zy = self.zeros
            env.put(self.y, np.clip(zy + self.rq((a - za) * (b - zb)), self.lo, self.hi))

    def quantize(self, q: Quantizer) -> list[Kernel]:
        a, b, y = q[self.a], q[self.b], q[self.y]
        rq = Requant.of(a.scale * b.scale / y.scale)
        rq.prove(q.peak(self.a) * q.peak(self.b), self.name)
        return [replace(self, rq=rq, zeros=(a.zero, b.zero, y.zero), **clamp(y))]

    def fields(self) -> dict:
        if self.rq is None:
            return {"n": self.y.size}
        za, zb, zy = self.zeros
        return {"mult": int(self.rq.mult[0]), "shift": self.rq.shift, "a_zero": za, "b_zero": zb, "zero": zy,
                "lo": self.lo, "hi": self.hi, "n": self.y.size}  # fmt: skip
