"""y[p,c,q] = clamp(zero + requant_c(bias[c] + w[c] x[p,c,q])): a factor per channel   C: runtime_c/scale.c"""

from dataclasses import dataclass, replace

import numpy as np

from ..intmath import Requant, limits, quantize_rows, round_half_up
from ..program import Env, View
from .base import Kernel, Quantizer, clamp


@dataclass(frozen=True)
class Scale(Kernel):
    """x, y: p*c*q values; w, bias: [c] (int8 and int32 once quantized)."""

    x: View
    y: View
    w: np.ndarray
    bias: np.ndarray
    p: int = 1
    q: int = 1
    low: float = -np.inf
    high: float = np.inf
    rq: Requant | None = None
    zero: int = 0
    lo: int = 0
    hi: int = 0

    def run(self, env: Env) -> None:
        x = env.view(self.x).reshape(-1, self.p, len(self.w), self.q)
        if self.rq is None:
            env.put(self.y, np.clip(x * self.w[:, None] + self.bias[:, None], self.low, self.high))
        else:
            acc = x * self.w.astype(np.int64)[:, None] + self.bias[:, None]
            env.put(self.y, np.clip(self.zero + self.rq(acc, axis=-2), self.lo, self.hi))

    def quantize(self, q: Quantizer) -> list[Kernel]:
        x, y = q[self.x], q[self.y]
        w, step = quantize_rows(self.w[:, None], least=np.abs(self.bias) / x.scale / 2**29)
        w = w[:, 0]
        bias = round_half_up(self.bias / (step * x.scale)) - x.zero * w.astype(np.int64)
        rq = Requant.of(step * x.scale / y.scale)
        rq.prove(np.abs(bias) + 127 * max(map(abs, limits(x.bits))), self.name)
        return [replace(self, w=w, bias=bias, rq=rq, zero=y.zero, **clamp(y, self.low, self.high))]

    def macs(self) -> int:
        return self.y.size

    def weights(self) -> list[np.ndarray]:
        return [self.w, self.bias.astype(np.int32)]

    def fields(self) -> dict:
        dims = {"p": self.p, "channels": len(self.w), "q": self.q}
        if self.rq is None:
            return {"weights": self.w.astype(np.float32), "bias": self.bias.astype(np.float32), **dims,
                    "lo": self.low, "hi": self.high}  # fmt: skip
        mult = self.rq.mult.astype(np.int32)
        return {"weights": self.w, "bias": self.bias.astype(np.int32), "mult": mult, "mult_step": int(mult.size > 1),
                "shift": self.rq.shift, **dims, "zero": self.zero, "lo": self.lo, "hi": self.hi}  # fmt: skip
