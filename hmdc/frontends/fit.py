"""The cell that computes the same as one step of a network: its weights are read off by probing."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from ..cells import CELLS
from ..layers import OPS
from ..model import Model, Node

TOLERANCE = 1e-6
RANK = 1e-9  # singular values below this part of the largest are rounding
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

    def run(self, x: np.ndarray, *states: np.ndarray, held=()) -> dict[str, np.ndarray]:
        """Every value of the step; held: gates (node, block) and the values at which they are kept."""
        env = {v: (x @ a + b).reshape(len(x), *shape) for v, (a, b, shape) in self.outside.items()}
        env |= {v: s.reshape(len(x), *self.model.shapes[v]) for v, s in zip(self.states, states)}
        for node in self.template:
            (y,) = OPS[node.op].reference(node, *(env[v] for v in node.inputs))
            for (_, block), value in (h for h in held if h[0][0] is node):
                flat = y.reshape(len(x), -1).copy()
                flat[:, block * self.n :][:, : self.n] = value
                y = flat.reshape(y.shape)
            env[node.outputs[0]] = y
        return env

    def gates(self, *functions: str) -> list[tuple[Node, int]]:
        """(activation, block of n rows) of these functions."""
        nodes = [t for t in self.template if t.op == "activation" and t.attrs["function"] in functions]
        blocks = [(t, i) for t in nodes for i in range(np.prod(self.model.shapes[t.outputs[0]], dtype=int) // self.n)]
        return blocks[:MOST_BLOCKS]

    def affine(self, gate: tuple[Node, int], *held) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """w [n, size], u [n, n], b [n] of what goes into a gate, were it affine."""
        samples = 1 + self.size + self.n
        x, h = np.zeros((samples, self.size)), np.zeros((samples, self.n))
        x[1 : 1 + self.size], h[1 + self.size :] = np.eye(self.size), np.eye(self.n)
        env = self.run(x, h, *[np.zeros_like(h)] * (len(self.states) - 1), held=held)
        node, block = gate
        z = env[node.inputs[0]].reshape(samples, -1)[:, block * self.n :][:, : self.n]
        return (z[1 : 1 + self.size] - z[0]).T, (z[1 + self.size :] - z[0]).T, z[0]

    def share(self, h: float, *held) -> float:
        """The new state where x is 0 and every unit of the old one is h, were it the same for all units."""
        env = self.run(np.zeros((1, self.size)), np.full((1, self.n), h), held=held)
        return float(env[next(iter(self.states.values()))].mean())


def cells(step: Step) -> Iterator[tuple[str, dict, dict]]:
    """(op, attrs, weights) of cells that agree with the step on random x and states."""
    options = {1: (_rnn, _fastrnn, _fastgrnn, _gru), 2: (_lstm,)}[len(step.states)]
    for option in options:
        for op, attrs, weights in option(step):
            if _agrees(step, op, attrs, weights):
                yield op, attrs, _with_factors(weights)


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


def _fastrnn(step: Step):
    """alpha and beta are what the candidate and the state count where the other is 0."""
    for gate in step.gates("tanh", "relu"):
        (w, u, b), attrs = step.affine(gate), {"activation": gate[0].attrs["function"]}
        alpha, beta = step.share(0.0, (gate, 1.0)), step.share(1.0, (gate, 0.0))
        yield "fastrnn", attrs | {"alpha": _logit(alpha), "beta": _logit(beta)}, {"w": w, "u": u, "b": b}


def _fastgrnn(step: Step):
    """zeta + nu and nu are what the candidate counts where the gate is 0 and 1."""
    for z, n in product(step.gates("sigmoid"), step.gates("tanh", "relu")):
        (w, u, bz), (*_, bh) = step.affine(z), step.affine(n)
        both, nu = (step.share(0.0, (n, 1.0), (z, gate)) for gate in (0.0, 1.0))
        attrs = {"activations": ("sigmoid", n[0].attrs["function"]), "zeta": _logit(both - nu), "nu": _logit(nu)}
        yield "fastgrnn", attrs, {"w": w, "u": u, "bz": bz, "bh": bh}


def _logit(p: float) -> float:
    """Whose sigmoid is p; the nearest there is for what no sigmoid gives."""
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return float(np.log(p / (1 - p)))


def _with_factors(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Matrices that were trained as a product: their rank tells, and their halves take fewer numbers."""
    out = {}
    for name, w in weights.items():
        out[name] = w
        if w.ndim == 2:
            left, values, right = np.linalg.svd(w, full_matrices=False)
            rank = int((values > RANK * values[0]).sum())
            if 0 < rank * sum(w.shape) < w.size:
                root = np.sqrt(values[:rank])
                out |= {f"{name}.lowrank.0": left[:, :rank] * root, f"{name}.lowrank.1": root[:, None] * right[:rank]}
    return out


def _lstm(step: Step):
    sigmoid, tanh = ([step.affine(g) for g in step.gates(f)] for f in ("sigmoid", "tanh"))
    for (i, f, o), g in product(permutations(sigmoid, 3), tanh):
        yield "lstm", {}, _stacked([i, f, g, o])


def _gru(step: Step):
    """The candidate is probed with the reset gate shut and open; z may weigh the state or the candidate."""
    for z, r in permutations(step.gates("sigmoid"), 2):
        (wz, uz, bz), reset = step.affine(z), step.affine(r)
        for gate in step.gates("tanh"):
            w, _, shut = step.affine(gate, (r, 0.0))
            _, u, opened = step.affine(gate, (r, 1.0))
            bu = np.concatenate([np.zeros(2 * step.n), opened - shut])
            for sign, after in product((1, -1), (True, False)):
                gates = [(sign * wz, sign * uz, sign * bz), reset, (w, u, shut)]
                yield "gru", {"linear_before_reset": after}, _stacked(gates, bu)
