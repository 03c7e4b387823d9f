"""y[p,o,q] = clamp(zero + requant(pooled over k of x[p, o stride + k dilation - before, q] - x_zero))

Maximum, minimum or sum.                                                                C: runtime_c/pool.c
"""

from dataclasses import dataclass, replace

import numpy as np

from ..intmath import Requant
from ..program import Env, View
from .base import Kernel, Quantizer, clamp


@dataclass(frozen=True)
class Pool(Kernel):
    """x: p*n*q values, y: p*m*q.  kind: max, min or mean; places outside 0..n-1 are left out, of a mean as zeros.

    No window lies outside entirely.
    """

    x: View
    y: View
    kind: str
    n: int
    m: int
    size: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    p: int = 1
    q: int = 1
    rq: Requant | None = None
    x_zero: int = 0
    zero: int = 0
    lo: int = 0
    hi: int = 0

    def run(self, env: Env) -> None:
        x = env.view(self.x).reshape(-1, self.p, self.n, self.q)
        if self.rq is not None:
            x = x - self.x_zero
        f = {"max": np.max, "min": np.min, "mean": np.sum}[self.kind]
        taps = np.arange(self.size) * self.dilation - self.before
        inside = lambda at: at[(0 <= at) & (at < self.n)]
        y = np.stack([f(x[:, :, inside(taps + o * self.stride)], axis=2) for o in range(self.m)], axis=2)
        if self.rq is None:
            env.put(self.y, y * self._factor())
        else:
            env.put(self.y, np.clip(self.zero + self.rq(y), self.lo, self.hi))

    def _factor(self) -> float:
        return 1 / self.size if self.kind == "mean" else 1.0

    def ties(self) -> list[tuple[View, View]]:
        return [] if self.kind == "mean" else [(self.x, self.y)]

    def quantize(self, q: Quantizer) -> list[Kernel]:
        x, y = q[self.x], q[self.y]
        rq = Requant.of(x.scale / y.scale * self._factor())
        rq.prove(q.peak(self.x) * (self.size if self.kind == "mean" else 1), self.name)
        return [replace(self, rq=rq, x_zero=x.zero, zero=y.zero, **clamp(y))]

    def fields(self) -> dict:
        dims = {"sum": int(self.kind == "mean"), "sign": -1 if self.kind == "min" else 1, "p": self.p, "n": self.n,
                "m": self.m, "q": self.q, "size": self.size, "stride": self.stride, "dilation": self.dilation,
                "before": self.before}  # fmt: skip
        if self.rq is None:
            return dims | {"factor": self._factor()}
        return dims | {"mult": int(self.rq.mult[0]), "shift": self.rq.shift, "x_zero": self.x_zero, "zero": self.zero,
                       "lo": self.lo, "hi": self.hi}  # fmt: skip
