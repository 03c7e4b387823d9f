"""FastRNN and FastGRNN (Kusupati et al., arXiv 1901.02358): cells of one matrix W and one matrix U.

FastRNN, eq. (1): n = tanh(W x + U h + b), h = sigmoid(alpha) n + sigmoid(beta) h.
FastGRNN, section 3.2: z = sigmoid(W x + U h + bz), n = tanh(W x + U h + bh),
h = (sigmoid(zeta) (1 - z) + sigmoid(nu)) n + z h.  Low-rank W and U are factors of their maps, as in linear.lowrank.
"""

import numpy as np

from ..functions import SIGMOID
from ..kernels import Add, FastgrnnUpdate, Rescale, Scale
from ..program import CARRY, WIDE
from .base import Cell, activate, gate, preactivation


class Fast(Cell):
    """One product W x + U h; bw and bu are further biases of it and may be absent, as a rewrite may add some."""

    gates = ("h",)
    offset = "b"  # the bias of the product

    def bias(self, node):
        return sum(node.weights[k] for k in (self.offset, "bw", "bu") if k in node.weights)

    def formats(self, b, node):
        return {"h": CARRY}

    def argument(self, node, x, state):
        return x @ node.weights["w"].T + state["h"] @ node.weights["u"].T + self.bias(node)

    def step(self, b, node, state):
        self.update(b, node, state)
        if state["feed"] != state["h"]:
            b.move(f"{node.name}.feed", state["h"], state["feed"])


class FastRnn(Fast):
    """weights: w [H, I], u [H, H], b [H].  attrs: alpha, beta, as trained: before the sigmoid."""

    functions = ("tanh",)

    def reference(self, node, x, state):
        alpha, beta = (SIGMOID(node.attrs[k]) for k in ("alpha", "beta"))
        return {"h": alpha * self.activations(node)[0](self.argument(node, x, state)) + beta * state["h"]}

    def update(self, b, node, state):
        name, h, (f,) = node.name, state["h"], self.activations(node)
        z = b.buffer(f"{name}.gates", h.shape, preactivation(f))
        self.preactivations(b, node, state, z)
        parts = {"fresh": (activate(b, f"{name}.candidate", f, z), "alpha"), "keep": (h, "beta")}
        for part, (x, weight) in parts.items():
            parts[part] = b.buffer(f"{name}.{part}", h.shape, WIDE)
            b.emit(Rescale(f"{name}.{part}", x, parts[part], float(SIGMOID(node.attrs[weight]))))
        b.emit(Add(f"{name}.update", parts["fresh"], parts["keep"], h))


class FastGrnn(Fast):
    """weights: w [H, I], u [H, H], bz, bh [H].  attrs: zeta, nu, as trained: before the sigmoid."""

    functions = ("sigmoid", "tanh")
    offset = "bz"

    def reference(self, node, x, state):
        w, (of_gate, of_candidate) = node.weights, self.activations(node)
        zeta, nu = (SIGMOID(node.attrs[k]) for k in ("zeta", "nu"))
        z = self.argument(node, x, state)
        n, z = of_candidate(z + w["bh"] - w["bz"]), of_gate(z)
        return {"h": (zeta * (1 - z) + nu) * n + z * state["h"]}

    def update(self, b, node, state):
        name, h, (of_gate, of_candidate) = node.name, state["h"], self.activations(node)
        zeta, nu = (float(SIGMOID(node.attrs[k])) for k in ("zeta", "nu"))
        shift = node.weights["bh"] - node.weights["bz"]
        usual = of_gate.gates and of_gate.bounds == (0.0, 1.0) and of_candidate.saturating
        z = b.buffer(f"{name}.gates", h.shape, preactivation(of_gate) if usual else WIDE)
        self.preactivations(b, node, state, z)
        if usual:
            b.emit(FastgrnnUpdate(f"{name}.update", z, h, shift, zeta, nu, of_gate, of_candidate))
            return
        # (zeta + nu) n + z (h - zeta n)
        argument = b.buffer(f"{name}.argument", h.shape, preactivation(of_candidate))
        b.emit(Scale(f"{name}.argument", z, argument, np.ones(h.size), shift))
        n = activate(b, f"{name}.candidate", of_candidate, argument)
        most, some, change = (b.buffer(f"{name}.{part}", h.shape, WIDE) for part in ("most", "some", "change"))
        b.emit(Rescale(f"{name}.most", n, most, zeta + nu))
        b.emit(Rescale(f"{name}.some", n, some, zeta))
        b.emit(Add(f"{name}.change", h, some, change, sign=-1))
        near = b.buffer(f"{name}.near", h.shape, preactivation(of_gate))
        b.move(f"{name}.near", z, near)
        b.emit(Add(f"{name}.update", most, gate(b, f"{name}.part", of_gate, near, change), h))
