"""Simple (Elman) RNN (ONNX operator RNN): h = f(W x + U h + b), f = tanh or relu."""

from ..functions import FUNCTIONS, RELU
from ..kernels import Rescale, Table
from ..program import GATE, WIDE
from .base import Cell, preactivations


class Rnn(Cell):
    """One gate.  attrs: activation."""

    gates = ("h",)

    def formats(self, b, node):
        return {"h": b.hidden}

    def reference(self, node, x, state):
        w = node.weights
        return {"h": FUNCTIONS[node.attrs["activation"]](x @ w["w"].T + state["h"] @ w["u"].T + w["bw"] + w["bu"])}

    def step(self, b, node, state):
        name, n, f = node.name, node.attrs["hidden"], FUNCTIONS[node.attrs["activation"]]
        z = b.buffer(f"{name}.gates", (n,), GATE if f.saturating else WIDE)
        preactivations(b, node, state, z)
        h = state["h"]
        b.emit(Rescale(f"{name}.update", z, h, low=0.0) if f is RELU else Table(f"{name}.update", z, h, f))
