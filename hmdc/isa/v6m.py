"""Cortex-M0, M0+: a multiplication to 32 bits, no saturation, eight low registers.

Products take 8 rows in a pass.  A weight is stored + 128 as an unsigned byte, which this core loads without computing
an address or extending a sign; x is a word, so that any gain fits, and with it comes what takes the 128 away again.
What is scaled by a power of two, or by a multiplier of 16 bits, is spared the product of 64 bits.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..intmath import Requant
from ..kernels import GruUpdate, Kernel, LstmUpdate, Matmul
from ..program import Env, View
from .base import Fitting, Isa, become
from .grouped import Gates, General, Grouped, Sums, flat, grouped
from .v7m import wrap

FEW = 4  # fewer rows take less time one by one
MOST = 30  # bits of |v| that is scaled; shifted to the right by no more, its rounding does not leave int32 either


@dataclass(frozen=True)
class Words(Kernel):
    """y[p, q] = -128 sum_k x[p, k, q] modulo 2^32, then x[p, :, q]                       C: runtime_c/v6m/words.c

    The first `gained` of k count 2**gain times.
    """

    x: View
    y: View
    p: int
    columns: int
    q: int
    gained: int = 0
    gain: int = 0

    FILE = "words"
    TYPES = ()

    def run(self, env: Env) -> None:
        x = env.view(self.x).reshape(-1, self.p, self.columns, self.q).swapaxes(2, 3)
        x = x * np.where(np.arange(self.columns) < self.gained, 1 << self.gain, 1)
        env.put(self.y, np.concatenate([wrap(-128 * x.sum(axis=-1, keepdims=True)), x], -1))

    def fields(self) -> dict:
        return {"p": self.p, "columns": self.columns, "q": self.q, "gained": self.gained, "gain": self.gain}


class Worded(Grouped):
    """A product that reads x as Words leaves it."""

    GROUP = 8

    def operand(self, env: Env) -> np.ndarray:
        return env.view(self.x).reshape(-1, self.p, self.q, 1 + self.w.shape[1])[..., 1:].swapaxes(2, 3)

    def weights_in_groups(self) -> np.ndarray:
        """The 8 rows of a column, then those of the next."""
        full = np.pad(self.w.astype(np.int64), [(0, -len(self.w) % 8), (0, 0)]) + 128
        groups = full.reshape(len(full) // 8, 8, -1).swapaxes(1, 2)
        return np.ascontiguousarray(groups.astype(np.uint8)).reshape(len(groups), -1)


class MatmulWords(Worded, General):
    """Any y.                                                                     C: runtime_c/v6m/matmul_words.c"""

    FILE = "matmul_words"


class MatmulSums(MatmulWords, Sums):
    """Partial sums.                                                              C: runtime_c/v6m/matmul_words.c"""


class MatmulGates(Worded, Gates):
    """The gates of a cell.                                                       C: runtime_c/v6m/matmul_gates.c"""


def words(f: Fitting, call: Matmul) -> View:
    columns, gain = call.w.shape[1], (call.gained, call.gain) if call.gain else (0, 0)

    def make(x: View) -> tuple[Kernel, View]:
        name = f.operand_name(x, form.replace(" ", "_"))
        y = f.temporary(name, call.p * call.q * (1 + columns), 32)
        return Words(name, x, y, call.p, columns, call.q, *gain), y

    form = f"words{f' {call.q}' if call.q > 1 else ''}{f' gain{gain[0]} {gain[1]}' if call.gain else ''}"
    return f.operand(call.x, f"{form} {call.p}", make)


def matmul(f: Fitting, call: Matmul) -> list[Kernel] | None:
    rows = len(call.w)
    if f.bits(call.x) != 8 or (rows < FEW and not call.gain):
        return None
    whole = rows // 8 * 8
    if (
        0 < rows - whole < FEW < whole
        and call.p == call.q == 1
        and not (call.start or call.gain)
        and f.bits(call.y) < 32
    ):
        return [*matmul(f, part(call, 0, whole)), part(call, whole, rows)]
    return grouped(f, call, words(f, call), (MatmulWords, MatmulSums, MatmulGates))


def part(call: Matmul, first: int, last: int) -> Matmul:
    """Some rows of a product with one vector."""
    rq, bias = call.rq, None if call.bias is None else call.bias.ravel()[first:last]
    y, add = (v and flat(v).slice(0, first, last) for v in (call.y, call.add))
    rq = rq if rq.mult.size == 1 else Requant(rq.mult[first:last], rq.shift)
    return replace(call, y=y, w=call.w[first:last], bias=bias, add=add, rq=rq)


def halvings(rq: Requant) -> int | None:
    """n with rq(v) = (v + 2^(n - 1)) >> n for |v| <= 2^30, or None."""
    mult = int(rq.mult[0])
    n = 32 - rq.shift - (mult.bit_length() - 1)
    return n if rq.mult.size == 1 and mult == 1 << max(mult.bit_length() - 1, 0) and 1 <= n <= MOST else None


def scale16(rq: Requant) -> tuple[int, int] | None:
    """(mult, down) with rq(v) = (v mult + 2^(down + 15)) >> (down + 16) for |v| <= 2^30 and mult < 2^16, or None."""
    mult = int(rq.mult[0])
    spare = max(mult.bit_length() - 16, 0)
    down = 16 - spare - rq.shift
    exact = rq.mult.size == 1 and mult == mult >> spare << spare
    return (mult >> spare, down) if exact and 1 <= down <= MOST else None


class LstmUpdateShift(LstmUpdate):
    """The cell state has a scale of a power of two.                             C: runtime_c/v6m/lstm_update_shift.c"""

    FILE = "lstm_update_shift"

    def fields(self) -> dict:
        whole = super().fields()
        mult, down = scale16(self.rq_h)
        return {name: whole[name] for name in ("gate", "candidate", "output")} | {
            "down_c": halvings(self.rq_c), "c_shift": self.c_shift, "mult_h": mult, "down_h": down,
            "n": whole["n"]}  # fmt: skip


class GruUpdateShift(GruUpdate):
    """The state has a scale of a power of two.                                   C: runtime_c/v6m/gru_update_shift.c"""

    FILE = "gru_update_shift"

    def fields(self) -> dict:
        whole = super().fields()
        return {name: whole[name] for name in ("gate", "candidate")} | {"down": halvings(self.rq), "n": whole["n"]}


def lstm_update(_: Fitting, call: LstmUpdate) -> list[Kernel] | None:
    return [become(LstmUpdateShift, call)] if halvings(call.rq_c) and scale16(call.rq_h) else None


def gru_update(_: Fitting, call: GruUpdate) -> list[Kernel] | None:
    return [become(GruUpdateShift, call)] if halvings(call.rq) else None


V6M = Isa(
    "v6m",
    "Armv6-M",
    "products of bytes, 8 rows a pass",
    "defined(__ARM_ARCH_6M__)",
    {Matmul: matmul, LstmUpdate: lstm_update, GruUpdate: gru_update},
    gains=True,
)
