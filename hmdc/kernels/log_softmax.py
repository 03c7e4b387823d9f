"""y[p,i,q] = x_i - max_j x_j - log(sum_j exp(x_j - max x))                             C: runtime_c/log_softmax.c"""

from dataclasses import dataclass, replace
from math import log

import numpy as np

from ..errors import HmdcError
from ..intmath import Requant, lookup, table
from ..program import Env, View
from .base import Const, Kernel, Quantizer, clamp

ONE = 2**15  # of every number in between: logarithms to base 2, and powers of 2
MORE = 5  # bits of the powers that are summed: most of many are small
MOST = 2**11  # values that share a sum of 31 bits


@dataclass(frozen=True)
class LogSoftmax(Kernel):
    """x: int16, p*n*q values, along n.  tables: 2^-u - 1/2 and log2(1 + u) for u in [0, 1), knots as in intmath."""

    x: View
    y: View
    n: int
    p: int = 1
    q: int = 1
    tables: tuple[np.ndarray, np.ndarray] | None = None
    rq: tuple[Requant, Requant] | None = None  # down to octaves, and these to y
    zero: int = 0
    lo: int = 0
    hi: int = 0

    TYPES = ("y",)

    def run(self, env: Env) -> None:
        x = env.view(self.x).reshape(-1, self.p, self.n, self.q)
        down = x.max(axis=2, keepdims=True) - x
        if self.rq is None:
            env.put(self.y, -down - np.log(np.exp(-down).sum(axis=2, keepdims=True)))
            return
        power, logarithm = self.tables
        down = self.rq[0](down)
        terms = (lookup(power, down & (ONE - 1)) + ONE // 2 << MORE) >> np.minimum(down >> 15, 31)
        total = terms.sum(axis=2, keepdims=True)
        octaves = np.frexp(total.astype(np.float64))[1] - 16 - MORE  # the largest power is 1
        octaves = (octaves << 15) + lookup(logarithm, (total >> octaves + MORE) - ONE)
        env.put(self.y, np.clip(self.zero + self.rq[1](-(down + octaves)), self.lo, self.hi))

    def quantize(self, q: Quantizer) -> list[Kernel]:
        x, y = q[self.x], q[self.y]
        if self.n > MOST:
            raise HmdcError(f"{self.name}: log_softmax over {self.n} classes; the most is {MOST}")
        octave = log(2) / ONE
        rq = Requant.of(x.scale / octave), Requant.of(octave / y.scale)
        rq[0].prove(2**16, self.name)
        rq[1].prove((x.scale * 2**16 / octave) + 16 * ONE, self.name)
        return [replace(self, tables=TABLES, rq=rq, zero=y.zero, **clamp(y))]

    def fields(self) -> dict:
        dims = {"p": self.p, "n": self.n, "q": self.q}
        if self.rq is None:
            return dims
        (power, logarithm), (down, up) = self.tables, self.rq
        return {"power": Const("power", power[128:]), "logarithm": Const("logarithm", logarithm[128:]),
                "down_mult": int(down.mult[0]), "down_shift": down.shift, "mult": int(up.mult[0]), "shift": up.shift,
                "zero": self.zero, "lo": self.lo, "hi": self.hi, **dims}  # fmt: skip


TABLES = (
    table(lambda u: 2.0**-u - 0.5, 1 / ONE, 1 / ONE),
    table(lambda u: np.log2(1 + np.maximum(u, -0.5)), 1 / ONE, 1 / ONE),
)
