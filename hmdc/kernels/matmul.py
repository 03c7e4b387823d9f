"""y[p,r,q] = clamp(zero + add[p,r,q] + requant_r(start[r] + sum_k w[r,k] x[p,k,q]))     C: runtime_c/matmul.c"""

from dataclasses import dataclass, replace

import numpy as np

from ..intmath import INT32_MAX, Requant, limits
from ..program import Buffer, Env, View
from .base import SUM_BITS, Kernel, Product, Quantizer, clamp

MOST_GAIN = 5
START = 2.0**24  # sums that others go on from stay below that, however small the weights of these are


@dataclass(frozen=True)
class Matmul(Kernel):
    """x: p*k*q values, y: p*r*q values, w: [r, k], bias: [r], [p, r, q] or None; low, high: bounds of y.

    start: int32 sums of another product that these go on from, instead of a bias; p = q = 1.
    gain: the first `gained` columns of integer x count 2**gain times: parts of x with finer and coarser scales meet.
    per_row: one scale for each row of w, or one for all.
    """

    x: View
    y: View
    w: np.ndarray
    bias: np.ndarray | None = None
    start: View | None = None
    add: View | None = None
    p: int = 1
    q: int = 1
    per_row: bool = True
    low: float = -np.inf
    high: float = np.inf
    rq: Requant | None = None
    zero: int = 0
    lo: int = 0
    hi: int = 0
    gained: int = 0
    gain: int = 0

    READS = ("x", "start", "add")

    def operand(self, env: Env) -> np.ndarray:
        """x as [samples, p, k, q]."""
        return env.view(self.x).reshape(-1, self.p, self.w.shape[1], self.q)

    def gains(self) -> np.ndarray:
        """How often each column counts, [k]."""
        return np.where(np.arange(self.w.shape[1]) < self.gained, 1 << self.gain, 1)

    def ungained(self, sums: View) -> tuple["Matmul", "Matmul"]:
        """The same bits without a gain: the first columns into int32 sums, shifted; the others go on from these."""
        x, n = self.x.reshape(self.x.size), self.gained
        lo, hi = limits(SUM_BITS)
        bias = None if self.bias is None else self.bias >> self.gain  # a multiple, see _quantize
        first = replace(self, name=f"{self.name}_x", x=x.slice(0, 0, n), y=sums, w=self.w[:, :n], start=None, gain=0,
                        bias=bias, rq=Requant(np.array([1 << 30]), self.gain + 2), zero=0, lo=lo, hi=hi)  # fmt: skip
        return first, replace(self, x=x.slice(0, n, x.size), w=self.w[:, n:], bias=None, start=sums, gain=0)

    def biases(self) -> np.ndarray:
        """[r, 1] or [p, r, q]"""
        return self.bias[:, None] if self.bias.ndim == 1 else self.bias

    def run(self, env: Env) -> None:
        x = self.operand(env)
        if self.gain:
            x = x * self.gains()[:, None]
        # float64 products of integers are exact: every sum is proven to stay below 2**31
        acc = np.matmul(self.w.astype(np.float64), x.astype(np.float64))
        if self.rq is not None:
            acc = acc.astype(np.int64)
        if self.bias is not None:
            acc = acc + self.biases()
        if self.start is not None:
            acc = acc + env.view(self.start).reshape(acc.shape)
        if self.rq is not None:
            acc = self.rq(acc, axis=-2) + self.zero
        if self.add is not None:
            acc = acc + env.view(self.add).reshape(acc.shape)
        bounds = (self.low, self.high) if self.rq is None else (self.lo, self.hi)
        env.put(self.y, np.clip(acc, *bounds))

    def ties(self) -> list[tuple[View, View]]:
        return [] if self.add is None else [(self.add, self.y)]

    def _product(self, q: Quantizer) -> Product:
        least, y = 0.0 if self.start is None else q.reach(self.start) / START, q[self.y]
        if np.ndim(y.scale):  # one for every row, the same in every vector
            y = replace(y, scale=y.scale[: len(self.w)])
        gains = self.gains() if self.gain else 1
        return Product.of(self.w, self.bias, q[self.x], y, self.per_row, least, gains, q.rounding)

    def announce(self, q: Quantizer) -> None:
        if (wish := self._wish(q)) is not None:
            q.wishes.setdefault(self.x.buf, []).append(wish)
        if self.start is not None:
            fine = q[self.x].bits > 8  # sums of 16-bit x have no room for others on their grid
            q.regrid(self.start, q[self.y].scale if fine else self._product(q).step)
        elif q[self.y].bits == 32 and self.q == 1:
            x = q[self.x]
            peak = ((1 << (x.bits - 1)) + np.abs(x.zero)) * x.scale
            reach = (np.abs(self.w) * peak).sum(axis=1) + (0 if self.bias is None else np.abs(self.biases()).max())
            q.set_reach(self.y, reach)

    def _wish(self, q: Quantizer) -> float | None:
        """Where x has parts of different scales: log2 of the gain with which weights of both use all their bits."""
        x = q[self.x]
        if np.ndim(x.scale) == 0 or x.bits != 8 or self.start is not None:
            return None
        first = self._first(x)
        peaks = np.abs(self.w) * x.scale
        a, b = peaks[:, :first].max(axis=1, initial=0), peaks[:, first:].max(axis=1)
        both = (a > 0) & (b > 0)
        return float(np.median(np.log2(a[both] / b[both]))) if both.any() else None

    @staticmethod
    def _first(x: Buffer) -> int:
        """Columns of the first part."""
        return int(np.argmax(x.scale != x.scale[0]))

    def _with_gain(self, q: Quantizer) -> "Matmul":
        """With the gain on which all products of one x agree, so that it is prepared once."""
        if self._wish(q) is None:
            return self
        gain = int(np.clip(np.round(np.median(q.wishes[self.x.buf])), 0, MOST_GAIN))
        call = replace(self, gained=self._first(q[self.x]), gain=gain)
        return call if call._divisible(call._product(q)) else self

    def _divisible(self, c: Product) -> bool:
        """Whether the sums of the first columns can be shifted within int32, see `ungained`."""
        sums = 128 * np.abs(c.w[:, : self.gained].astype(np.int64)).sum(axis=1).max()
        return int(sums + (0 if c.bias is None else np.abs(c.bias).max())) << (self.gain + 2) <= INT32_MAX

    def excess(self, q: Quantizer) -> int:
        return 0 if self.start is not None else self._with_gain(q)._product(q).excess()

    def quantize(self, q: Quantizer) -> list[Kernel]:
        if self.start is not None and q[self.x].bits > 8:
            return replace(self, start=None, add=self.start)._quantize(q)
        return self._with_gain(q)._quantize(q)

    def _quantize(self, q: Quantizer) -> list[Kernel]:
        y, c = q[self.y], self._product(q)
        if self.gain and c.bias is not None:  # so that it may count as often as the first columns
            bias = (c.bias + (1 << self.gain >> 1)) >> self.gain << self.gain
            c = replace(c, bias=bias, bound=c.bound + (1 << self.gain))
        if self.start is not None:
            assert c.bias is None, "sums that go on from others take their bias"
            c = replace(c, bound=c.bound + q.peak(self.start))
        elif not c.fits():
            return self._split(q)
        c.prove(self.name)
        if y.bits == 32:
            q.peaks[self.y.buf] = max(q.peaks.get(self.y.buf, 0), min(c.result(), 1 << (SUM_BITS - 1)))
        return [replace(self, w=c.w, bias=c.bias, rq=c.rq, zero=y.zero, **clamp(y, self.low, self.high))]

    def _split(self, q: Quantizer) -> list[Kernel]:
        """Two products of half the columns each, the first into int32 partial sums."""
        if self.p > 1:  # half of the columns is one piece of memory only within one p
            return [c for i in range(self.p) for c in self._plane(i).quantize(q)]
        k = self.w.shape[1]
        x, half, part = self.x.reshape(k, self.q), k // 2, q.partial_sums(self.y)
        free = {"low": -np.inf, "high": np.inf}
        first = replace(self, name=f"{self.name}_a", x=x.slice(0, 0, half), y=part, w=self.w[:, :half], **free)
        second = replace(self, name=f"{self.name}_b", x=x.slice(0, half, k), w=self.w[:, half:], bias=None, add=part)
        return first.quantize(q) + second.quantize(q)

    def _plane(self, i: int) -> "Matmul":
        at = lambda v: None if v is None else v.reshape(self.p, v.size // self.p).slice(0, i, i + 1)  # noqa: E731
        bias = self.bias if self.bias is None or self.bias.ndim == 1 else self.bias[i : i + 1]
        return replace(self, name=f"{self.name}_{i}", x=at(self.x), y=at(self.y), add=at(self.add), bias=bias, p=1)

    def never_saturates(self) -> bool:
        """Whether 8-bit x cannot drive a sum to the limits of y."""
        total = 128 * (np.abs(self.w.astype(np.int64)) * self.gains()).sum(axis=1)
        total = total + (0 if self.bias is None else np.abs(self.biases()).max())
        most = (total * (self.rq.mult * 2.0 ** (self.rq.shift - 32))).max() + 1 + abs(self.zero)
        return self.lo < -most and most < self.hi

    def macs(self) -> int:
        return self.w.size * self.p * self.q

    def vectors(self) -> int:
        return self.p * self.q

    def _plain(self) -> bool:
        """Whether x is vectors one behind the other, for the same rows and biases."""
        return self.q == 1 and (self.bias is None or self.bias.ndim == 1)

    def reuse(self) -> int:
        return 2 if type(self) is Matmul and self._plain() else 1

    def c_kernel(self, float_mode: bool) -> str:
        several = type(self) is Matmul and self._plain() and self.p > 1
        return ("matmul_vectors" if several else self.kernel()) + ("_f32" if float_mode else "")

    def weights(self) -> list[np.ndarray]:
        bias = None if self.bias is None else self.bias.astype(np.int32)
        return [self.w] + ([] if bias is None else [bias])

    def fields(self) -> dict:
        r, k = self.w.shape
        dims = {"bias_each": int(self.bias is not None and self.bias.ndim == 3),
                "p": self.p, "rows": r, "columns": k, "q": self.q}  # fmt: skip
        if self.rq is None:
            bias = None if self.bias is None else self.bias.astype(np.float32)
            return {"weights": self.w.astype(np.float32), "bias": bias, **dims, "lo": self.low, "hi": self.high}
        bias = None if self.bias is None else self.bias.astype(np.int32)
        mult = self.rq.mult.astype(np.int32)
        return {"weights": self.w, "bias": bias, "mult": mult, "mult_step": int(mult.size > 1), "shift": self.rq.shift,
                **dims, "zero": self.zero, "lo": self.lo, "hi": self.hi}  # fmt: skip
