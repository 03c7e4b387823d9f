"""Random and extreme arguments: what the cases of kernel_cases.py draw from."""

from dataclasses import replace

import numpy as np

from hmdc import kernels as K
from hmdc.functions import TANH, Function
from hmdc.intmath import INT32_MAX, Requant, limits, table
from hmdc.kernels.base import SUM_BITS
from hmdc.program import Buffer, Format, View, row_major

BITS = {"int8_t": 8, "int16_t": 16, "int32_t": 32, "float": 32}


class Case:
    """Random arguments of one call.  types: C argument -> C element type."""

    def __init__(self, rng: np.random.Generator, types: dict[str, str]):
        self.rng, self.buffers, self.spread = rng, {}, 2.0
        self.bits = {name: BITS[t] for name, t in types.items()}
        self.integer = "float" not in types.values()
        self.temporary: set[str] = set()  # buffers that a first call fills for a second
        self.ranges: dict[str, tuple[int, int]] = {}  # contents of buffers whose range is not that of their type

    def chance(self, p: float = 0.5) -> bool:
        return bool(self.rng.random() < p)

    def size(self, most: int = 37) -> int:
        return 1 if self.chance(0.1) else int(self.rng.integers(1, most + 1))

    def columns(self, most: int = 37) -> int:
        """515 full columns of int16 come within 0.3 % of the end of int32."""
        return 515 if self.integer and self.chance(0.1) else self.size(most)

    def view(self, name: str, *shape: int) -> View:
        """One piece of memory inside a larger buffer, whose other elements must survive."""
        before, after = self.rng.integers(0, 4, 2)
        self.buffers[name] = Buffer(name, int(before + np.prod(shape) + after), Format(self.bits[name]))
        return View(name, int(before), shape, row_major(shape))

    def strided(self, name: str, shape: tuple[int, ...]) -> View:
        """Axes permuted, elements skipped, directions reversed."""
        if self.chance(0.2):
            return self.view(name, *shape)
        order = self.rng.permutation(len(shape))
        v = self.view(name, *(2 * shape[a] for a in order)).transpose(np.argsort(order))
        for axis, n in enumerate(shape):
            step = int(self.rng.choice([-2, -1, 1, 2]))
            first = 0 if step > 0 else -step * (n - 1)
            v = v.slice(axis, first, first + step * n, step)
        return v

    def values(self, lo: int, hi: int, *shape: int) -> np.ndarray:
        """Anything, or extremes: all the same, or turn by turn along the first axis or the last."""
        if self.chance():
            return self.rng.integers(lo, hi, shape, endpoint=True)
        extremes = [[lo], [hi], [lo, hi], [hi, lo]][self.rng.integers(4)]
        return np.resize(extremes, shape) if self.chance() else np.resize(extremes, shape[::-1]).T

    def reals(self, *shape: int) -> np.ndarray:
        return np.float32(self.spread * self.rng.normal(size=shape)).astype(np.float64)

    def contents(self, b: Buffer, samples: int) -> np.ndarray:
        if not self.integer and not b.fmt.token:
            return self.reals(samples, b.size)
        lo, hi = self.ranges.get(b.name, limits(min(b.bits, SUM_BITS)))
        return np.stack([self.values(lo, hi, b.size) for _ in range(samples)])

    def zero(self, name: str) -> int:
        return int(self.rng.integers(-128, 128)) if self.bits[name] == 8 else 0

    def peak(self, name: str, zero: int = 0) -> int:
        return (1 << (self.bits[name] - 1)) + abs(zero)

    def requant(self, bound: int, y_bits: int, rows: int = 1) -> Requant:
        """Anything that hmdc can prove for sums up to `bound`; mostly such that y is neither 0 nor saturated."""
        most = int(INT32_MAX // max(int(bound), 1)).bit_length() - 1
        scale = 2.0 ** (min(y_bits, 24) - 1) / max(bound, 1) * self.rng.choice([0.1, 2, 2, 16])
        rq = Requant.of(scale * self.rng.uniform(0.1, 1, rows))
        if rq.shift > most or self.chance(0.25):
            rq = Requant(self.values(0, INT32_MAX, rows), int(self.rng.integers(0, most, endpoint=True)))
        digits = int(self.rng.choice([1, 16, 31]))  # scales of a power of two, multipliers that fit in a halfword
        spare = [max(int(m).bit_length() - digits, 0) for m in rq.mult]
        rq = Requant(rq.mult >> spare << spare, rq.shift)
        rq.prove(bound, "case")
        return rq

    def clamp(self, name: str) -> dict[str, int]:
        lo, hi = limits(min(self.bits[name], SUM_BITS))
        if self.chance(0.3):
            lo, hi = sorted(self.rng.integers(lo, hi, 2))
        return {"lo": int(lo), "hi": int(hi)}

    def bounds(self) -> dict[str, float]:
        return [{}, {"low": 0.0}, {"low": -0.5, "high": 1.5}][self.rng.integers(3)]

    def knots(self, f: Function = TANH, lo: int = -32768) -> np.ndarray:
        return table(f, 2.0**-12, 2.0**-15) if self.chance() else self.values(lo, 32767, 257).astype(np.int16)

    def rows(self, w: np.ndarray, x: str = "x") -> tuple[np.ndarray, np.ndarray, int]:
        """int8 weights, biases up to the last bit that int32 has room for, and a bound on the sums of each row."""
        w = np.maximum(w, -127).astype(np.int8)
        bound = np.abs(w.reshape(len(w), -1).astype(np.int64)).sum(axis=1) * self.peak(x)
        room = (INT32_MAX - bound) // int(self.rng.choice([1, 100, 10**6, 2**31]))  # the last: zeros
        bias = np.array([self.values(-r, r, 1)[0] for r in room])
        return w, bias, int(np.max(bound + np.abs(bias)))

    def product(self, k, kept: np.ndarray | int = 1) -> K.Kernel:
        """Fill in a kernel whose w has its shape only; kept: 0 where it is zero."""
        rows, columns = k.w.shape
        bias = self.chance(0.7)
        if not self.integer:
            w = self.reals(rows, columns) / columns * kept
            return replace(k, w=w, bias=self.reals(rows) if bias else None, **self.bounds())
        w, b, bound = self.rows(self.values(-128, 127, rows, columns) * kept)
        rq = self.requant(bound, self.bits["y"], rows if self.chance() else 1)
        return replace(k, w=w, bias=b if bias else None, rq=rq, zero=self.zero("y"), **self.clamp("y"))

    def optional(self, name: str, *shape: int) -> View | None:
        return self.view(name, *shape) if self.chance() else None
