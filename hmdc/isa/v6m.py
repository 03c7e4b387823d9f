"""Cortex-M0, M0+: a multiplication to 32 bits, no saturation, eight low registers.

Products are as on Cortex-M3.  What is scaled by a power of two, or by a multiplier of 16 bits, is spared the product
of 64 bits.
"""

from ..intmath import Requant
from ..kernels import GruUpdate, Kernel, LstmUpdate, Matmul
from .base import Fitting, Isa, become
from .v7m import matmul

MOST = 30  # bits of |v| that is scaled; shifted to the right by no more, its rounding does not leave int32 either


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
    "Armv6-M: cross multiplication",
    "defined(__ARM_ARCH_6M__)",
    {Matmul: matmul, LstmUpdate: lstm_update, GruUpdate: gru_update},
)
