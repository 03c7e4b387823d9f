"""LSTM (ONNX operator LSTM, default activations): c = f c + i g, h = o tanh(c)."""

import numpy as np

from ..kernels import LstmUpdate
from ..program import CELL, GATE
from .base import Cell, preactivations, sigmoid, split


class Lstm(Cell):
    """Gates i, f, g, o; ONNX writes them i, o, f, c."""

    gates = ("i", "f", "g", "o")
    states = ("h", "c")

    def formats(self, b, node):
        return {"h": b.hidden, "c": CELL}

    def reference(self, node, x, state):
        w = node.weights
        i, f, g, o = split(x @ w["w"].T + state["h"] @ w["u"].T + w["bw"] + w["bu"], 4)
        c = sigmoid(f) * state["c"] + sigmoid(i) * np.tanh(g)
        return {"h": sigmoid(o) * np.tanh(c), "c": c}

    def step(self, b, node, state):
        z = b.buffer(f"{node.name}.gates", (4 * node.attrs["hidden"],), GATE)
        preactivations(b, node, state, z)
        b.emit(LstmUpdate(f"{node.name}.update", z, state["c"], state["h"]))
