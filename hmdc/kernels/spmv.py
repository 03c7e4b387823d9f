"""y[r] = clamp(zero + add[r] + requant_r(bias[r] + sum over kept w[r,k] x[k]))         C: runtime_c/spmv.c"""

from dataclasses import dataclass, replace

import numpy as np

from ..errors import HmdcError
from ..intmath import Requant
from ..program import Env, View
from .base import Kernel, Product, Quantizer, clamp

GAP = 255  # largest distance between two kept columns that one byte tells
PER_ROW = 16  # kept entries a row must have before a multiplier of its own (4 bytes) is worth it


@dataclass(frozen=True)
class Spmv(Kernel):
    """w: [r, k], zeros are not stored; bias: [r] or None; low, high: real bounds of y.

    Stored: per row the number of entries (uint16), per entry the distance to the previous kept column (uint8, the first
    from column 0) and the weight.  Farther columns are reached over entries of weight 0.
    """

    x: View
    y: View
    w: np.ndarray
    bias: np.ndarray | None = None
    add: View | None = None
    low: float = -np.inf
    high: float = np.inf
    rq: Requant | None = None
    zero: int = 0
    lo: int = 0
    hi: int = 0

    READS = ("x", "add")

    def operand(self, env: Env) -> np.ndarray:
        """x as [samples, columns]."""
        return env.view(self.x).reshape(-1, self.w.shape[1])

    def run(self, env: Env) -> None:
        x = self.operand(env)
        env.put(self.y, finish(self, env, np.matmul(x.astype(np.float64), self.w.T.astype(np.float64))))

    def ties(self) -> list[tuple[View, View]]:
        return [] if self.add is None else [(self.add, self.y)]

    def quantize(self, q: Quantizer) -> list[Kernel]:
        y = q[self.y]
        per_row = np.count_nonzero(self.w) >= PER_ROW * len(self.w)
        c = Product.of(self.w, self.bias, q[self.x], y, per_row)
        c.prove(self.name)
        return [replace(self, w=c.w, bias=c.bias, rq=c.rq, zero=y.zero, **clamp(y, self.low, self.high))]

    def packed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(weights, gaps, entries per row)"""
        weights, gaps, counts = [], [], []
        for row in self.w:
            at, before = 0, len(weights)
            for k in np.flatnonzero(row):
                while k - at > GAP:
                    weights.append(0)
                    gaps.append(GAP)
                    at += GAP
                weights.append(row[k])
                gaps.append(k - at)
                at = k
            counts.append(len(weights) - before)
        if max(counts) > 65535:
            raise HmdcError(f"{self.name}: {max(counts)} kept entries in one row; the most is 65535: use dense")
        return np.array(weights or [0], self.w.dtype), np.array(gaps or [0], np.uint8), np.array(counts, np.uint16)

    def macs(self) -> int:
        return int(np.count_nonzero(self.w))

    def weights(self) -> list[np.ndarray]:
        weights, gaps, counts = self.packed()
        return [weights, gaps, counts] + ([] if self.bias is None else [self.bias.astype(np.int32)])

    def fields(self) -> dict:
        weights, gaps, counts = self.packed()
        own = {"gaps": gaps, "counts": counts}
        return product_fields(self, weights, own, {"rows": len(self.w)})


def finish(call, env: Env, acc: np.ndarray) -> np.ndarray:
    """From the sums [samples, rows] of a product to the values of y: bias, requantize, partial sums, bounds."""
    if call.rq is not None:
        acc = acc.astype(np.int64)
    if call.bias is not None:
        acc = acc + call.bias
    if call.rq is not None:
        acc = call.rq(acc) + call.zero
    if call.add is not None:
        acc = acc + env.view(call.add).reshape(acc.shape)
    return np.clip(acc, *((call.low, call.high) if call.rq is None else (call.lo, call.hi)))


def product_fields(call, weights: np.ndarray, own: dict, dims: dict) -> dict:
    """Constants in the order of the C structs of all products of one vector."""
    if call.rq is None:
        bias = None if call.bias is None else call.bias.astype(np.float32)
        return {"weights": weights.astype(np.float32), "bias": bias, **own, **dims, "lo": call.low, "hi": call.high}
    bias = None if call.bias is None else call.bias.astype(np.int32)
    mult = call.rq.mult.astype(np.int32)
    return {"weights": weights, "bias": bias, **own, "mult": mult, "mult_step": int(mult.size > 1),
            "shift": call.rq.shift, **dims, "zero": call.zero, "lo": call.lo, "hi": call.hi}  # fmt: skip
