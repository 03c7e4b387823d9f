"""GRU (ONNX operator GRU, default activations): h = z h + (1 - z) n.

linear_before_reset=0: n = tanh(W x + U (r h) + b), the paper's form (arXiv 1406.1078) and Keras reset_after=False.
linear_before_reset=1: n = tanh(W x + bw + r (U h + bu)), PyTorch, cuDNN and Keras reset_after=True.
"""

import numpy as np

from ..kernels import Gate, GruUpdate, Load
from ..program import CARRY, GATE, SUM, WIDE
from .base import Cell, sigmoid, split


class Gru(Cell):
    """Gates z, r, n as in ONNX.  attrs: linear_before_reset."""

    gates = ("z", "r", "n")

    def bias(self, node):
        n, w = node.attrs["hidden"], node.weights
        after = node.attrs["linear_before_reset"]
        return w["bw"] + np.concatenate([w["bu"][: 2 * n], np.zeros(n) if after else w["bu"][2 * n :]])

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

    def step(self, b, node, state):
        name, n = node.name, node.attrs["hidden"]
        gates, candidate = b.buffer(f"{name}.gates", (2 * n,), GATE), b.buffer(f"{name}.candidate", (n,), GATE)
        z, r = gates.slice(0, 0, n), gates.slice(0, n, 2 * n)
        lower = _joined if b.is_joined(name) else _separate
        if b.is_joined(name) and f"{name}.w" in b.maps and node.attrs["linear_before_reset"]:
            lower = _joint_gates
        lower(b, node, state, gates, r, candidate)
        b.emit(GruUpdate(f"{name}.update", z, candidate, state["h"]))
        if state["feed"] != state["h"]:
            b.move(f"{name}.feed", state["h"], state["feed"])


def _separate(b, node, state, gates, r, candidate):
    """Pre-activations from W on x and U on h."""
    name, n, w = node.name, node.attrs["hidden"], node.weights
    sums, go_on = state["sums"], b.continued(name)
    sums_n = sums.slice(0, 2 * n, 3 * n)
    b.product(f"{name}.u", state["feed"], gates, rows=(0, 2 * n), **{go_on: sums.slice(0, 0, 2 * n)})
    if node.attrs["linear_before_reset"]:
        un = b.buffer(f"{name}.un", (n,), WIDE)
        b.product(f"{name}.u", state["feed"], un, rows=(2 * n, 3 * n), part="un", bias=w["bu"][2 * n :])
        b.emit(Gate(f"{name}.reset", r, un, candidate, sums_n))
    else:
        rh = b.buffer(f"{name}.rh", (n,), b.hidden)
        b.emit(Gate(f"{name}.reset", r, state["h"], rh))
        b.product(f"{name}.u", rh, candidate, rows=(2 * n, 3 * n), part="un", **{go_on: sums_n})


def _joint_gates(b, node, state, gates, r, candidate):
    """z and r from [W U] on [x; h]; the candidate's two products stay apart, as the reset gate comes between them."""
    name, n, w = node.name, node.attrs["hidden"], node.weights
    xn, un = b.buffer(f"{name}.xn", (n,), SUM), b.buffer(f"{name}.un", (n,), WIDE)
    rows = (2 * n, 3 * n)
    b.product(f"{name}.wu", state["xh"], gates, rows=(0, 2 * n), bias=(w["bw"] + w["bu"])[: 2 * n])
    b.product(f"{name}.w", state["x"], xn, rows=rows, part="wn", bias=w["bw"][2 * n :])
    b.product(f"{name}.u", state["feed"], un, rows=rows, part="un", bias=w["bu"][2 * n :])
    b.emit(Gate(f"{name}.reset", r, un, candidate, xn))


def _joined(b, node, state, gates, r, candidate):
    """Pre-activations from one matrix per gate on [x; h]; the candidate's reads [x; r h], or [x; 0] and [0; h]."""
    name, n, w, wu = node.name, node.attrs["hidden"], node.weights, f"{node.name}.wu"
    x, bias = state["x"], w["bw"] + w["bu"]
    n_x = x.size
    b.product(wu, state["xh"], gates, rows=(0, 2 * n), bias=bias[: 2 * n])
    if not node.attrs["linear_before_reset"]:
        xr, x_part, r_part = b.joint(name, "xr", x, n)
        b.join(f"{name}.join_r", x, x_part)
        b.emit(Gate(f"{name}.reset", r, state["h"], r_part))
        b.product(wu, xr, candidate, rows=(2 * n, 3 * n), part="wun", bias=bias[2 * n :])
        return
    parts = {"xn": (x, 0, n_x, w["bw"]), "un": (state["feed"], n_x, n_x + n, w["bu"])}
    for part, (source, lo, hi, offset) in parts.items():
        padded, *_ = b.joint(name, f"{part}_in", x, n)
        for i, (a, z) in enumerate(((0, n_x), (n_x, n_x + n))):
            b.emit(Load(f"{name}.{part}_zeros{i}", padded.slice(0, a, z), np.zeros(z - a)))
        b.join(f"{name}.{part}_join", source, padded.slice(0, lo, hi))
        y = b.buffer(f"{name}.{part}", (n,), SUM if part == "xn" else WIDE)
        b.product(wu, padded, y, rows=(2 * n, 3 * n), part=part, bias=offset[2 * n :])
        parts[part] = y
    b.emit(Gate(f"{name}.reset", r, parts["un"], candidate, parts["xn"]))
