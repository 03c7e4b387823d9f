"""What every structure would make of every matrix: parameters, bytes, MACs, and how much of the matrix it keeps."""

from math import prod

import numpy as np

from .errors import HmdcError
from .linear import STRUCTURES
from .model import Model
from .recipe import assign, decompose, describe, matrices, matrix, parse

RATIOS = (2, 4, 8, 16, 32)
LARGEST = 1 << 20  # entries of a matrix that is decomposed in every way


def savings(model: Model, ratios: tuple[int, ...] = RATIOS) -> list[dict]:
    """One row per matrix, structure and size that is possible: the structure's own default, then the ratios.

    bytes: weights and indices in int8.  macs: of one product.  kept: 1 - |W - W'|^2 / |W|^2, before any training.
    """
    rows = []
    for node in model.nodes:
        for name, shape in matrices(node).items():
            if prod(shape) <= LARGEST:
                w = matrix(node, name)
                rows.append({"matrix": name, "structure": "dense", "form": "", "ratio": 1.0, "parameters": w.size,
                             "bytes": w.size, "macs": w.size, "kept": 1.0})  # fmt: skip
                rows += [r for s in STRUCTURES if s != "dense" for r in _structure(model, name, w, s, ratios)]
    return rows


def _structure(model: Model, name: str, w: np.ndarray, structure: str, ratios) -> list[dict]:
    rows, seen = [], set()
    for options in ("", *(f"ratio={r}" for r in ratios)):
        try:
            assigned = assign(model, [parse(f"{name}={structure}({options})")], {})
            m = decompose({name: assigned[name]}, {})[name]
        except HmdcError:  # that size does not exist for this shape
            continue
        if m.parameters() not in seen:
            seen.add(m.parameters())
            kept = 1 - ((w - m.dense()) ** 2).sum() / (w**2).sum()
            rows.append({"matrix": name, "structure": structure, "form": describe(assigned[name], m),
                         "ratio": round(w.size / m.parameters(), 2), "parameters": int(m.parameters()),
                         "bytes": m.nbytes(), "macs": int(m.macs()), "kept": round(float(kept), 4)})  # fmt: skip
    return rows
