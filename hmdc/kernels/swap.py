"""y[p,b,a,q] = x[p,a,b,q]                                                              C: runtime_c/swap.c"""

from dataclasses import dataclass

from ..program import Env, View
from .base import Kernel


@dataclass(frozen=True)
class Swap(Kernel):
    """Exchange two middle axes; both buffers share one scale and zero point."""

    x: View
    y: View
    p: int
    a: int
    b: int
    q: int

    TYPES = ("y",)

    def run(self, env: Env) -> None:
        x = env.view(self.x).reshape(-1, self.p, self.a, self.b, self.q)
        env.put(self.y, x.transpose(0, 1, 3, 2, 4).copy())

    def ties(self) -> list[tuple[View, View]]:
        return [(self.x, self.y)]

    def fields(self) -> dict:
        return {"p": self.p, "a": self.a, "b": self.b, "q": self.q}
