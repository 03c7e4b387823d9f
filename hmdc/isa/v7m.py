"""Cortex-M3: 32-bit multiply-accumulate, no DSP extension.

Cross multiplication: a word holds the weights of 4 columns of a row, each + 128 as a byte, in the order 0, 2, 1, 3, so

    word = (w0 + 2^16 w1) + 2^8 (w2 + 2^16 w3)

and (w0 + 2^16 w1) (x1 + 2^16 x0) modulo 2^32 is w0 x1 + 2^16 (w0 x0 + w1 x1): two products by one multiplication.  A
constant of x takes the 128 away and makes the lower half nonnegative, so that the upper half is the sum over the pair
of columns.  It is exact where |w| <= 127, as then 2 * 127 * 128 < 2^15.
"""

from dataclasses import dataclass

import numpy as np

from ..kernels import Kernel, Matmul
from ..program import Env, View
from .base import Fitting, Isa, up
from .grouped import Gates, General, Grouped, Sums, grouped

ORDER = (0, 2, 1, 3)  # column -> its byte in a word, and the other way round
MOST_COLUMNS = 4096  # the loop counts 16 columns at a time in 8 bits


def wrap(v: np.ndarray) -> np.ndarray:
    """int64 -> the int32 of the same 32 bits."""
    return v.astype(np.int32).astype(np.int64)


@dataclass(frozen=True)
class Cross(Kernel):
    """y[p, q] = x[p, :, q] for cross multiplication                                      C: runtime_c/v7m/cross.c

    Two words for each pair of columns: x1 + 2^16 x0, and what is added to its products.  Columns are filled up with
    zeros to a multiple of 4.
    """

    x: View
    y: View
    p: int
    columns: int
    q: int

    FILE = "cross"
    TYPES = ()

    def run(self, env: Env) -> None:
        x = env.view(self.x).reshape(-1, self.p, self.columns, self.q).swapaxes(2, 3)
        x = np.pad(x, [(0, 0)] * 3 + [(0, -self.columns % 4)])
        x0, x1 = x[..., ::2], x[..., 1::2]
        env.put(self.y, np.stack([wrap(x1 + (x0 << 16)), wrap(2**15 - 128 * x1 - (x0 + x1 << 23))], -1))

    def fields(self) -> dict:
        return {"p": self.p, "columns": self.columns, "q": self.q}


class Crossed(Grouped):
    """A product that reads x as Cross leaves it."""

    GROUP = 4

    def operand(self, env: Env) -> np.ndarray:
        words = env.view(self.x).reshape(-1, self.p, self.q, up(self.w.shape[1], 4) // 2, 2)[..., 0]
        x1 = words.astype(np.int16).astype(np.int64)
        x = np.stack([wrap(words - x1) >> 16, x1], -1).reshape(*words.shape[:3], -1)
        return x[..., : self.w.shape[1]].swapaxes(2, 3)

    def weights_in_groups(self) -> np.ndarray:
        """A word of 4 columns of each of the 4 rows, then of the next 4 columns."""
        rows, columns = (up(n, 4) for n in self.w.shape)
        full = np.zeros((rows, columns), np.int64)
        full[: self.w.shape[0], : self.w.shape[1]] = self.w
        groups = (full + 128).reshape(rows // 4, 4, columns // 4, 4).transpose(0, 2, 1, 3)[..., ORDER]
        return np.ascontiguousarray(groups.astype(np.uint8)).view("<u4").reshape(rows // 4, -1)


class MatmulCross(Crossed, General):
    """Any y.                                                                     C: runtime_c/v7m/matmul_cross.c"""

    FILE = "matmul_cross"


class MatmulSums(MatmulCross, Sums):
    """Partial sums.                                                              C: runtime_c/v7m/matmul_cross.c"""


class MatmulGates(Crossed, Gates):
    """The gates of a cell.                                                       C: runtime_c/v7m/matmul_gates.c"""


def crossed(f: Fitting, call: Matmul) -> View:
    columns = call.w.shape[1]

    def make(x: View) -> tuple[Kernel, View]:
        name = f.operand_name(x, f"cross{call.q if call.q > 1 else ''}")
        y = f.temporary(name, call.p * call.q * up(columns, 4), 32)
        return Cross(name, x, y, call.p, columns, call.q), y

    return f.operand(call.x, f"cross {call.p} {call.q}", make)


def matmul(f: Fitting, call: Matmul) -> list[Kernel] | None:
    if len(call.w) == 1:
        return None  # the portable C takes less time than a group
    if f.bits(call.x) != 8 or call.w.min(initial=0) < -127 or call.w.shape[1] > MOST_COLUMNS:
        return None
    return grouped(f, call, crossed(f, call), (MatmulCross, MatmulSums, MatmulGates))


V7M = Isa("v7m", "Armv7-M", "cross multiplication", "defined(__ARM_ARCH_7M__)", {Matmul: matmul})
