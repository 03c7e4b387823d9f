"""Dense products.

Two rows of weights share a halfword, h = 256 w1 + w0: SMLAD sums h x, SMLAD of the sign-extended low bytes sums w0 x,
and their difference is 256 times the sum of w1 x.  Exact while that sum stays below 2^23.
"""

import numpy as np

from ...kernels import Kernel, Matmul
from ...program import Env
from ..base import Fitting, become, up
from ..grouped import Gates, Grouped, grouped, plain_sums, whole_range
from .operands import BLOCK, interleaved, widened

EXACT = 1 << 23  # bound of every sum that can be told apart from the one it shares a register with


class Widened(Grouped):
    """A product that reads x as Widen leaves it."""

    GROUP = 4

    def operand(self, env: Env) -> np.ndarray:
        k = self.w.shape[1]
        x = env.view(self.x).reshape(-1, self.p, self.q, up(k, 4))
        return x[..., :k].swapaxes(2, 3)

    def width(self) -> int:
        return up(self.w.shape[1], 4)

    def weights_in_groups(self) -> np.ndarray:
        return pairs(self.w).reshape(up(len(self.w), 4) // 4, -1)


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
        mult = np.resize(self.rq.mult, 4) if one else self.multipliers().ravel()
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
        return {"weights": pairs(self.w), "bias": self.starts(), "mult": self.multipliers().ravel(),
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
        return {"weights": pairs(self.w), "bias": self.starts(2), "mult": self.multipliers().ravel(),
                "shift": self.rq.shift, "p": self.p, "rows": rows, "columns": up(columns, 4)}  # fmt: skip


class MatmulGates(Widened, Gates):
    """The gates of a cell.                                                       C: runtime_c/dsp/matmul_gates.c"""


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


def matmul(f: Fitting, call: Matmul) -> list[Kernel] | None:
    most = 128 * (np.abs(call.w.astype(np.int64)) * call.gains()).sum(axis=1).max()
    exact = f.bits(call.x) == 8 and most < EXACT
    by_row = call.bias is None or call.bias.ndim == 1
    if exact and by_row and call.p > 1 and call.q == 1 and not call.add and call.zero == 0 and plain_sums(f, call):
        return [become(MatmulBlock, call, x=interleaved(f, call))]
    x, vector = widened(f, call), call.p == call.q == 1
    if x is None:
        return None
    if not exact:
        two = call.q == 2 and call.p == 1 and 4 < call.w.shape[1] <= 8 and call.rq.mult.size == 1
        kind = (
            MatmulColumns if two and not call.add and whole_range(f, call) else MatmulVector if vector else MatmulHalves
        )
        return [become(kind, call, x=x)]
    return grouped(f, call, x, (MatmulPairs, MatmulSums, MatmulGates))
