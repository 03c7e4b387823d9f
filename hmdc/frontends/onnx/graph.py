"""Folded ONNX graph -> Model: one translator per operator."""

from collections.abc import Callable
from math import prod

import numpy as np
import onnx
from onnx import helper

from ...errors import HmdcError
from ...model import Model, Node
from .folded import Folded, label, told
from .quantized import OTHERS

TRANSLATORS: dict[str, Callable[["Graph", onnx.NodeProto], None]] = {}

WHOLE = "keep the recurrent layer whole: nn.LSTM/GRU/RNN in PyTorch, unroll=False and a plain LSTM/GRU layer in Keras"
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)

INTEGER = (
    "QLinearMatMul", "QLinearConv", "QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearConcat", "QGemm",
    "QAttention",     "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulNBits",
)  # fmt: skip
MAX_TERMS = 1 << 20  # values of a product of two values, or of a repeated one
HINTS = {
    "If": "export one branch only (torch.onnx.export with dynamo=True, or a model without data-dependent branches)",
    "Loop": WHOLE,
    "Scan": WHOLE,
    "ReduceL1": "normalize with p=2",
    "ZipMap": "export without it (zipmap=False)",
    **dict.fromkeys(INTEGER, OTHERS),
}


def translator(*ops: str):
    """Register a function that turns nodes of these operators into layers."""

    def register(f):
        TRANSLATORS.update(dict.fromkeys(ops, f))
        return f

    return register


def refuse(node: onnx.NodeProto, why: str, way_out: str) -> HmdcError:
    """why: with the values that stand in the way.  way_out: what the user may do."""
    return HmdcError(f"{label(node)}: {why}; {way_out}")


class Graph:
    """What translators read (constants, shapes, attributes) and write (layers)."""

    def __init__(self, folded: Folded):
        self.folded = folded
        self.opset = folded.opset
        self.nodes: list[Node] = []
        self._fresh = 0

    def constant(self, value: str) -> np.ndarray | None:
        return self.folded.constants.get(value)

    def floats(self, node: onnx.NodeProto, value: str) -> np.ndarray:
        """A constant as finite float64."""
        if self.folded.constants[value].dtype.kind in "biu":
            raise refuse(node, f"its constant {value!r} has type {self.folded.constants[value].dtype}",
                         "export the network with float weights")  # fmt: skip
        a = self.folded.constants[value].astype(np.float64)
        if not np.isfinite(a).all():
            raise refuse(
                node, f"its constant {value!r} has values that are NaN or infinite", "train or export the network again"
            )
        return a

    def shape(self, value: str) -> tuple[int, ...]:
        return self.folded.shapes[value]

    def ints(self, node: onnx.NodeProto, name: str, position: int, default=None) -> list[int] | None:
        """An integer list that is an attribute in older opsets and an input in newer ones."""
        value = attributes(node).get(name)
        if value is None and len(node.input) > position and node.input[position]:
            value = self.constant(node.input[position])
            if value is None:
                raise refuse(node, f"its {name} depend on the input data", "export with fixed shapes")
        return default if value is None else [int(v) for v in np.ravel(value)]

    def fresh(self, shape: tuple[int, ...]) -> str:
        """A new value between two layers."""
        self._fresh += 1
        while (name := f"#{self._fresh}") in self.folded.known:
            self._fresh += 1
        self.folded.shapes[name] = tuple(shape)
        return name

    def add(self, op: str, name: str, inputs, outputs, source: onnx.NodeProto, weights=None, **attrs) -> None:
        for v in inputs:
            if v in self.folded.constants:
                raise refuse(source, f"is applied to the constant {v!r}", "fold it when exporting the network")
        self.nodes.append(Node(op, name, tuple(inputs), tuple(outputs), attrs, weights or {}, label(source)))

    def reshape(self, node: onnx.NodeProto, x: str, y: str, shape=None) -> None:
        """y is x in another shape (by default the one that y has)."""
        shape = tuple(shape or self.shape(y))
        if prod(shape) != prod(self.shape(x)):
            raise refuse(node, f"cannot make {list(shape)} of {list(self.shape(x))}",
                         "export with a dynamic time axis, or leave out --steps and --input-shape")  # fmt: skip
        self.add("reshape", "reshape", [x], [y], node, shape=shape)

    def transpose(self, node: onnx.NodeProto, x: str, perm, y: str = "") -> str:
        """The name of x with its axes in that order."""
        y = y or self.fresh(tuple(self.shape(x)[a] for a in perm))
        self.add("transpose", "transpose", [x], [y], node, perm=tuple(int(a) for a in perm))
        return y

    def repeat(self, node: onnx.NodeProto, x: str, y: str, shape=None) -> None:
        """y is x broadcast to a shape (by default the one that y has)."""
        old, shape = self.shape(x), tuple(shape or self.shape(y))
        if prod(old) == prod(shape):
            return self.reshape(node, x, y, shape)
        if prod(shape) > MAX_TERMS:
            raise refuse(
                node, f"repeats data {list(old)} -> {list(shape)}, more than {MAX_TERMS} values", "shorten the sequence"
            )
        full = (1,) * (len(shape) - len(old)) + old
        if full != old:
            self.reshape(node, x, x := self.fresh(full), full)
        self.add("repeat", "repeat", [x], [y], node, shape=shape)

    def affine(self, node: onnx.NodeProto, x: str, y: str, scale, bias, low=-np.inf, high=np.inf) -> None:
        scale, bias = np.broadcast_arrays(np.asarray(scale, np.float64), np.asarray(bias, np.float64))
        own = scale.shape[max(scale.ndim - len(self.shape(x)), 0) :]  # constants have at most the axes of x
        weights = {"scale": scale.reshape(own).copy(), "bias": bias.reshape(own).copy()}
        self.add("affine", "scale", [x], [y], node, weights, low=float(low), high=float(high))

    def activation(self, node: onnx.NodeProto, x: str, y: str, function: str) -> None:
        self.add("activation", function, [x], [y], node, function=function)


