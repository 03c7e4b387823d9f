"""What every structure would make of every matrix: parameters, bytes, MACs, and how much of the matrix it keeps."""

import numpy as np

from .errors import HmdcError
from .linear import STRUCTURES
from .model import Model
from .recipe import apply, matrices

RATIOS = (2, 4, 8, 16, 32)
LARGEST = 1 << 20  # entries of a matrix that is decomposed in every way


def savings(model: Model, ratios: tuple[int, ...] = RATIOS) -> list[dict]:
    """One row per matrix, structure and ratio that is possible.

    kept: 1 - |W - W'|^2 / |W|^2 (Frobenius), before any training.  macs: of one product.  bytes: int8, without scales.
    """
    rows = []
    for node in model.nodes:
        for name, w in matrices(node).items():
            if w.size <= LARGEST:
                rows.append(_row(name, "dense", 1, w.size, w.size, w.size, 1.0))
                rows += [r for s in STRUCTURES if s != "dense" for r in _structure(model, name, w, s, ratios)]
    return rows


def _structure(model: Model, name: str, w: np.ndarray, structure: str, ratios) -> list[dict]:
    rows, seen = [], set()
    for ratio in ratios:
        try:
            maps = apply(model, [f"{name}={structure}(ratio={ratio})"])
        except HmdcError:  # that ratio does not exist for this shape
            continue
        m = maps[name]
        if m.parameters() not in seen:
            seen.add(m.parameters())
            kept = 1 - ((w - m.dense()) ** 2).sum() / (w**2).sum()
            rows.append(_row(name, structure, w.size / m.parameters(), m.parameters(), w.size, m.macs(), kept))
    return rows


def _row(name, structure, ratio, parameters, dense, macs, kept) -> dict:
    return {"matrix": name, "structure": structure, "ratio": round(ratio, 2), "parameters": int(parameters),
            "macs": int(macs), "macs_ratio": round(dense / macs, 2), "kept": round(float(kept), 4)}  # fmt: skip
