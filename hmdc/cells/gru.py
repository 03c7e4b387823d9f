"""GRU (ONNX operator GRU): h = z h + (1 - z) n.

linear_before_reset=0: n = tanh(W x + U (r h) + b), the paper's form (arXiv 1406.1078) and Keras reset_after=False.
linear_before_reset=1: n = tanh(W x + bw + r (U h + bu)), PyTorch, cuDNN and Keras reset_after=True.
"""

import numpy as np

from ..kernels import Add, Gate, GruUpdate, Load
from ..program import CARRY, SUM, WIDE
from .base import Cell, activate, blend, gate, preactivation, settled, split


class Gru(Cell):
    """Gates z, r, n as in ONNX.  activations: of z and r, of n.  attrs: linear_before_reset."""

    gates = ("z", "r", "n")
    functions = ("sigmoid", "tanh")

    def bias(self, node):
        n, w = node.attrs["hidden"], node.weights
        after = node.attrs["linear_before_reset"]
        return w["bw"] + np.concatenate([w["bu"][: 2 * n], np.zeros(n) if after else w["bu"][2 * n :]])

    def formats(self, b, node):
        return {"h": CARRY}

    def reference(self, node, x, state):
        w, h, (of_gate, of_candidate) = node.weights, state["h"], self.activations(node)
        uz, ur, un = np.split(w["u"], 3)
        bz, br, bn = np.split(w["bu"], 3)
        xz, xr, xn = split(x @ w["w"].T + w["bw"], 3)
        z, r = of_gate(xz + h @ uz.T + bz), of_gate(xr + h @ ur.T + br)
        if node.attrs["linear_before_reset"]:
            n = of_candidate(xn + r * (h @ un.T + bn))
        else:
            n = of_candidate(xn + (r * h) @ un.T + bn)
        return {"h": z * h + (1 - z) * n}

    def step(self, b, node, state):
        name, n, (of_gate, of_candidate) = node.name, node.attrs["hidden"], self.activations(node)
        gates = b.buffer(f"{name}.gates", (2 * n,), preactivation(of_gate))
        candidate = b.buffer(f"{name}.candidate", (n,), preactivation(of_candidate))
        z, r = gates.slice(0, 0, n), gates.slice(0, n, 2 * n)
        lower = _joined if b.is_joined(name) else _separate
        if b.is_joined(name) and f"{name}.w" in b.maps and node.attrs["linear_before_reset"]:
            lower = _joint_gates
        lower(self, b, node, state, gates, (of_gate, r), candidate)
        if of_gate.gates and of_gate.bounds == (0.0, 1.0) and of_candidate.saturating:
            b.emit(GruUpdate(f"{name}.update", z, candidate, state["h"], of_gate, of_candidate))
        else:
            blend(b, f"{name}.update", of_gate, z, activate(b, f"{name}.n", of_candidate, candidate), state["h"])
        if state["feed"] != state["h"]:
            b.move(f"{name}.feed", state["h"], state["feed"])


def _reset(b, node, r, x, y, add=None, apart=False):
    """y = add + f(r) x; r: f and its argument, add: partial sums, on the grid of y unless apart."""
    name, (f, a) = f"{node.name}.reset", r
    if f.gates and not apart:
        b.emit(Gate(name, a, x, y, add, f))
    elif add is None:
        gate(b, name, f, a, x, y)
    else:
        b.emit(Add(name, settled(b, f"{name}_sums", add), gate(b, f"{name}_part", f, a, x), y))


def _separate(cell, b, node, state, gates, r, candidate):
    """Pre-activations from W on x and U on h."""
    name, n, w = node.name, node.attrs["hidden"], node.weights
    cell.preactivations(b, node, state, gates, (0, 2 * n))
    if node.attrs["linear_before_reset"]:
        un = b.buffer(f"{name}.un", (n,), WIDE)
        b.product(f"{name}.u", state["feed"], un, rows=(2 * n, 3 * n), part="un", bias=w["bu"][2 * n :])
        _reset(b, node, r, un, candidate, state["sums"].slice(0, 2 * n, 3 * n), cell.apart(b, node))
    else:
        rh = b.buffer(f"{name}.rh", (n,), b.hidden)
        _reset(b, node, r, state["h"], rh)
        cell.preactivations(b, node, state | {"rh": rh}, candidate, (2 * n, 3 * n), "un", "rh")


def _joint_gates(cell, b, node, state, gates, r, candidate):
    """z and r from [W U] on [x; h]; the candidate's two products stay apart, as the reset gate comes between them."""
    name, n, w = node.name, node.attrs["hidden"], node.weights
    xn, un = b.buffer(f"{name}.xn", (n,), SUM), b.buffer(f"{name}.un", (n,), WIDE)
    rows = (2 * n, 3 * n)
    b.product(f"{name}.wu", state["xh"], gates, rows=(0, 2 * n), bias=(w["bw"] + w["bu"])[: 2 * n])
    b.product(f"{name}.w", state["x"], xn, rows=rows, part="wn", bias=w["bw"][2 * n :])
    b.product(f"{name}.u", state["feed"], un, rows=rows, part="un", bias=w["bu"][2 * n :])
    _reset(b, node, r, un, candidate, xn)


def _joined(cell, b, node, state, gates, r, candidate):
    """Pre-activations from one matrix per gate on [x; h]; the candidate's reads [x; r h], or [x; 0] and [0; h]."""
    name, n, w, wu = node.name, node.attrs["hidden"], node.weights, f"{node.name}.wu"
    x, bias = state["x"], w["bw"] + w["bu"]
    n_x = x.size
    b.product(wu, state["xh"], gates, rows=(0, 2 * n), bias=bias[: 2 * n])
    if not node.attrs["linear_before_reset"]:
        xr, x_part, r_part = b.joint(name, "xr", x, n)
        b.join(f"{name}.join_r", x, x_part)
        _reset(b, node, r, state["h"], r_part)
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
    _reset(b, node, r, parts["un"], candidate, parts["xn"])
