"""c = sigmoid(f) c + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(c)                       C: runtime_c/lstm_update.c"""

from dataclasses import dataclass, replace

import numpy as np

from ..functions import SIGMOID, TANH, Function
from ..intmath import Requant, limits, lookup, shift_round, significant, table
from ..program import GATE, Env, View
from .base import Const, Kernel, Quantizer
from .table import table_scale


@dataclass(frozen=True)
class LstmUpdate(Kernel):
    """z: pre-activations [4, n] in the order i, f, g, o (Q3.12); c: cell state (int16, power-of-two scale); h: output.

    Integers: c = sat16(((f c) + 2^14 >> 15) + requant(i g)), each product rounded once;
    h = sat(requant(o tanh(c << c_shift))).
    """

    z: View
    c: View
    h: View
    gate: Function = SIGMOID
    candidate: Function = TANH
    output: Function = TANH
    rq_c: Requant | None = None
    rq_h: Requant | None = None
    c_shift: int = 0
    knots: tuple[np.ndarray, ...] = ()
    h_bits: int = 0

    READS = ("z", "c")
    WRITES = ("c", "h")
    TYPES = ("h",)

    def run(self, env: Env) -> None:
        z, c = env.view(self.z).reshape(-1, 4, self.c.size), env.view(self.c).reshape(-1, self.c.size)
        i, f, g, o = z[:, 0], z[:, 1], z[:, 2], z[:, 3]
        if self.rq_c is None:
            c = self.gate(f) * c + self.gate(i) * self.candidate(g)
            h = self.gate(o) * self.output(c)
        else:
            gate, candidate, output = self.knots
            fc = shift_round(lookup(gate, f) * c, 15)
            c = np.clip(fc + self.rq_c(lookup(gate, i) * lookup(candidate, g)), *limits(16))
            t = lookup(output, np.clip(c << self.c_shift, *limits(16)))
            h = np.clip(self.rq_h(lookup(gate, o) * t), *limits(self.h_bits))
        env.put(self.c, c)
        env.put(self.h, h)

    def quantize(self, q: Quantizer) -> list[Kernel]:
        z, c, h = q[self.z], q[self.c], q[self.h]
        shift = int(round(np.log2(c.scale / GATE.scale)))
        assert z.scale == GATE.scale and c.scale == 2.0**shift * GATE.scale and 0 <= shift < 16
        g, o = table_scale(self.candidate, z.scale), table_scale(self.output, GATE.scale)
        rq_c, rq_h = Requant.of(2.0**-15 * g / c.scale), Requant.of(significant(2.0**-15 * o / h.scale))
        rq_c.prove(2**30, self.name)
        rq_h.prove(2**30, self.name)
        knots = (
            table(self.gate, z.scale, 2.0**-15),
            table(self.candidate, z.scale, g),
            table(self.output, GATE.scale, o),
        )
        return [replace(self, rq_c=rq_c, rq_h=rq_h, c_shift=shift, knots=knots, h_bits=h.bits)]

    def fields(self) -> dict:
        n = {"n": self.c.size}
        if self.rq_c is None:
            return {"gate": self.gate, "candidate": self.candidate, "output": self.output} | n
        tables = zip((self.gate, self.candidate, self.output), self.knots)
        return dict(zip(("gate", "candidate", "output"), (Const(f.name, t) for f, t in tables))) | {
            "mult_c": int(self.rq_c.mult[0]), "shift_c": self.rq_c.shift, "c_shift": self.c_shift,
            "mult_h": int(self.rq_h.mult[0]), "shift_h": self.rq_h.shift} | n  # fmt: skip
