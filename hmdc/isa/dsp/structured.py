"""Structured products on Cortex-M4, M7, M33: rank-1 rows, pruned matrices, pruned blocks."""

import numpy as np

from ...intmath import limits
from ...kernels import BlockSpmv, Kernel, Rank1, Spmv
from ...program import Env, View
from ..base import Fitting, become, up
from .operands import Widen
from .products import EXACT, pairs


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


def requant_fields(call: Spmv | BlockSpmv) -> dict:
    mult = call.rq.mult.astype(np.int32)
    return {"mult": mult, "mult_step": int(mult.size > 1), "shift": call.rq.shift, "rows": len(call.w),
            "zero": call.zero, "lo": call.lo, "hi": call.hi}  # fmt: skip


def starts(call: Spmv | BlockSpmv, multiple: int = 1) -> np.ndarray:
    bias = np.zeros(len(call.w)) if call.bias is None else call.bias
    return np.pad(bias, (0, -len(bias) % multiple)).astype(np.int32)


class Sparse(Spmv):
    """8-bit x, as it is.                                                          C: runtime_c/dsp/sparse.c"""

    FILE = "sparse"
    TYPES = ("y",)

    def fields(self) -> dict:
        return {"stream": sparse_stream(*self.packed(), starts(self))} | requant_fields(self)


def sparse_stream(weights: np.ndarray, gaps: np.ndarray, counts: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Words of a row: its number of groups, its bias, of each group a word of 4 distances and a word of 4 weights.

    weights, gaps, counts: as Spmv.packed gives them.  A row has one group at least; the last is filled up with entries
    of no distance and no weight.
    """
    words, at = [], 0
    for count, start in zip(counts.tolist(), bias.tolist()):
        entries = np.zeros((2, max(4, up(count, 4))), np.uint8)
        entries[0, :count], entries[1, :count] = gaps[at : at + count], weights[at : at + count].view(np.uint8)
        groups = entries.view("<i4").T
        words += [np.array([len(groups), start], np.int32), groups.ravel()]
        at += count
    return np.concatenate(words)


def spmv(f: Fitting, call: Spmv) -> list[Kernel] | None:
    return [become(Sparse, call)] if f.bits(call.x) == 8 else None


MOST_FILLED = 1.25  # weights that tiles may store for one of the blocks


class Tiles(BlockSpmv):
    """8-bit x as Widen leaves it.                                                 C: runtime_c/dsp/tiles.c"""

    FILE = "tiles"
    TYPES = ("y",)

    def operand(self, env: Env) -> np.ndarray:
        n = self.w.shape[1]
        return env.view(self.x).reshape(-1, up(n, 4))[:, :n]

    def fields(self) -> dict:
        weights, offsets = tiles(self.w)
        return {"weights": weights, "offsets": offsets, "bias": starts(self, 4)} | requant_fields(self)


def tiles(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weights of the tiles of 4 x 4 that are not all zero, and where they are; at least one in 4 rows.

    Weights as `pairs` packs them.  Offsets: 4 times the first column; 1 more marks the last tile of 4 rows.
    """
    rows, columns = (up(n, 4) for n in w.shape)
    full = np.zeros((rows, columns), np.int8)
    full[: w.shape[0], : w.shape[1]] = w
    grid = full.reshape(rows // 4, 4, columns // 4, 4).swapaxes(1, 2)
    kept = grid.any(axis=(2, 3))
    kept[~kept.any(axis=1), 0] = True
    last = columns // 4 - 1 - kept[:, ::-1].argmax(axis=1)
    i, j = np.nonzero(kept)
    return pairs(grid[i, j].reshape(-1, 4)), (16 * j + (j == last[i])).astype(np.uint16)


def block_spmv(f: Fitting, call: BlockSpmv) -> list[Kernel] | None:
    exact = 128 * np.abs(call.w.astype(np.int64)).sum(axis=1).max() < EXACT
    if f.bits(call.x) != 8 or not exact or 4 * call.w.shape[1] > 65535:
        return None
    if len(tiles(call.w)[0]) * 4 > MOST_FILLED * call.packed()[0].size:
        return None
    return [become(Tiles, call, x=wide_vector(f, call.x))]


VARIANTS = {Rank1: rank1, Spmv: spmv, BlockSpmv: block_spmv}
