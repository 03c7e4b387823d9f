"""t = (c . x1, e . x2);  y[r] = clamp(zero + add[r] + requant(bias[r] + b[r] t[0] + d[r] t[1]))
                                                                                        C: runtime_c/rank1.c

The lower rows of a hybrid matrix decomposition (arXiv 1906.04886): one pass over x, then one pair of products a row.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..intmath import Requant, limits
from ..program import Env, View
from .base import Kernel, Product, Quantizer, clamp


@dataclass(frozen=True)
class Rank1(Kernel):
    """x1 = x[:len(c)], x2 = the rest.  b, d, bias: [rows]; t: the two dot products, int16 on one grid."""

    x: View
    t: View
    y: View
    b: np.ndarray
    d: np.ndarray
    c: np.ndarray
    e: np.ndarray
    bias: np.ndarray | None = None
    add: View | None = None
    low: float = -np.inf
    high: float = np.inf
    dots: tuple[Product, ...] = ()
    rq: Requant | None = None
    zero: int = 0
    lo: int = 0
    hi: int = 0

    READS = ("x", "add")
    WRITES = ("t", "y")

    def operand(self, env: Env) -> np.ndarray:
        """x as [samples, columns]."""
        return env.view(self.x).reshape(-1, len(self.c) + len(self.e))

    def run(self, env: Env) -> None:
        x = self.operand(env)
        halves = (x[:, : len(self.c)], self.c), (x[:, len(self.c) :], self.e)
        t = np.stack([(v * w.astype(v.dtype)).sum(axis=1) for v, w in halves], axis=1)
        if self.rq is not None:
            t = np.stack([self._dot(t[:, i], self.dots[i]) for i in (0, 1)], axis=1)
        env.put(self.t, t)
        y = t[:, :1] * self.b.astype(t.dtype) + t[:, 1:] * self.d.astype(t.dtype)
        if self.bias is not None:
            y = y + self.bias
        if self.rq is not None:
            y = self.rq(y) + self.zero
        if self.add is not None:
            y = y + env.view(self.add).reshape(y.shape)
        env.put(self.y, np.clip(y, *((self.low, self.high) if self.rq is None else (self.lo, self.hi))))

    @staticmethod
    def _dot(acc: np.ndarray, p: Product) -> np.ndarray:
        return np.clip(p.rq(acc + (0 if p.bias is None else p.bias[0])), *limits(16))

    def ties(self) -> list[tuple[View, View]]:
        return [] if self.add is None else [(self.add, self.y)]

    def quantize(self, q: Quantizer) -> list[Kernel]:
        t, y, n = q[self.t], q[self.y], len(self.c)
        x = self.x.reshape(n + len(self.e))
        halves = (self.c, x.slice(0, 0, n)), (self.e, x.slice(0, n, x.size))
        dots = tuple(Product.of(w[None, :], None, q[v], t, per_row=False) for w, v in halves)
        for p in dots:
            p.prove(self.name)
        c = Product.of(np.stack([self.b, self.d], axis=1), self.bias, t, y, per_row=False)
        c.prove(self.name)
        return [replace(self, b=c.w[:, 0], d=c.w[:, 1], c=dots[0].w[0], e=dots[1].w[0], dots=dots, bias=c.bias, rq=c.rq,
                        zero=y.zero, **clamp(y, self.low, self.high))]  # fmt: skip

    def macs(self) -> int:
        return len(self.c) + len(self.e) + 2 * len(self.b)

    def pairs(self) -> np.ndarray:
        """b and d interleaved: one load per row."""
        return np.stack([self.b, self.d], axis=1).ravel()

    def weights(self) -> list[np.ndarray]:
        return [self.pairs(), self.c, self.e] + ([] if self.bias is None else [self.bias.astype(np.int32)])

    def fields(self) -> dict:
        dims = {"rows": len(self.b), "n1": len(self.c), "n2": len(self.e)}
        # C has no empty arrays
        c, e = (v if v.size else np.zeros(1, v.dtype) for v in (self.c, self.e))
        if self.rq is None:
            f = lambda v: None if v is None else v.astype(np.float32)
            return {"bd": f(self.pairs()), "c": f(c), "e": f(e), "bias": f(self.bias), **dims,
                    "lo": self.low, "hi": self.high}  # fmt: skip
        (mc, me), fold = (p.rq for p in self.dots), [0 if p.bias is None else int(p.bias[0]) for p in self.dots]
        bias = None if self.bias is None else self.bias.astype(np.int32)
        return {"bd": self.pairs(), "c": c, "e": e, "bias": bias, **dims,
                "c_bias": fold[0], "c_mult": int(mc.mult[0]), "c_shift": mc.shift,
                "e_bias": fold[1], "e_mult": int(me.mult[0]), "e_shift": me.shift,
                "mult": int(self.rq.mult[0]), "shift": self.rq.shift,
                "zero": self.zero, "lo": self.lo, "hi": self.hi}  # fmt: skip
