"""y[i] += x[i] - x_zero: int32 sums over time                                          C: runtime_c/accumulate.c"""

from dataclasses import dataclass, replace

from ..errors import HmdcError
from ..intmath import INT32_MAX
from ..program import Env, View
from .base import Kernel, Quantizer


@dataclass(frozen=True)
class Accumulate(Kernel):
    """y: int32 on the grid of x; times: how often before y is cleared."""

    x: View
    y: View
    times: int
    x_zero: int | None = None

    READS = ("x", "y")
    TYPES = ("x",)

    def run(self, env: Env) -> None:
        env.put(self.y, env.view(self.y) + env.view(self.x).reshape(-1, *self.y.shape) - (self.x_zero or 0))

    def ties(self) -> list[tuple[View, View]]:
        return [(self.x, self.y)]

    def quantize(self, q: Quantizer) -> list[Kernel]:
        q.peaks[self.y.buf] = self.times * q.peak(self.x)
        if q.peaks[self.y.buf] > INT32_MAX:
            raise HmdcError(f"{self.name}: a mean over {self.times} steps leaves int32; use fewer steps")
        return [replace(self, x_zero=q[self.x].zero)]

    def fields(self) -> dict:
        n = {"n": self.y.size}
        return n if self.x_zero is None else {"x_zero": self.x_zero} | n
