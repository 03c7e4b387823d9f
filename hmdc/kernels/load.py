"""y[i] = v[i], a constant vector; a null v means y[i] = fill                           C: runtime_c/load.c"""

from dataclasses import dataclass, replace

import numpy as np

from ..program import Env, View
from .base import Kernel, Quantizer


@dataclass(frozen=True)
class Load(Kernel):
    """v: as many values as y; real numbers before quantization, integers after."""

    y: View
    v: np.ndarray

    READS = ()
    TYPES = ("y",)

    def run(self, env: Env) -> None:
        env.put(self.y, np.broadcast_to(self.v.ravel(), (len(env.view(self.y)), self.y.size)))

    def quantize(self, q: Quantizer) -> list[Kernel]:
        return [replace(self, v=q[self.y].quantize(self.v))]

    def fields(self) -> dict:
        v = self.v.ravel()
        constant = bool((v == v[0]).all())
        dtype = np.float32 if v.dtype.kind == "f" else np.int32
        fill = float(v[0]) if dtype == np.float32 else int(v[0])
        return {"v": None if constant else v, "fill": fill if constant else 0, "n": self.y.size}
