"""GRU (ONNX operator GRU, default activations): h = z h + (1 - z) n.

linear_before_reset=0: n = tanh(W x + U (r h) + b), the paper's form (arXiv 1406.1078) and Keras reset_after=False.
linear_before_reset=1: n = tanh(W x + bw + r (U h + bu)), PyTorch, cuDNN and Keras reset_after=True.
"""

import numpy as np

from ..kernels import Gate, GruUpdate
from ..program import CARRY, GATE, SUM, WIDE
from .base import Cell, sigmoid, split


class Gru(Cell):
    """Gates z, r, n as in ONNX.  attrs: linear_before_reset."""

    gates = ("z", "r", "n")

    def formats(self, b, node):
        return {"h": CARRY}

    def reference(self, node, x, state):
        w, h = node.weights, state["h"]
        uz, ur, un = np.split(w["u"], 3)
        bz, br, bn = np.split(w["bu"], 3)
        xz, xr, xn = split(x @ w["w"].T + w["bw"], 3)
        z, r = sigmoid(xz + h @ uz.T + bz), sigmoid(xr + h @ ur.T + br)
        if node.attrs["linear_before_reset"]:
            n = np.tanh(xn + r * (h @ un.T + bn))
        else:
            n = np.tanh(xn + (r * h) @ un.T + bn)
        return {"h": z * h + (1 - z) * n}

    def step(self, b, node, x, state):
        name, n, w = node.name, node.attrs["hidden"], node.weights
        after = node.attrs["linear_before_reset"]
        bias = w["bw"] + np.concatenate([w["bu"][: 2 * n], np.zeros(n) if after else w["bu"][2 * n :]])
        sums, gates = b.buffer(f"{name}.sums", (3 * n,), SUM), b.buffer(f"{name}.gates", (2 * n,), GATE)
        candidate = b.buffer(f"{name}.candidate", (n,), GATE)
        z, r, sums_n = gates.slice(0, 0, n), gates.slice(0, n, 2 * n), sums.slice(0, 2 * n, 3 * n)
        b.product(f"{name}.w", x, sums, bias=bias)
        b.product(f"{name}.u", state["feed"], gates, rows=(0, 2 * n), add=sums.slice(0, 0, 2 * n))
        if after:
            un = b.buffer(f"{name}.un", (n,), WIDE)
            b.product(f"{name}.u", state["feed"], un, rows=(2 * n, 3 * n), part="un", bias=w["bu"][2 * n :])
            b.emit(Gate(f"{name}.reset", r, un, candidate, sums_n))
        else:
            rh = b.buffer(f"{name}.rh", (n,), b.hidden)
            b.emit(Gate(f"{name}.reset", r, state["h"], rh))
            b.product(f"{name}.u", rh, candidate, rows=(2 * n, 3 * n), part="un", add=sums_n)
        b.emit(GruUpdate(f"{name}.update", z, candidate, state["h"]))
        if state["feed"] != state["h"]:
            b.move(f"{name}.feed", state["h"], state["feed"])
