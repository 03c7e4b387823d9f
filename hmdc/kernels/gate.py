"""y[i] = clamp(add[i] + requant(sigmoid(a[i]) b[i])): one value gates another        C: runtime_c/gate.c"""

from dataclasses import dataclass, replace

import numpy as np

from ..functions import SIGMOID, Function
from ..intmath import Requant, lookup, table
from ..program import GATE, Env, View
from .base import Const, Kernel, Quantizer, clamp


@dataclass(frozen=True)
class Gate(Kernel):
    """a: pre-activation (Q3.12), b: int16, add: int32 on the grid of y, or None; y: int8 or int16, zero point 0."""

    a: View
    b: View
    y: View
    add: View | None = None
    gate: Function = SIGMOID
    knots: np.ndarray | None = None
    rq: Requant | None = None
    lo: int = 0
    hi: int = 0

    READS = ("a", "b", "add")
    TYPES = ("y",)

    def run(self, env: Env) -> None:
        a, b = (env.view(v).reshape(-1, self.y.size) for v in (self.a, self.b))
        add = 0 if self.add is None else env.view(self.add).reshape(a.shape)
        if self.rq is None:
            env.put(self.y, self.gate(a) * b + add)
        else:
            env.put(self.y, np.clip(self.rq(lookup(self.knots, a) * b) + add, self.lo, self.hi))

    def ties(self) -> list[tuple[View, View]]:
        return [] if self.add is None else [(self.add, self.y)]

    def quantize(self, q: Quantizer) -> list[Kernel]:
        a, b, y = q[self.a], q[self.b], q[self.y]
        assert a.scale == GATE.scale and b.bits == 16 and b.zero == y.zero == 0
        rq = Requant.of(2.0**-15 * b.scale / y.scale)
        rq.prove(2**30, self.name)
        return [replace(self, knots=table(self.gate, a.scale, 2.0**-15), rq=rq, **clamp(y))]

    def fields(self) -> dict:
        if self.rq is None:
            return {"gate": self.gate, "n": self.y.size}
        return {"gate": Const(self.gate.name, self.knots), "mult": int(self.rq.mult[0]), "shift": self.rq.shift,
                "lo": self.lo, "hi": self.hi, "n": self.y.size}  # fmt: skip
