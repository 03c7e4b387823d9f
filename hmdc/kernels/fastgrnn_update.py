"""h = sigmoid(z) h + (zeta (1 - sigmoid(z)) + nu) tanh(z + shift)                     C: runtime_c/fastgrnn_update.c"""

from dataclasses import dataclass, replace

import numpy as np

from ..functions import SIGMOID, TANH, Function
from ..intmath import Requant, limits, lookup, round_half_up, shift_round, table
from ..program import GATE, Env, View
from .base import Const, Kernel, Quantizer
from .table import table_scale


@dataclass(frozen=True)
class FastgrnnUpdate(Kernel):
    """z: pre-activation of the gate (Q3.12); shift: what the candidate's is larger by, [n]; h: carried state, int16.

    zeta, nu: within 0..1.  Integers: zeta, nu as Q1.14, m = zeta + nu - (zeta sigmoid(z) + 2^14 >> 15),
    h = sat16((sigmoid(z) h + 2^14 >> 15) + requant(m tanh(sat16(z + shift)))).
    """

    z: View
    h: View
    shift: np.ndarray
    zeta: float
    nu: float
    gate: Function = SIGMOID
    candidate: Function = TANH
    rq: Requant | None = None
    knots: tuple[np.ndarray, ...] = ()

    READS = ("z", "h")
    WRITES = ("h",)
    TYPES = ()

    def run(self, env: Env) -> None:
        z, h = (env.view(v).reshape(-1, self.h.size) for v in (self.z, self.h))
        if self.rq is None:
            n, z = self.candidate(z + self.shift), self.gate(z)
            h = z * h + (self.zeta * (1 - z) + self.nu) * n
        else:
            n, z = lookup(self.knots[1], np.clip(z + self.shift, *limits(16))), lookup(self.knots[0], z)
            fresh = (self.zeta + self.nu - shift_round(self.zeta * z, 15)) * n
            h = np.clip(shift_round(z * h, 15) + self.rq(fresh), *limits(16))
        env.put(self.h, h)

    def quantize(self, q: Quantizer) -> list[Kernel]:
        z, h = q[self.z], q[self.h]
        assert z.scale == GATE.scale and h.bits == 16
        value = table_scale(self.candidate, z.scale)
        rq = Requant.of(2.0**-14 * value / h.scale)
        rq.prove(2**30, self.name)
        shift = np.clip(round_half_up(self.shift / z.scale), *limits(16)).astype(np.int16)
        zeta, nu = (int(round_half_up(np.float64(v * 2**14))) for v in (self.zeta, self.nu))
        knots = table(self.gate, z.scale, 2.0**-15), table(self.candidate, z.scale, value)
        return [replace(self, shift=shift, zeta=zeta, nu=nu, rq=rq, knots=knots)]

    def weights(self) -> list[np.ndarray]:
        return [self.shift]

    def fields(self) -> dict:
        if self.rq is None:
            own = {"gate": self.gate, "candidate": self.candidate, "shift": self.shift.astype(np.float32)}
            return own | {"zeta": float(self.zeta), "nu": float(self.nu), "n": self.h.size}
        gate, candidate = (Const(f.name, t) for f, t in zip((self.gate, self.candidate), self.knots))
        return {"gate": gate, "candidate": candidate, "shift": self.shift, "zeta": self.zeta,
                "both": self.zeta + self.nu, "mult": int(self.rq.mult[0]), "left": self.rq.shift,
                "n": self.h.size}  # fmt: skip
