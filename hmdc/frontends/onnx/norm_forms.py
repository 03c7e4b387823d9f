"""Normalizations that files write out in sums, roots and products, whatever their order.

Node by node, a value is told as what it is of another one, x: a square, a mean of squares and its powers (Squares), or
a sum of x and its mean, scaled by those (Term).  A Term that is a whole normalization takes the place of its nodes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod, sqrt

import numpy as np
import onnx

from .fold import drop_dead
from .folded import Folded
from .graph import Graph
from .norms import normalize

LAYOUT = ("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Expand")
FAR = 1e30  # a bound beyond it is none


@dataclass(frozen=True)
class Squares:
    """max(factor * (sum of c^2 over the axes) + epsilon, floor) ^ power, c = x, less its mean over them if centered.

    factor 0: c^2 itself, element by element.
    """

    x: str
    axes: tuple[int, ...]
    centered: bool
    factor: float = 0.0
    epsilon: float = 0.0
    floor: float = 0.0
    power: float = 1.0


@dataclass(frozen=True)
class Term:
    """gamma * root * (of_x * x + of_mean * (mean of x over the axes) + one) + beta; root: None is 1.

    gamma: 1, or an array that varies."""

    x: str
    axes: tuple[int, ...]
    of_x: float = 0.0
    of_mean: float = 0.0
    one: float = 0.0
    root: Squares | None = None
    gamma: np.ndarray | float = 1.0
    beta: np.ndarray | float = 0.0

    def is_like(self, *parts: float) -> bool:
        """Whether it has so much of x, of the mean and of 1."""
        return np.allclose((self.of_x, self.of_mean, self.one), parts, rtol=0, atol=1e-6)

    @property
    def whole(self) -> bool:
        """Whether it is a normalization."""
        like = self.is_like(self.of_x, -self.of_x if self.root and self.root.centered else 0.0, 0.0)
        return self.root is not None and self.of_x != 0 and like

    @property
    def plain(self) -> bool:
        return self.root is None and np.size(self.gamma) == 1 and not np.any(self.beta)

    def times(self, c: np.ndarray | float) -> "Term":
        if np.size(c) > 1:
            return replace(self, gamma=self.gamma * c, beta=self.beta * c)
        c = float(np.ravel(c)[0])
        return replace(self, of_x=self.of_x * c, of_mean=self.of_mean * c, one=self.one * c, beta=self.beta * c)

    def write(self, g: Graph, node: onnx.NodeProto) -> None:
        y, root = node.output[0], self.root
        whole = root.factor * prod(g.shape(self.x)[a] for a in self.axes)
        how = (root.centered, root.epsilon / whole, root.floor / whole, abs(self.of_x) / sqrt(whole))
        affine = np.size(self.gamma) > 1 or np.any(self.beta) or self.of_x < 0
        normalize(g, node, self.x, z := g.fresh(g.shape(self.x)) if affine else y, self.axes, *how)
        if affine:
            g.affine(node, z, y, self.gamma * np.sign(self.of_x), self.beta)


def find(f: Folded) -> dict[str, Term]:
    """Value -> the normalization that computes it; the nodes that do so read x alone from now on."""
    reader, nodes = Reader(f), []
    for node in f.nodes:
        if node.domain in ("", "ai.onnx") and node.op_type in READERS and all(v in f.shapes for v in node.output):
            term = READERS[node.op_type](reader, node)
            if isinstance(term, Term) and term.whole and f.shapes[node.output[0]] == f.shapes[term.x]:
                reader.found[node.output[0]] = term
                node = onnx.helper.make_node(node.op_type, [term.x], node.output[:1], node.name)
            elif term is not None:
                reader.terms[node.output[0]] = term
        nodes.append(node)
    if reader.found:
        f.nodes = nodes
        drop_dead(f)
    return reader.found


class Reader:
    def __init__(self, f: Folded):
        self.f = f
        self.terms: dict[str, Squares | Term] = {}
        self.found: dict[str, Term] = {}

    def constant(self, v: str) -> np.ndarray | None:
        c = self.f.constants.get(v)
        return c.astype(np.float64) if c is not None and c.dtype.kind == "f" else None

    def number(self, v: str) -> float | None:
        c = self.f.constants.get(v)
        return float(c.ravel()[0]) if c is not None and c.size == 1 else None

    def aligned(self, v: str) -> bool:
        """Whether a mean still has the axes of its x, so that it spreads over its own values."""
        t, strip = self.terms.get(v), lambda s: s[next((i for i, n in enumerate(s) if n > 1), len(s)) :]
        if t is None or isinstance(t, Term) and (t.of_x or np.size(t.gamma) > 1):
            return True
        x, shape = self.f.shapes[t.x], self.f.shapes[v]
        return shape == x or strip(shape) == strip(tuple(1 if a in t.axes else n for a, n in enumerate(x)))

    # --- one operator each; None = nothing that is known

    def reduce(self, node: onnx.NodeProto):
        x, op = node.input[0], node.op_type
        shape = self.f.shapes[x]
        if op == "GlobalAveragePool":
            axes = range(2, len(shape))
        elif len(node.input) > 1:
            axes = np.ravel(self.f.constants.get(node.input[1], ()))
        else:
            axes = {a.name: a.ints for a in node.attribute}.get("axes", ())
        axes = tuple(sorted({int(a) % len(shape) for a in axes if shape[int(a)] > 1}))
        if not axes:
            return None
        share = 1 / prod(shape[a] for a in axes) if op in ("ReduceMean", "GlobalAveragePool") else 1.0
        square = self.square(x) if op in ("ReduceSumSquare", "ReduceL2") else self.terms.get(x)
        if isinstance(square, Squares) and square.factor == 0:
            if square.centered and square.axes != axes:
                return None
            return replace(square, axes=axes, factor=share, power=0.5 if op == "ReduceL2" else 1.0)
        return Term(x, axes, of_mean=share * prod(shape[a] for a in axes))

    def square(self, v: str) -> Squares:
        t = self.terms.get(v)
        if isinstance(t, Term) and t.plain and (t.is_like(1, -1, 0) or t.is_like(-1, 1, 0)):
            return Squares(t.x, t.axes, True)
        return Squares(v, (), False)

    def power(self, node: onnx.NodeProto):
        v, op = node.input[0], node.op_type
        exponent = {"Sqrt": 0.5, "Reciprocal": -1.0}.get(op) if op != "Pow" else self.number(node.input[1])
        t = self.terms.get(v)
        if exponent == 2 and v not in self.f.constants:
            return self.square(v)
        if isinstance(t, Squares) and t.factor and t.power * (exponent or 0) in (0.5, -0.5):
            return replace(t, power=t.power * exponent)
        return None

    def bound(self, node: onnx.NodeProto):
        """Max, Min or Clip with a constant."""
        op, given = node.op_type, {a.name: a.f for a in node.attribute}
        v, *limits = sorted(node.input, key=lambda v: v in self.f.constants) if op != "Clip" else node.input
        names = ("min", "max") if op == "Clip" else ("min", "another")
        given |= {name: self.number(limit) for name, limit in zip(names, limits) if limit}
        t, c = self.terms.get(v), given.pop("min", None)
        if not isinstance(t, Squares) or not t.factor or c is None or any(u is None or u < FAR for u in given.values()):
            return None
        if c < 0 or (op == "Min") != (t.power < 0) or c == 0 and op == "Min":
            return None
        return replace(t, floor=max(t.floor, c ** (1 / t.power)))

    def layout(self, node: onnx.NodeProto):
        v, y = node.input[0], node.output[0]
        t, old, new = self.terms.get(v), self.f.shapes[v], self.f.shapes[y]
        if t is None or self.f.types.get(y) not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE) or old == new:
            return t if old == new and self.f.types.get(y) == self.f.types.get(v) else None
        mean = t.factor if isinstance(t, Squares) else not t.of_x and np.size(t.gamma) == 1
        fits = new == self.f.shapes[t.x] and self.aligned(v) if node.op_type == "Expand" else prod(old) == prod(new)
        return t if mean and fits else None

    def negative(self, node: onnx.NodeProto):
        t = self.terms.get(node.input[0])
        return t.times(-1) if isinstance(t, Term) else None

    def arithmetic(self, node: onnx.NodeProto):
        a, b = node.input
        if a == b:
            return self.square(a) if node.op_type == "Mul" else None
        ca, cb = self.constant(a), self.constant(b)
        c = ca if cb is None else cb
        alike = self.f.shapes[a] == self.f.shapes[b] if c is None else c.size == 1
        if not alike and not (self.aligned(a) and self.aligned(b)):
            return None
        if c is not None:
            return self.with_constant(node.op_type, b if cb is None else a, c, cb is None)
        ta, tb = self.term(a, b), self.term(b, a, node.op_type == "Div")
        if ta is None or tb is None or (ta.x, ta.axes) != (tb.x, tb.axes):
            return None
        return (_sum if node.op_type in ("Add", "Sub") else _product)(node.op_type, ta, tb)

    def term(self, v: str, other: str, divisor: bool = False) -> Term | None:
        """v, or 1 / v for a divisor, as a Term; a value may be the x of the other."""
        t, o = self.terms.get(v), self.terms.get(other)
        if isinstance(t, Squares) and t.factor and t.power == (0.5 if divisor else -0.5):
            return Term(t.x, t.axes, one=1.0, root=replace(t, power=-0.5))
        if isinstance(o, (Squares, Term)) and o.x == v and not divisor:
            return Term(v, o.axes, of_x=1.0)
        return t if isinstance(t, Term) and not divisor else None

    def with_constant(self, op: str, v: str, c: np.ndarray, first: bool):
        """v op c, or c op v where the constant comes first."""
        t = self.terms.get(v)
        if isinstance(t, Squares) and t.factor and t.power == (0.5 if op == "Div" and first else -0.5):
            t = self.term(v, "", divisor=op == "Div" and first)
            return t.times(c) if op == "Mul" or first and op == "Div" else t.times(1 / c) if op == "Div" else None
        if isinstance(t, Squares):
            number = float(c.ravel()[0]) if c.size == 1 and t.factor and t.power == 1 else -1.0
            if op == "Add":
                return replace(t, epsilon=t.epsilon + number) if t.floor == 0 and number >= 0 else None
            if number <= 0 or op == "Sub" or op == "Div" and first:
                return None
            by = number if op == "Mul" else 1 / number
            return replace(t, factor=t.factor * by, epsilon=t.epsilon * by, floor=t.floor * by)
        if t is None or op == "Div" and (first or (c == 0).any()):
            return None
        if op in ("Mul", "Div"):
            return t.times(c if op == "Mul" else 1 / c)
        t = t.times(-1) if op == "Sub" and first else t
        return replace(t, beta=t.beta + (-c if op == "Sub" and not first else c))

    def batch_norm(self, node: onnx.NodeProto):
        """tf2onnx: with the mean and the variance of the very values that it normalizes."""
        x, scale, bias, mean, variance = node.input[:5]
        m, v, shape = self.terms.get(mean), self.terms.get(variance), self.f.shapes[x]
        weights = [self.constant(w) for w in (scale, bias)]
        rest = tuple(a for a, n in enumerate(shape) if n > 1 and a != 1)
        fits = isinstance(m, Term) and isinstance(v, Squares) and m.plain and m.is_like(0, 1, 0)
        if not fits or any(w is None for w in weights) or v.power != 1 or not v.centered or v.floor:
            return None
        if (m.x, m.axes, v.x, v.axes) != (x, rest, x, rest):
            return None
        epsilon = {a.name: a.f for a in node.attribute}.get("epsilon", 1e-5)
        gamma, beta = (w.reshape(-1, *[1] * (len(shape) - 2)) for w in weights)
        return Term(x, rest, 1.0, -1.0, 0.0, replace(v, epsilon=v.epsilon + epsilon, power=-0.5), gamma, beta)


def _sum(op: str, a: Term, b: Term) -> Term | None:
    if a.root != b.root or not np.array_equal(a.gamma, b.gamma):
        return None
    b = b.times(-1.0) if op == "Sub" else b
    return Term(a.x, a.axes, a.of_x + b.of_x, a.of_mean + b.of_mean, a.one + b.one, a.root, a.gamma, a.beta + b.beta)


def _product(op: str, a: Term, b: Term) -> Term | None:
    """One of the two is a root times a constant."""
    a, b = (b, a) if a.one else (a, b)
    if not b.is_like(0, 0, b.one) or a.one or a.root or np.any(a.beta) or np.any(b.beta):
        return None
    return replace(a.times(b.one), root=b.root, gamma=a.gamma * b.gamma)


READERS: dict[str, Callable] = (
    dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL2", "GlobalAveragePool"), Reader.reduce)
    | dict.fromkeys(("Sqrt", "Reciprocal", "Pow"), Reader.power)
    | dict.fromkeys(("Max", "Min", "Clip"), Reader.bound)
    | dict.fromkeys(LAYOUT, Reader.layout)
    | dict.fromkeys(("Add", "Sub", "Mul", "Div"), Reader.arithmetic)
    | {"Neg": Reader.negative, "BatchNormalization": Reader.batch_norm}
)
