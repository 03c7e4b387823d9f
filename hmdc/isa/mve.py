"""Cortex-M55, M85 (Helium): vectors of 128 bits, low-overhead loops, tail predication.

Products take 4 rows in a pass (a quad), so that they share every load of x.
"""

import numpy as np

from ..intmath import Requant, limits
from ..kernels import GruUpdate, Kernel, LstmUpdate, Matmul, Spmv, Swap
from ..kernels.spmv import product_fields
from ..program import Env, View
from .base import Fitting, Isa, become
from .grouped import alone, plain_sums, whole_range

QUAD = 4
VECTOR = 16  # bytes
PANEL = 256  # columns that one byte tells


def quads(w: np.ndarray, block: int) -> np.ndarray:
    """int8 [rows, columns] in the order in which the C reads them: quads, of these blocks of columns, of these rows.

    Then the rows that make no quad, then what a load of 16 bytes may reach beyond the last weights of a quad.
    """
    whole = len(w) // QUAD * QUAD
    parts = []
    for four in w[:whole].reshape(-1, QUAD, w.shape[1]):
        parts += [four[:, k : k + block].ravel() for k in range(0, w.shape[1], block)]
    beyond = -w.shape[1] % block - w[whole:].size if whole else 0
    return np.concatenate([*parts, w[whole:].ravel(), np.zeros(max(beyond, 0), np.int8)])


class Transposed(Matmul):
    """A product that reads x as [p, q, k]: every vector in one piece."""

    def operand(self, env: Env) -> np.ndarray:
        return env.view(self.x).reshape(-1, self.p, self.q, self.w.shape[1]).swapaxes(2, 3)

    def starts(self) -> np.ndarray | None:
        """What the sums start from: [rows] or [p, q, rows]; None if an operand tells."""
        if self.start is not None:
            return None
        bias = np.zeros(len(self.w)) if self.bias is None else self.bias
        return (bias if bias.ndim == 1 else bias.swapaxes(1, 2)).astype(np.int32)


