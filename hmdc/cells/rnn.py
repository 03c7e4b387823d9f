"""Simple (Elman) RNN (ONNX operator RNN): h = f(W x + U h + b)."""

from .base import Cell, activate, preactivation


class Rnn(Cell):
    """One gate, one function."""

    gates = ("h",)
    functions = ("tanh",)

    def formats(self, b, node):
        return {"h": b.hidden}

    def reference(self, node, x, state):
        w, (f,) = node.weights, self.activations(node)
        return {"h": f(x @ w["w"].T + state["h"] @ w["u"].T + w["bw"] + w["bu"])}

    def step(self, b, node, state):
        (f,) = self.activations(node)
        z = b.buffer(f"{node.name}.gates", (node.attrs["hidden"],), preactivation(f))
        self.preactivations(b, node, state, z)
        activate(b, f"{node.name}.update", f, z, state["h"])
