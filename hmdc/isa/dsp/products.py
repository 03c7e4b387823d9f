"""Dense products.

Two rows of weights share a halfword, h = 256 w1 + w0: SMLAD sums h x, SMLAD of the sign-extended low bytes sums w0 x,
and their difference is 256 times the sum of w1 x.  Exact while that sum stays below 2^23.
"""

from dataclasses import dataclass

import numpy as np

from ...intmath import limits
from ...kernels import Kernel, Matmul
from ...program import Env, View
from ..base import Fitting, become, up
from .operands import BLOCK, interleaved, widened

EXACT = 1 << 23  # bound of every sum that can be told apart from the one it shares a register with


class Widened(Matmul):
    """A product that reads x as Widen leaves it."""

    TYPES = ("y",)

    def operand(self, env: Env) -> np.ndarray:
        k = self.w.shape[1]
        x = env.view(self.x).reshape(-1, self.p, self.q, up(k, 4))
        return x[..., :k].swapaxes(2, 3)

    def gains(self) -> np.ndarray:
        return np.ones(1, int)  # Widen has applied them

    def starts(self, multiple: int = 1) -> np.ndarray:
        """Biases by row, [rows] or [p, q, rows]; rows filled up to a multiple."""
        bias = np.zeros(len(self.w)) if self.bias is None else self.bias
        bias = bias if bias.ndim == 1 else bias.swapaxes(1, 2)
        return np.pad(bias, [(0, 0)] * (bias.ndim - 1) + [(0, -bias.shape[-1] % multiple)]).astype(np.int32)

    @property
    def bias_each(self) -> int:
        return int(self.bias is not None and self.bias.ndim == 3)

    def multipliers(self) -> np.ndarray:
        """One for each row of the groups of 4."""
        mult = np.broadcast_to(self.rq.mult, (len(self.w),))
        return np.pad(mult, (0, -len(mult) % 4)).astype(np.int32)