class MatmulQuads(Transposed):
    """C: runtime_c/mve/matmul_quads.c"""

    x_bits = 8

    FILE = "matmul_quads"

    def fields(self) -> dict:
        rows, columns = self.w.shape
        mult = self.rq.mult.astype(np.int32)
        return {"weights": quads(self.w, VECTOR * 8 // self.x_bits), "bias": self.starts(),
                "mult": mult, "mult_step": int(mult.size > 1), "shift": self.rq.shift,
                "bias_each": int(self.bias is not None and self.bias.ndim == 3),
                "p": self.p, "q": self.q, "rows": rows, "columns": columns,
                "zero": self.zero, "lo": self.lo, "hi": self.hi}  # fmt: skip


class MatmulQuads16(MatmulQuads):
    """The same for int16 x: its vectors have half as many columns."""

    x_bits = 16


class MatmulGates(Transposed):
    """One vector of int8 to the whole range of int16, no left shift.             C: runtime_c/mve/matmul_gates.c"""

    READS = ("x", "start")
    TYPES = ()

    FILE = "matmul_gates"

    def fields(self) -> dict:
        rows, columns = self.w.shape
        mult = np.broadcast_to(self.rq.mult, (rows,)).astype(np.int32)
        return {"weights": quads(self.w, VECTOR), "bias": self.starts(), "mult": mult,
                "rows": rows, "columns": columns}  # fmt: skip


class MatmulSums(MatmulGates):
    """One vector of int8 to partial sums that do not saturate.                   C: runtime_c/mve/matmul_sums.c"""

    FILE = "matmul_sums"

    def fields(self) -> dict:
        own = super().fields()
        dims = {name: own.pop(name) for name in ("rows", "columns")}
        return own | {"shift": self.rq.shift} | dims


def transposed(f: Fitting, call: Matmul) -> View:
    """The operand of a product with the columns of each vector side by side."""
    if call.q == 1:
        return call.x
    k = call.w.shape[1]

    def make(x: View) -> tuple[Kernel, View]:
        name = f.operand_name(x, f"columns{call.q}")
        y = f.temporary(name, call.p * k * call.q, f.bits(x))
        return Swap(name, x, y, call.p, k, call.q, 1), y

    return f.operand(call.x, f"columns {call.p} {call.q}", make)


def matmul(f: Fitting, call: Matmul) -> list[Kernel] | None:
    x_bits = f.bits(call.x)
    if x_bits == 8 and alone(call):
        if whole_range(f, call):
            return [become(MatmulGates, call)]
        if plain_sums(f, call):
            return [become(MatmulSums, call)]
    kind = MatmulQuads if x_bits == 8 else MatmulQuads16
    return [become(kind, call, x=transposed(f, call))]


def gentle(*knots: np.ndarray) -> bool:
    """Whether neighboring knots differ by 16 bits."""
    steps = np.concatenate([np.diff(t.astype(np.int64)) for t in knots])
    return limits(16)[0] <= steps.min() and steps.max() <= limits(16)[1]


def fits16(a: np.ndarray, b: np.ndarray, rq: Requant) -> bool:
    """Whether the requantized products of values between a and values between b fit in int16."""
    corners = np.outer([a.min(), a.max()], [b.min(), b.max()]).astype(np.int64)
    ends = rq(np.array([corners.min(), corners.max()]))
    return limits(16)[0] <= ends.min() and ends.max() <= limits(16)[1]


class LstmUnits(LstmUpdate):
    """8 units at a time.                                                         C: runtime_c/mve/lstm_units.c"""

    FILE = "lstm_units"

    def fields(self) -> dict:
        return {name: v for name, v in super().fields().items() if name not in ("shift_c", "shift_h")}


def lstm_update(f: Fitting, call: LstmUpdate) -> list[Kernel] | None:
    gate, candidate, _ = (t.astype(np.int64) for t in call.knots)
    plain = call.rq_c.shift == call.rq_h.shift == 0 and gate.min() > limits(16)[0]  # -2^15 squared would saturate
    if plain and gentle(*call.knots) and fits16(gate, candidate, call.rq_c):
        return [become(LstmUnits, call)]
    return None


class GruUnits(GruUpdate):
    """8 units at a time.                                                         C: runtime_c/mve/gru_units.c"""

    FILE = "gru_units"

    def fields(self) -> dict:
        return {name: v for name, v in super().fields().items() if name != "shift"}


def gru_update(f: Fitting, call: GruUpdate) -> list[Kernel] | None:
    gate, candidate = (t.astype(np.int64) for t in call.knots)
    if call.rq.shift == 0 and gate.min() >= 0 and gentle(*call.knots) and fits16(2**15 - gate, candidate, call.rq):
        return [become(GruUnits, call)]
    return None


class SpmvGather(Spmv):
    """Columns within panels of 256 instead of distances.                         C: runtime_c/mve/spmv_gather.c"""

    FILE = "spmv_gather"

    def packed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(weights, columns within their panel, entries per row and panel)"""
        rows, k = self.w.shape
        panels = -(-k // PANEL)
        full = np.zeros((rows, panels * PANEL), self.w.dtype)
        full[:, :k] = self.w
        at = np.nonzero(full)
        counts = np.count_nonzero(full.reshape(rows, panels, PANEL), axis=2).astype(np.uint16)
        nothing = np.zeros(1, np.uint8)  # C has no empty arrays
        if not at[0].size:
            return nothing.astype(self.w.dtype), nothing, counts.ravel()
        return full[at], (at[1] % PANEL).astype(np.uint8), counts.ravel()

    def fields(self) -> dict:
        weights, columns, counts = self.packed()
        dims = {"rows": len(self.w), "panels": counts.size // len(self.w)}
        return product_fields(self, weights, {"columns": columns, "counts": counts}, dims)


def spmv(f: Fitting, call: Spmv) -> list[Kernel] | None:
    return [become(SpmvGather, call)]


VARIANTS = {Matmul: matmul, Spmv: spmv, LstmUpdate: lstm_update, GruUpdate: gru_update}
MVE = Isa(
    "mve", "Armv8.1-M with Helium", "tail-predicated vectors", "defined(__ARM_FEATURE_MVE)", VARIANTS, "<arm_mve.h>"
)
