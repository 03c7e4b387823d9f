"""The cell that computes the same as one step of a network: its weights are read off by probing."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from ..cells import CELLS
from ..layers import OPS
from ..model import Model, Node

TOLERANCE = 1e-6
MOST_BLOCKS = 6  # blocks of gates that one function may have: all orders of them are tried


@dataclass
class Step:
    """states: value before -> after, h first.  outside: value -> (matrix, offset, shape) of its dependence on x."""

    model: Model
    template: list[Node]
    states: dict[str, str]
    outside: dict[str, tuple]
    size: int
    n: int

    def run(self, x: np.ndarray, *states: np.ndarray, held=None, value: float = 0.0) -> dict[str, np.ndarray]:
        """Every value of the step; held (node, block): a gate that is kept at `value`."""
        env = {v: (x @ a + b).reshape(len(x), *shape) for v, (a, b, shape) in self.outside.items()}
        env |= {v: s.reshape(len(x), *self.model.shapes[v]) for v, s in zip(self.states, states)}
        for node in self.template:
            (y,) = OPS[node.op].reference(node, *(env[v] for v in node.inputs))
            if held and held[0] is node:
                flat = y.reshape(len(x), -1).copy()
                flat[:, held[1] * self.n :][:, : self.n] = value
                y = flat.reshape(y.shape)
            env[node.outputs[0]] = y
        return env

    def gates(self, *functions: str) -> list[tuple[Node, int]]:
        """(activation, block of n rows) of these functions."""
        nodes = [t for t in self.template if t.op == "activation" and t.attrs["function"] in functions]
        blocks = [(t, i) for t in nodes for i in range(np.prod(self.model.shapes[t.outputs[0]], dtype=int) // self.n)]
        return blocks[:MOST_BLOCKS]

    def affine(self, gate: tuple[Node, int], **forced) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """w [n, size], u [n, n], b [n] of what goes into a gate, were it affine."""
        samples = 1 + self.size + self.n
        x, h = np.zeros((samples, self.size)), np.zeros((samples, self.n))
        x[1 : 1 + self.size], h[1 + self.size :] = np.eye(self.size), np.eye(self.n)
        env = self.run(x, h, *[np.zeros_like(h)] * (len(self.states) - 1), **forced)
        node, block = gate
        z = env[node.inputs[0]].reshape(samples, -1)[:, block * self.n :][:, : self.n]
        return (z[1 : 1 + self.size] - z[0]).T, (z[1 + self.size :] - z[0]).T, z[0]


def cells(step: Step) -> Iterator[tuple[str, dict, dict]]:
    """(op, attrs, weights) of cells that agree with the step on random x and states."""
    options = {1: (_rnn, _gru), 2: (_lstm,)}[len(step.states)]
    for option in options:
        for op, attrs, weights in option(step):
            if _agrees(step, op, attrs, weights):
                yield op, attrs, weights


def _agrees(step: Step, op: str, attrs: dict, weights: dict) -> bool:
    rng = np.random.default_rng(1)
    x, *states = (rng.normal(size=(8, n)) for n in (step.size, *[step.n] * len(step.states)))
    env = step.run(x, *states)
    node = Node(op, op, (), (), {"hidden": step.n, "reverse": False} | attrs, weights)
    got = CELLS[op].reference(node, x, dict(zip(CELLS[op].states, states)))
    wanted = [env[v].reshape(8, -1) for v in step.states.values()]
    return all(np.abs(a - b).max() <= TOLERANCE * max(1.0, np.abs(a).max())
               for a, b in zip(wanted, (got[s] for s in CELLS[op].states)))  # fmt: skip


def _stacked(gates: list[tuple], bu: np.ndarray | None = None) -> dict[str, np.ndarray]:
    w, u, b = (np.concatenate(parts) for parts in zip(*gates))
    return {"w": w, "u": u, "bw": b, "bu": np.zeros_like(b) if bu is None else bu}


def _rnn(step: Step):
    for gate in step.gates("tanh", "relu"):
        yield "rnn", {"activation": gate[0].attrs["function"]}, _stacked([step.affine(gate)])


def _lstm(step: Step):
    sigmoid, tanh = ([step.affine(g) for g in step.gates(f)] for f in ("sigmoid", "tanh"))
    for (i, f, o), g in product(permutations(sigmoid, 3), tanh):
        yield "lstm", {}, _stacked([i, f, g, o])


def _gru(step: Step):
    """The candidate is probed with the reset gate shut and open; z may weigh the state or the candidate."""
    for z, r in permutations(step.gates("sigmoid"), 2):
        (wz, uz, bz), reset = step.affine(z), step.affine(r)
        for gate in step.gates("tanh"):
            w, _, shut = step.affine(gate, held=r, value=0.0)
            _, u, opened = step.affine(gate, held=r, value=1.0)
            bu = np.concatenate([np.zeros(2 * step.n), opened - shut])
            for sign, after in product((1, -1), (True, False)):
                gates = [(sign * wz, sign * uz, sign * bz), reset, (w, u, shut)]
                yield "gru", {"linear_before_reset": after}, _stacked(gates, bu)
