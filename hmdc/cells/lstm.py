"""LSTM (ONNX operator LSTM): c = f c + i g, h = o output(c).

Gates see the cell state through peepholes p, if there are any (Gers and Schmidhuber, IJCNN 2000): i and f the old
one, o the new one.  Coupled gates: f = 1 - i (CIFG of Greff et al., arXiv 1503.04069).
"""

import numpy as np

from ..kernels import Add, LstmUpdate, Rescale, Scale
from ..program import CELL, GATE, WIDE
from .base import Cell, activate, blend, gate, preactivation, split


class Lstm(Cell):
    """Gates i, f, g, o; ONNX writes them i, o, f, c.  activations: of i, f and o, of g, of c.

    weights: p [H for each gate but g], in the order of the gates, or absent.
    """

    gates = ("i", "f", "g", "o")
    states = ("h", "c")
    functions = ("sigmoid", "tanh", "tanh")
    unclipped = 2

    def formats(self, b, node):
        return {"h": b.hidden, "c": CELL if self.activations(node)[2].saturating else WIDE}

    def peephole(self, node, gate):
        """[H], or None"""
        p, seeing = node.weights.get("p"), [k for k in self.gates if k != "g"]
        return None if p is None else np.split(p, len(seeing))[seeing.index(gate)]

    def reference(self, node, x, state):
        w, (of_gate, of_candidate, of_state) = node.weights, self.activations(node)
        sums = x @ w["w"].T + state["h"] @ w["u"].T + w["bw"] + w["bu"]
        z = dict(zip(self.gates, split(sums, len(self.gates))))
        seen = lambda gate, c: of_gate(z[gate] + (0 if "p" not in w else self.peephole(node, gate) * c))
        i = seen("i", state["c"])
        f = seen("f", state["c"]) if "f" in z else 1 - i
        c = f * state["c"] + i * of_candidate(z["g"])
        return {"h": seen("o", c) * of_state(c), "c": c}

    def step(self, b, node, state):
        functions = self.activations(node)
        if "p" in node.weights or "f" not in self.gates or not _has_kernel(*functions):
            return self._general(b, node, state, *functions)
        z = b.buffer(f"{node.name}.gates", (4 * node.attrs["hidden"],), GATE)
        self.preactivations(b, node, state, z)
        b.emit(LstmUpdate(f"{node.name}.update", z, state["c"], state["h"], *functions))

    def _general(self, b, node, state, of_gate, of_candidate, of_state):
        """The same out of elementwise kernels."""
        name, n, c = node.name, node.attrs["hidden"], state["c"]
        g = activate(b, f"{name}.candidate", of_candidate, self._argument(b, node, state, "g", of_candidate))
        z_i = self._argument(b, node, state, "i", of_gate)
        if "f" in self.gates:
            z_f = self._argument(b, node, state, "f", of_gate)
            parts = gate(b, f"{name}.keep", of_gate, z_f, c), gate(b, f"{name}.write", of_gate, z_i, g)
            b.emit(Add(f"{name}.c", *parts, c))
        else:
            blend(b, f"{name}.c", of_gate, z_i, g, c, keep=False)
        z_o = self._argument(b, node, state, "o", of_gate)
        if of_state.saturating:  # finer than c, whose range may be far wider than that of a table with all its knots
            c = b.buffer(f"{name}.c_near", (n,), GATE)
            b.emit(Rescale(f"{name}.c_near", state["c"], c))
        gate(b, f"{name}.h", of_gate, z_o, activate(b, f"{name}.read", of_state, c), state["h"])

    def _argument(self, b, node, state, which, f):
        """What f is applied to, for that gate."""
        name, n = f"{node.name}.{which}", node.attrs["hidden"]
        p, lo = None if which == "g" else self.peephole(node, which), n * self.gates.index(which)
        z = b.buffer(name, (n,), preactivation(f) if p is None else WIDE)
        self.preactivations(b, node, state, z, (lo, lo + n), f"{which}_sums")
        if p is None:
            return z
        peep, y = b.buffer(f"{name}_peep", (n,), WIDE), b.buffer(f"{name}_all", (n,), preactivation(f))
        b.emit(Scale(f"{name}_peep", state["c"], peep, p, np.zeros(n)))
        b.emit(Add(f"{name}_all", z, peep, y))
        return y


class CoupledLstm(Lstm):
    """No forget gate of its own: f = 1 - i, as ONNX Runtime takes input_forget=1."""

    gates = ("i", "g", "o")


def _has_kernel(of_gate, of_candidate, of_state):
    return of_gate.gates and of_candidate.saturating and of_state.saturating
