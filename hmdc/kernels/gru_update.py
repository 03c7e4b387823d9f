"""h = sigmoid(z) h + (1 - sigmoid(z)) tanh(n)                                          C: runtime_c/gru_update.c"""

from dataclasses import dataclass, replace

import numpy as np

from ..functions import SIGMOID, TANH, Function
from ..intmath import Requant, limits, lookup, shift_round, table
from ..program import GATE, Env, View
from .base import Const, Kernel, Quantizer
from .table import table_scale


@dataclass(frozen=True)
class GruUpdate(Kernel):
    """z: update gate, n: candidate, both pre-activations (Q3.12); h: the carried state, int16.

    Integers: h = sat16((z h + 2^14 >> 15) + requant((2^15 - z) n)), each product rounded once.
    """

    z: View
    n: View
    h: View
    gate: Function = SIGMOID
    candidate: Function = TANH
    rq: Requant | None = None
    knots: tuple[np.ndarray, ...] = ()

    READS = ("z", "n", "h")
    WRITES = ("h",)
    TYPES = ()

    def run(self, env: Env) -> None:
        z, n, h = (env.view(v).reshape(-1, self.h.size) for v in (self.z, self.n, self.h))
        if self.rq is None:
            z = self.gate(z)
            h = z * h + (1 - z) * self.candidate(n)
        else:
            z, n = lookup(self.knots[0], z), lookup(self.knots[1], n)
            h = np.clip(shift_round(z * h, 15) + self.rq((2**15 - z) * n), *limits(16))
        env.put(self.h, h)

    def quantize(self, q: Quantizer) -> list[Kernel]:
        z, n, h = q[self.z], q[self.n], q[self.h]
        assert z.scale == n.scale == GATE.scale and h.bits == 16
        value = table_scale(self.candidate, n.scale)
        rq = Requant.of(2.0**-15 * value / h.scale)
        rq.prove(2**30, self.name)
        return [
            replace(self, rq=rq, knots=(table(self.gate, z.scale, 2.0**-15), table(self.candidate, n.scale, value)))
        ]

    def fields(self) -> dict:
        if self.rq is None:
            return {"gate": self.gate, "candidate": self.candidate, "n": self.h.size}
        gate, candidate = (Const(f.name, t) for f, t in zip((self.gate, self.candidate), self.knots))
        return {"gate": gate, "candidate": candidate,
            "mult": int(self.rq.mult[0]), "shift": self.rq.shift, "n": self.h.size}  # fmt: skip
