"""y[p,:] = table[x[p],:], x counted from the end where negative, and never outside      C: runtime_c/lookup.c"""

from dataclasses import dataclass, replace

import numpy as np

from ..program import Env, View
from .base import Kernel, Quantizer


@dataclass(frozen=True)
class Lookup(Kernel):
    """x: int32 tokens in every precision; y: one row of table [n, d] for each of them."""

    x: View
    y: View
    table: np.ndarray

    TYPES = ("y",)

    def run(self, env: Env) -> None:
        n, x = len(self.table), env.view(self.x).astype(np.int64).reshape(-1, self.x.size)
        env.put(self.y, self.table[np.clip(np.where(x < 0, x + n, x), 0, n - 1)])

    def quantize(self, q: Quantizer) -> list[Kernel]:
        y = q[self.y]
        return [replace(self, table=y.quantize(self.table).astype(f"int{y.bits}"))]

    def weights(self) -> list[np.ndarray]:
        return [self.table]

    def fields(self) -> dict:
        table = self.table if self.table.dtype.kind == "i" else self.table.astype(np.float32)
        return {"table": table, "n": len(table), "columns": table.shape[1], "p": self.x.size}
