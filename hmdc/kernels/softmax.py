"""y[p,i,q] = zero + e_i * one / sum_j e_j, e_i = exp(x_i - max_j x_j)                  C: runtime_c/softmax.c"""

from dataclasses import dataclass, replace

import numpy as np

from ..errors import HmdcError
from ..functions import Function
from ..intmath import Requant, limits, lookup, table
from ..program import Env, View
from .base import Const, Kernel, Quantizer, clamp

# exp(-u) for u in [0, 16); the argument is Q4.11, used from its positive half
DECAY = Function("decay", lambda u: np.exp(-np.maximum(u, -1.0)), "expf", (0.0, 1.0))
STEP = 2.0**-11


@dataclass(frozen=True)
class Softmax(Kernel):
    """x: int16, p*n*q values, softmax over n; y: scale 1/256 (int8) or 2^-15 (int16), rounded division, halves up."""

    x: View
    y: View
    n: int
    p: int = 1
    q: int = 1
    knots: np.ndarray | None = None
    rq: Requant | None = None
    zero: int = 0
    one: int = 0
    lo: int = 0
    hi: int = 0

    TYPES = ("y",)

    def run(self, env: Env) -> None:
        x = env.view(self.x).reshape(-1, self.p, self.n, self.q)
        down = x.max(axis=2, keepdims=True) - x
        if self.rq is None:
            e = np.exp(-down)
            env.put(self.y, e / e.sum(axis=2, keepdims=True))
            return
        e = lookup(self.knots, np.minimum(self.rq(down), limits(16)[1]))
        total = e.sum(axis=2, keepdims=True)
        env.put(self.y, np.clip(self.zero + (e * self.one + total // 2) // total, self.lo, self.hi))

    def quantize(self, q: Quantizer) -> list[Kernel]:
        x, y = q[self.x], q[self.y]
        rq = Requant.of(x.scale / STEP)
        rq.prove(2**16, self.name)
        if self.n > 2**15:  # the sum of n values of 15 bits, and one value times `one`, share 32 bits
            raise HmdcError(f"{self.name}: softmax over {self.n} classes; the most is {2**15}")
        one = int(round(1 / y.scale))
        return [replace(self, knots=table(DECAY, STEP, 2.0**-15), rq=rq, zero=y.zero, one=one, **clamp(y))]

    def fields(self) -> dict:
        dims = {"p": self.p, "n": self.n, "q": self.q}
        if self.rq is None:
            return dims
        return {"table": Const("decay", self.knots[128:]), "mult": int(self.rq.mult[0]), "shift": self.rq.shift,
                "zero": self.zero, "one": self.one, "lo": self.lo, "hi": self.hi, **dims}  # fmt: skip