def pairs(w: np.ndarray) -> np.ndarray:
    """int8 [rows, columns] -> words: groups of 4 rows, of these 4 columns at a time, of these rows (0, 1), then (2, 3).

    A word has two columns of a pair of rows.  Rows and columns are filled up with zeros.
    """
    rows, columns = (up(n, 4) for n in w.shape)
    full = np.zeros((rows, columns), np.int32)
    full[: w.shape[0], : w.shape[1]] = w
    halves = 256 * full[1::2] + full[::2]
    groups = halves.reshape(rows // 4, 2, columns // 4, 4).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(groups.astype("<i2")).view("<u4").ravel()


class MatmulPairs(Widened):
    """Any y.                                                                     C: runtime_c/dsp/matmul_pairs.c"""

    FILE = "matmul_pairs"

    def fields(self) -> dict:
        rows, columns = self.w.shape
        one = self.rq.mult.size == 1
        mult = np.resize(self.rq.mult, 4) if one else self.multipliers()
        return {"weights": pairs(self.w), "bias": self.starts(4), "mult": mult.astype(np.int32),
                "mult_step": -16 if one else 0, "shift": self.rq.shift, "bias_each": self.bias_each,
                "p": self.p, "q": self.q, "rows": rows, "columns": up(columns, 4),
                "zero": self.zero, "lo": self.lo, "hi": self.hi}  # fmt: skip


class MatmulSums(Widened):
    """One vector to partial sums that do not saturate.                           C: runtime_c/dsp/matmul_sums.c"""

    FILE = "matmul_sums"
    READS = ("x",)
    TYPES = ()

    def fields(self) -> dict:
        rows, columns = self.w.shape
        return {"weights": pairs(self.w), "bias": self.starts(), "mult": self.multipliers(),
                "shift": self.rq.shift, "rows": rows, "columns": up(columns, 4)}  # fmt: skip


class MatmulBlock(MatmulSums):
    """Several vectors likewise, BLOCK at a time, as Interleave leaves them.       C: runtime_c/dsp/matmul_block.c"""

    FILE = "matmul_block"

    def operand(self, env: Env) -> np.ndarray:
        k = self.w.shape[1]
        x = env.view(self.x).reshape(-1, up(self.p, BLOCK) // BLOCK, up(k, 4) // 2, BLOCK, 2)
        return x.swapaxes(2, 3).reshape(len(x), -1, up(k, 4), 1)[:, : self.p, :k]

    def reuse(self) -> int:
        return BLOCK

    def fields(self) -> dict:
        rows, columns = self.w.shape
        return {"weights": pairs(self.w), "bias": self.starts(2), "mult": self.multipliers(),
                "shift": self.rq.shift, "p": self.p, "rows": rows, "columns": up(columns, 4)}  # fmt: skip


@dataclass(frozen=True)
class MatmulGates(Widened):
    """One vector, or two, to the whole range of int16, no left shift.            C: runtime_c/dsp/matmul_gates.c

    With h: `first` is the product of x whose sums this one, the product of h, goes on from.
    """

    h: View | None = None
    first: MatmulSums | None = None

    FILE = "matmul_gates"
    READS = ("x", "h", "start")
    TYPES = ()

    def run(self, env: Env) -> None:
        if self.first is None:
            return super().run(env)
        self.first.run(env)
        become(MatmulGates, self, x=self.h, h=None, first=None, start=self.first.y).run(env)

    def macs(self) -> int:
        return super().macs() + (self.first.macs() if self.first else 0)

    def weights(self) -> list[np.ndarray]:
        return super().weights() + (self.first.weights() if self.first else [])

    def fields(self) -> dict:
        rows, columns = self.w.shape
        own = {"weights": pairs(self.w), "bias": None if self.start else self.starts(), "mult": self.multipliers()}
        if self.first is None:
            return own | {"x_shift": 0, "rows": rows, "columns": up(columns, 4), "h_columns": 0}
        both = [pairs(w).reshape(up(rows, 4) // 4, -1) for w in (self.first.w, self.w)]
        mults = [call.multipliers().reshape(-1, 4) for call in (self.first, self)]
        return {"weights": np.hstack(both).ravel(), "bias": self.first.starts(), "mult": np.hstack(mults).ravel(),
                "x_shift": self.first.rq.shift, "rows": rows, "columns": up(self.first.w.shape[1], 4),
                "h_columns": up(columns, 4)}  # fmt: skip


def halves(w: np.ndarray, group: int = 2) -> np.ndarray:
    """int8 [rows, columns] -> words: `group` rows at a time, of these 4 columns at a time, in the order 0, 2, 1, 3."""
    rows, columns = up(w.shape[0], group), up(w.shape[1], 4)
    full = np.zeros((rows, columns), np.int8)
    full[: w.shape[0], : w.shape[1]] = w
    words = full.reshape(rows // group, group, columns // 4, 4)[..., [0, 2, 1, 3]].transpose(0, 2, 1, 3)
    return np.ascontiguousarray(words).view("<u4").ravel()


class MatmulVector(Widened):
    """One vector of 16 bits.                                                     C: runtime_c/dsp/matmul_vector.c"""

    FILE = "matmul_vector"

    def fields(self) -> dict:
        mult = self.rq.mult.astype(np.int32)
        return {"weights": halves(self.w, 4), "bias": None if self.bias is None else self.bias.ravel().astype(np.int32),
                "mult": mult, "mult_step": int(mult.size > 1), "shift": self.rq.shift, "rows": len(self.w),
                "columns": up(self.w.shape[1], 4), "zero": self.zero, "lo": self.lo, "hi": self.hi}  # fmt: skip


class MatmulHalves(Widened):
    """Several vectors of 16 bits.                                                C: runtime_c/dsp/matmul_halves.c"""

    FILE = "matmul_halves"
    READS = ("x", "add")

    def reuse(self) -> int:
        return 2

    def fields(self) -> dict:
        mult = self.rq.mult.astype(np.int32)
        return {"weights": halves(self.w), "bias": None if self.bias is None else self.bias.astype(np.int32),
                "mult": mult, "mult_step": int(mult.size > 1), "shift": self.rq.shift, "bias_each": self.bias_each,
                "p": self.p, "q": self.q, "rows": len(self.w), "columns": up(self.w.shape[1], 4),
                "zero": self.zero, "lo": self.lo, "hi": self.hi}  # fmt: skip


class MatmulColumns(Widened):
    """Two vectors of 5 to 8 values, one multiplier, the whole range of int16.     C: runtime_c/dsp/matmul_columns.c"""

    FILE = "matmul_columns"
    READS = ("x",)
    TYPES = ()

    def reuse(self) -> int:
        return 2

    def fields(self) -> dict:
        rows = len(self.w)
        weights = halves(np.pad(self.w, [(0, rows % 2), (0, 0)])).reshape(-1, 2, 2).swapaxes(1, 2).reshape(-1, 2)
        starts = np.broadcast_to(self.starts().reshape(-1, rows), (2, rows)).T
        stream = np.hstack([weights[:rows], np.ascontiguousarray(starts).view("<u4")])
        return {"rows": stream.ravel(), "words": stream.size, "mult": int(self.rq.mult[0])}


def whole_range(f: Fitting, call: Matmul) -> bool:
    """Whether y is int16, saturates only there, and is nothing but the requantized sums."""
    bounds = (call.zero, call.lo, call.hi) == (0, *limits(16))
    return f.bits(call.y) == 16 and bounds and call.rq.shift == 0 and call.add is None


def plain_sums(f: Fitting, call: Matmul) -> bool:
    """Whether y is int32 sums that do not saturate, and nothing else."""
    return f.bits(call.y) == 32 and not (call.add or call.start) and call.zero == 0 and call.never_saturates()


def matmul(f: Fitting, call: Matmul) -> list[Kernel] | None:
    most = 128 * (np.abs(call.w.astype(np.int64)) * call.gains()).sum(axis=1).max()
    exact = f.bits(call.x) == 8 and most < EXACT
    by_row = call.bias is None or call.bias.ndim == 1
    if exact and by_row and call.p > 1 and call.q == 1 and plain_sums(f, call):
        return [become(MatmulBlock, call, x=interleaved(f, call))]
    x, vector = widened(f, call), call.p == call.q == 1
    if x is None:
        return None
    if not exact:
        two = call.q == 2 and call.p == 1 and 4 < call.w.shape[1] <= 8 and call.rq.mult.size == 1
        kind = MatmulColumns if two and whole_range(f, call) else MatmulVector if vector else MatmulHalves
        return [become(kind, call, x=x)]
    if vector and whole_range(f, call):
        first = f.take(MatmulSums, call.start) if call.start else None
        if first is None:
            return [become(MatmulGates, call, x=x)]
        return [become(MatmulGates, call, x=first.x, h=x, first=first, start=None)]
    if vector and plain_sums(f, call):
        return [become(MatmulSums, call, x=x)]
    return [become(MatmulPairs, call, x=x)]
