"""Structured products on Cortex-M4, M7, M33: rank-1 rows, pruned matrices, pruned blocks."""

import numpy as np

from ..intmath import limits
from ..kernels import Kernel, Rank1
from ..program import Env, View
from .base import Fitting, become
from .dsp import Widen, up


def wide_vector(f: Fitting, x: View) -> View:
    """x in 16 bits, shared with the dense products that read it."""

    def make(v: View) -> tuple[Kernel, View]:
        name = f.operand_name(v, "wide")
        y = f.temporary(name, up(v.size, 4), 16)
        return Widen(name, v, y, 1, v.size, 1), y

    return f.operand(x.reshape(x.size), "wide 1 1", make)


def halfwords(values: np.ndarray) -> np.ndarray:
    """Words of two int16 each, the first in the low half."""
    return np.ascontiguousarray(values.astype("<i2")).view("<u4").ravel()


class Rank1Wide(Rank1):
    """Any y, x as Widen leaves it.                                                C: runtime_c/dsp/rank1_wide.c"""

    FILE = "rank1_wide"
    TYPES = ("y",)

    def operand(self, env: Env) -> np.ndarray:
        n = len(self.c) + len(self.e)
        return env.view(self.x).reshape(-1, up(n, 4))[:, :n]

    def dot_fields(self) -> dict:
        """c and e with zeros around, so that they lie at multiples of 4 columns."""
        n1, n = len(self.c), len(self.c) + len(self.e)
        c, e = np.zeros((2, up(n, 4)), np.int64)
        c[:n1], e[n1:n] = self.c, self.e
        c, e = c[: up(n1, 4)], e[n1 // 4 * 4 :] if n1 < n else e[:0]
        bias = [0 if p.bias is None else int(p.bias[0]) for p in self.dots]
        (mc, me) = (p.rq for p in self.dots)
        return {"dots": halfwords(np.concatenate([c, e])), "n1": len(c), "n2": len(e), "e_first": n1 // 4 * 4,
                "c_bias": bias[0], "c_mult": int(mc.mult[0]), "c_shift": mc.shift,
                "e_bias": bias[1], "e_mult": int(me.mult[0]), "e_shift": me.shift}  # fmt: skip

    def fields(self) -> dict:
        bias = None if self.bias is None else self.bias.astype(np.int32)
        return self.dot_fields() | {"bd": self.pairs(), "bias": bias, "rows": len(self.b),
                "mult": int(self.rq.mult[0]), "shift": self.rq.shift,
                "zero": self.zero, "lo": self.lo, "hi": self.hi}  # fmt: skip


class Rank1Rows(Rank1Wide):
    """y: the whole range of int16, nothing but the requantized sums.              C: runtime_c/dsp/rank1_rows.c"""

    FILE = "rank1_rows"
    READS = ("x",)
    TYPES = ()

    def fields(self) -> dict:
        return self.dot_fields() | {"stream": rank1_stream(self.b, self.d, self.bias), "rows": len(self.b),
                                    "mult": int(self.rq.mult[0])}  # fmt: skip


def rank1_stream(b: np.ndarray, d: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Groups of 4 rows: 2 words of bytes b, b, d, d for two rows each, 4 biases.  Filled up with zeros."""
    fill = lambda v: np.pad(v, (0, -len(v) % 4))  # noqa: E731
    weights = np.stack([fill(b).reshape(-1, 2), fill(d).reshape(-1, 2)], axis=1).astype(np.int8)
    words = weights.reshape(-1, 4).view("<i4").reshape(-1, 2)
    biases = fill(np.zeros(len(b)) if bias is None else bias).reshape(-1, 4)
    return np.hstack([words, biases]).astype(np.int32).ravel()


def rank1(f: Fitting, call: Rank1) -> list[Kernel]:
    bounds = (call.zero, call.lo, call.hi) == (0, *limits(16))
    rows = f.bits(call.y) == 16 and bounds and call.rq.shift == 0 and call.add is None
    return [become(Rank1Rows if rows else Rank1Wide, call, x=wide_vector(f, call.x))]


VARIANTS = {Rank1: rank1}
