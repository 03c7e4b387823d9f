"""Products that take several rows in a pass, whatever the instruction set: what their constants and choices share."""

from dataclasses import dataclass

import numpy as np

from ..intmath import limits
from ..kernels import Kernel, Matmul
from ..program import Env, View
from .base import Fitting, become


class Grouped(Matmul):
    """A product that takes GROUP rows in a pass and reads x as its instruction set prepares it."""

    GROUP = 0
    TYPES = ("y",)

    def gains(self) -> np.ndarray:
        return np.ones(1, int)  # the operand has them

    @property
    def bias_each(self) -> int:
        return int(self.bias is not None and self.bias.ndim == 3)

    def width(self) -> int:
        """Columns as the C counts them."""
        return self.w.shape[1]

    def weights_in_groups(self) -> np.ndarray:
        """[groups, the weights of one]"""
        raise NotImplementedError

    def starts(self, multiple: int = 1) -> np.ndarray:
        """Biases by row, [rows] or [p, q, rows]; rows filled up to a multiple."""
        bias = np.zeros(len(self.w)) if self.bias is None else self.bias
        bias = bias if bias.ndim == 1 else bias.swapaxes(1, 2)
        return np.pad(bias, [(0, 0)] * (bias.ndim - 1) + [(0, -bias.shape[-1] % multiple)]).astype(np.int32)

    def multipliers(self) -> np.ndarray:
        """[groups, GROUP]"""
        mult = np.broadcast_to(self.rq.mult, (len(self.w),))
        return np.pad(mult, (0, -len(mult) % self.GROUP)).astype(np.int32).reshape(-1, self.GROUP)


class General(Grouped):
    """Any y."""

    def fields(self) -> dict:
        mult = self.rq.mult.astype(np.int32)
        return {"weights": self.weights_in_groups().ravel(), "bias": self.starts(self.GROUP).ravel(), "mult": mult,
                "mult_step": int(mult.size > 1), "shift": self.rq.shift,
                "bias_each": self.bias_each,
                "p": self.p, "q": self.q, "rows": len(self.w), "columns": self.width(),
                "zero": self.zero, "lo": self.lo, "hi": self.hi}  # fmt: skip


class Sums(General):
    """One vector to partial sums that do not saturate: Gates can take them over."""


@dataclass(frozen=True)
class Gates(Grouped):
    """One vector, or two, to the whole range of int16, no left shift.

    With h: `first` is the product of x whose sums this one, the product of h, goes on from.
    """

    h: View | None = None
    first: Sums | None = None

    FILE = "matmul_gates"
    READS = ("x", "h", "start")
    TYPES = ()

    def run(self, env: Env) -> None:
        if self.first is None:
            return super().run(env)
        self.first.run(env)
        become(type(self), self, x=self.h, h=None, first=None, start=self.first.y).run(env)

    def macs(self) -> int:
        return super().macs() + (self.first.macs() if self.first else 0)

    def weights(self) -> list[np.ndarray]:
        return super().weights() + (self.first.weights() if self.first else [])

    def fields(self) -> dict:
        calls = [self] if self.first is None else [self.first, self]
        own = {"weights": np.hstack([c.weights_in_groups() for c in calls]).ravel(),
               "bias": None if self.first is None and self.start else calls[0].starts(),
               "mult": np.hstack([c.multipliers() for c in calls]).ravel()}  # fmt: skip
        return own | {"x_shift": calls[0].rq.shift, "rows": len(self.w), "columns": calls[0].width(),
                      "h_columns": 0 if self.first is None else self.width()}  # fmt: skip


def flat(v: View) -> View:
    return v.reshape(v.size)


def alone(call: Matmul) -> bool:
    """Whether y is one vector of nothing but the requantized sums."""
    return call.p == call.q == 1 and call.add is None and call.zero == 0


def whole_range(f: Fitting, call: Matmul) -> bool:
    """Whether y is int16, saturates only there, and takes no left shift."""
    return f.bits(call.y) == 16 and call.rq.shift == 0 and (call.zero, call.lo, call.hi) == (0, *limits(16))


def plain_sums(f: Fitting, call: Matmul) -> bool:
    """Whether y is int32 sums that do not saturate, of a product that starts them."""
    return f.bits(call.y) == 32 and call.start is None and call.never_saturates()


def grouped(f: Fitting, call: Matmul, x: View, kinds: tuple[type[Matmul], ...]) -> list[Kernel]:
    """x: the operand.  kinds: for any y, for partial sums, for gates."""
    general, sums, gates = kinds
    if alone(call) and whole_range(f, call):
        first = f.take(sums, call.start) if call.start else None
        if first is None:
            return [become(gates, call, x=x)]
        return [become(gates, call, x=first.x, h=x, first=first, start=None)]
    if alone(call) and plain_sums(f, call):
        return [become(sums, call, x=x, y=flat(call.y))]
    return [become(general, call, x=x)]
