"""y[i] = clamp(zero + requant(table(x[i]))): any scalar function                       C: runtime_c/table.c"""

from dataclasses import dataclass, replace

import numpy as np

from ..functions import Function
from ..intmath import Requant, limits, lookup, significant, table
from ..program import Env, View
from .base import Const, Kernel, Quantizer, clamp


@dataclass(frozen=True)
class Table(Kernel):
    """x: int16, interpolated between 257 knots; x: int8, one entry per value, exact (C: runtime_c/table8.c)."""

    x: View
    y: View
    f: Function
    knots: np.ndarray | None = None
    rq: Requant | None = None
    zero: int = 0
    lo: int = 0
    hi: int = 0

    def run(self, env: Env) -> None:
        x = env.view(self.x)
        if self.knots is None:
            env.put(self.y, self.f(x))
        elif self.rq is None:
            env.put(self.y, self.knots.astype(np.int64)[x + 128])
        else:
            env.put(self.y, np.clip(self.zero + self.rq(lookup(self.knots, x)), self.lo, self.hi))

    def quantize(self, q: Quantizer) -> list[Kernel]:
        x, y = q[self.x], q[self.y]
        if x.bits == 8:
            every = x.dequantize(np.arange(-128, 128))
            return [replace(self, knots=y.quantize(self.f(every)).astype(np.int8 if y.bits == 8 else np.int16))]
        value = table_scale(self.f, x.scale, y.scale * max(abs(v - y.zero) for v in limits(y.bits)))
        rq = Requant.of(value / y.scale)
        rq.prove(2**16, self.name)
        return [replace(self, knots=table(self.f, x.scale, value), rq=rq, zero=y.zero, **clamp(y))]

    def c_kernel(self, float_mode: bool) -> str:
        if float_mode:
            return "table_f32"
        return "table" if self.rq is not None else "table8"

    def fields(self) -> dict:
        if self.knots is None:
            return {"f": self.f, "n": self.y.size}
        if self.rq is None:
            return {"table": Const(f"{self.name}_{self.f.name}", self.knots), "n": self.y.size}
        return {"table": Const(self.f.name, self.knots), "mult": int(self.rq.mult[0]), "shift": self.rq.shift,
                "zero": self.zero, "lo": self.lo, "hi": self.hi, "n": self.y.size}  # fmt: skip


def table_scale(f: Function, x_scale: float, reach: float = np.inf) -> float:
    """Real value of one step of a table's int16 entries: 2**-15 for functions within [-1, 1].

    reach: of the values that are told apart; where the function goes beyond, the table saturates at twice as much.
    """
    if f.bounded:
        return 2.0**-15
    lo, hi = limits(16)
    peak = np.abs(f(np.linspace(lo, hi, 4097) * x_scale)).max()
    return float(significant(max(min(peak, 2 * reach), 1e-30) / hi))
