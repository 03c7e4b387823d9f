"""y[p,i,q] = gain * (x_i - mean_j x_j) / sqrt(mean of their squares + epsilon)        C: runtime_c/normalize.c"""

from dataclasses import dataclass, replace
from math import frexp, sqrt

import numpy as np

from ..errors import HmdcError
from ..intmath import rsqrt
from ..program import Env, View
from .base import Kernel, Quantizer, clamp

MOST = 4096  # values along an axis: n * x_i fits in 28 bits, and the squares, n * n * 2^30 at most, in 54


@dataclass(frozen=True)
class Normalize(Kernel):
    """x, y: p*n*q values; along n: y = gain * c / sqrt(max(mean c^2 + epsilon, floor)).

    c: x without its mean if `centered`, else x.  epsilon, floor: of real squares.
    """

    x: View
    y: View
    n: int
    p: int = 1
    q: int = 1
    centered: bool = True
    epsilon: float = 0.0
    floor: float = 0.0
    gain: float = 1.0
    squares: tuple[int, int] | None = None  # epsilon and floor of the integers' squares, with a fraction
    fraction: int = 0
    mult: int = 0
    exponent: int = 0
    zeros: tuple[int, int] = (0, 0)
    lo: int = 0
    hi: int = 0

    def run(self, env: Env) -> None:
        x = env.view(self.x).reshape(-1, self.p, self.n, self.q)
        if self.squares is None:
            c = x - x.mean(axis=2, keepdims=True) if self.centered else x
            squares = np.maximum((c * c).mean(axis=2, keepdims=True) + self.epsilon, self.floor)
            env.put(self.y, self.gain * c / np.sqrt(squares))
            return
        v = x - self.zeros[0]
        total = v.sum(axis=2, keepdims=True) * self.centered
        squares = self.n * (v * v).sum(axis=2, keepdims=True) - total * total
        squares = np.maximum((squares << self.fraction) + self.squares[0], self.squares[1])
        root, shift = rsqrt(squares)
        mult, shift = (root * self.mult) >> 32, shift + self.exponent
        right = np.clip(-shift, 0, 31)
        mult, shift = (mult + (1 << right >> 1)) >> right, np.maximum(shift, 0)
        scaled = ((self.n * v - total << shift) * mult + (1 << 31)) >> 32
        env.put(self.y, np.clip(self.zeros[1] + scaled, self.lo, self.hi))

    def quantize(self, q: Quantizer) -> list[Kernel]:
        x, y = q[self.x], q[self.y]
        if self.n > MOST:
            raise HmdcError(f"{self.name}: normalizes {self.n} values together; the most is {MOST}")
        unit, most = (x.scale / self.n) ** 2, (self.n * q.peak(self.x)) ** 2
        fraction = 62 - frexp(max(most, self.epsilon / unit, self.floor / unit))[1] & -2
        mantissa, exponent = frexp(self.gain * 2.0 ** (fraction / 2) / y.scale)
        # |c| <= sqrt(n squares), and mult >= 2^28 less what rsqrt is off: (c << shift) < 16.1 times the largest |y|
        if fraction < 0 or 16.1 * self.gain * sqrt(self.n) / y.scale >= 2**31:
            raise HmdcError(f"{self.name}: its results are as good as 0 beside those that {self.n} values may have; "
                            "calibrate with data that vary more or use --precision float32")  # fmt: skip
        epsilon, floor = (int(v / unit * 2.0**fraction + 0.5) for v in (self.epsilon, self.floor))
        return [replace(self, squares=(epsilon, max(floor, 2**fraction)), fraction=fraction, exponent=exponent - 29,
                        mult=min(int(mantissa * 2**31), 2**31 - 1), zeros=(x.zero, y.zero), **clamp(y))]  # fmt: skip

    def fields(self) -> dict:
        dims = {"p": self.p, "n": self.n, "q": self.q, "centered": int(self.centered)}
        if self.squares is None:
            return {"epsilon": self.epsilon, "floor": self.floor, "gain": self.gain, **dims}
        epsilon, floor = self.squares
        return {"epsilon": epsilon, "floor": floor, "fraction": self.fraction, "mult": self.mult,
                "exponent": self.exponent, "x_zero": self.zeros[0], "zero": self.zeros[1], "lo": self.lo, "hi": self.hi,
                **dims}  # fmt: skip