def attributes(node: onnx.NodeProto) -> dict:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def translate(folded: Folded, written: dict, digest: str, path: str) -> Model:
    """written: value -> what writes the layer that computes it, see norm_forms.

    Raises HmdcError naming the first node that hmdc cannot compile.
    """
    g = Graph(folded)
    for node in folded.nodes:
        if node.output[0] in written:
            written[node.output[0]].write(g, node)
            continue
        f = TRANSLATORS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        if f is None:
            raise refuse(
                node,
                "hmdc cannot compile this operator",
                HINTS.get(node.op_type, f"known: {', '.join(sorted(TRANSLATORS))}"),
            )
        for v in node.output:
            if v and v not in folded.shapes and node.op_type not in ("LSTM", "GRU", "RNN"):
                raise refuse(
                    node,
                    "the shape of its result depends on the input data",
                    "export with fixed shapes (--input-shape)",
                )
        with told(node):
            f(g, node)
    constant = [v for v in folded.outputs if v in folded.constants]
    if constant:
        raise HmdcError(f"output {constant[0]!r} is a constant: it does not depend on any input; export without it")
    used = {v for n in g.nodes for v in n.inputs}
    inputs = {v: s for v, s in folded.inputs.items() if v in used or v in folded.outputs}
    integers = {v: _limits(g, v) for v in inputs if folded.types[v] not in FLOATS}
    return Model(inputs, g.nodes, list(folded.outputs), sha256=digest, path=path, integers=integers)


def _limits(g: Graph, name: str) -> tuple[int, int]:
    """The integers that an input may take: nothing may read it but embeddings, or layers that it tells the length."""
    steps = {g.shape(n.inputs[0])[0] for n in g.nodes if n.attrs.get("length") and n.inputs[-1] == name}
    if len(steps) > 1:
        raise HmdcError(f"input {name!r} is the length of sequences of {sorted(steps)} steps; make them equally long")
    if steps:
        return 1, steps.pop()
    tokens, rows = {name}, []
    for node in g.nodes:
        if tokens & {*node.inputs} and node.op in ("reshape", "transpose", "slice"):
            tokens |= {*node.outputs}
        elif tokens & {*node.inputs} and node.op == "lookup":
            rows.append(len(node.weights["table"]))
        elif tokens & {*node.inputs}:
            rows = []
            break
    if not rows or tokens & {*g.folded.outputs}:
        kind = onnx.TensorProto.DataType.Name(g.folded.types[name])
        raise HmdcError(f"input {name!r} has type {kind} and no embedding alone reads it; export with float inputs")
    return -min(rows), min(rows) - 1


from . import forms, functions, layers, norms, recurrent, windows  # noqa: E402, F401  the translators register themselves
