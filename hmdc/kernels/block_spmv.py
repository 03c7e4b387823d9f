"""As spmv, but whole blocks of w are kept: one index for several weights              C: runtime_c/block_spmv.c"""

from dataclasses import dataclass, replace

import numpy as np

from ..errors import HmdcError
from ..intmath import Requant
from ..program import Env, View
from .base import Kernel, Product, Quantizer, clamp
from .spmv import finish, product_fields

MOST_ROWS = 8  # of a block: the C keeps one sum for each
MOST_COLUMNS = 65535  # of the matrix: first columns of blocks are uint16


@dataclass(frozen=True)
class BlockSpmv(Kernel):
    """w: [m, n]; block: (rows, columns), rows <= 8, columns <= n.  A block with any weight that is not zero is kept.

    Stored: per row of blocks the number of blocks (uint16), per block its first column (uint16) and its weights, row by
    row.  The last column of blocks ends at n, overlapping its neighbor; the last row of blocks is filled with zeros.
    """

    x: View
    y: View
    w: np.ndarray
    block: tuple[int, int]
    bias: np.ndarray | None = None
    add: View | None = None
    low: float = -np.inf
    high: float = np.inf
    rq: Requant | None = None
    zero: int = 0
    lo: int = 0
    hi: int = 0

    READS = ("x", "add")

    def __post_init__(self):
        (r, k), n = self.block, self.w.shape[1]
        if not (1 <= r <= MOST_ROWS and 1 <= k <= n <= MOST_COLUMNS):
            raise HmdcError(
                f"{self.name}: blocks of {r} x {k} in a matrix of {n} columns; "
                f"at most {MOST_ROWS} rows, and at most as many columns as the matrix has (up to {MOST_COLUMNS})"
            )

    def operand(self, env: Env) -> np.ndarray:
        """x as [samples, columns]."""
        return env.view(self.x).reshape(-1, self.w.shape[1])

    def run(self, env: Env) -> None:
        x = self.operand(env)
        env.put(self.y, finish(self, env, np.matmul(x.astype(np.float64), self.w.T.astype(np.float64))))

    def ties(self) -> list[tuple[View, View]]:
        return [] if self.add is None else [(self.add, self.y)]

    def quantize(self, q: Quantizer) -> list[Kernel]:
        y = q[self.y]
        c = Product.of(self.w, self.bias, q[self.x], y, per_row=True)
        c.prove(self.name)
        return [replace(self, w=c.w, bias=c.bias, rq=c.rq, zero=y.zero, **clamp(y, self.low, self.high))]

    def packed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(weights, first columns, blocks per row of blocks)"""
        (m, n), (r, k) = self.w.shape, self.block
        weights, columns, counts = [], [], []
        for i in range(0, m, r):
            kept = [j for j in range(0, n, k) if self.w[i : i + r, j : j + k].any()]
            for j in kept:
                first = min(j, n - k)
                piece = np.zeros((r, k), self.w.dtype)
                piece[: min(r, m - i), j - first :] = self.w[i : i + r, j : j + k]
                weights.append(piece.ravel())
                columns.append(first)
            counts.append(len(kept))
        flat = np.concatenate(weights) if weights else np.zeros(1, self.w.dtype)
        return flat, np.array(columns or [0], np.uint16), np.array(counts, np.uint16)

    def macs(self) -> int:
        return int(self.packed()[2].sum()) * self.block[0] * self.block[1]

    def weights(self) -> list[np.ndarray]:
        return [*self.packed()] + ([] if self.bias is None else [self.bias.astype(np.int32)])

    def fields(self) -> dict:
        weights, columns, counts = self.packed()
        dims = {"rows": len(self.w), "block_rows": self.block[0], "block_columns": self.block[1]}
        return product_fields(self, weights, {"columns": columns, "counts": counts}, dims)
