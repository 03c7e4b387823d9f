"""y[i] = clamp(zero + requant(a[i] - a_zero) + sign requant(b[i] - b_zero))            C: runtime_c/add.c"""

from dataclasses import dataclass, replace

import numpy as np

from ..intmath import Requant
from ..program import Env, View
from .base import Kernel, Quantizer, clamp


@dataclass(frozen=True)
class Add(Kernel):
    """a, b, y: the same number of values; sign: 1 or -1."""

    a: View
    b: View
    y: View
    sign: int = 1
    rq: tuple[Requant, ...] = ()
    zeros: tuple[int, int, int] = (0, 0, 0)
    lo: int = 0
    hi: int = 0

    READS = ("a", "b")
    TYPES = ("a", "b", "y")

    def run(self, env: Env) -> None:
        a, b = (env.view(v).reshape(-1, self.y.size) for v in (self.a, self.b))
        if not self.rq:
            env.put(self.y, a + self.sign * b)
        else:
            za, zb, zy = self.zeros
            env.put(self.y, np.clip(zy + self.rq[0](a - za) + self.sign * self.rq[1](b - zb), self.lo, self.hi))

    def quantize(self, q: Quantizer) -> list[Kernel]:
        a, b, y = q[self.a], q[self.b], q[self.y]
        rq = tuple(Requant.of(v.scale / y.scale) for v in (a, b))
        for r, v in zip(rq, (self.a, self.b)):
            r.prove(2 * q.peak(v), self.name)  # the sum of both stays within int32 too
        return [replace(self, rq=rq, zeros=(a.zero, b.zero, y.zero), **clamp(y))]

    def fields(self) -> dict:
        if not self.rq:
            return {"sign": self.sign, "n": self.y.size}
        (ra, rb), (za, zb, zy) = self.rq, self.zeros
        return {"a_mult": int(ra.mult[0]), "a_shift": ra.shift, "a_zero": za, "b_mult": int(rb.mult[0]),
                "b_shift": rb.shift, "b_zero": zb, "sign": self.sign, "zero": zy, "lo": self.lo, "hi": self.hi,
                "n": self.y.size}  # fmt: skip
