"""Small models by hand, in the very forms that exporters and quantizers write: FORMS, name -> Form."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from networks import Net, Value
from onnx import TensorProto, helper

FORMS: dict[str, "Form"] = {}


@dataclass
class Form:
    """build: draws the model into a Net.  same: the float model that a quantized one stands for, if it is another.

    cells: the recurrent layers that hmdc has to find, None = as the file says.
    """

    build: Callable[[Net], None]
    opset: int = 15
    same: str = ""
    cells: tuple[str, ...] | None = None

    def model(self) -> onnx.ModelProto:
        net = Net(np.random.default_rng(7), self.opset)
        self.build(net)
        graph = helper.make_graph(net.nodes, "form", net.inputs, net.outputs, net.initializers)
        sets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=sets, ir_version=8)


def form(opset: int = 15, **options):
    def register(build):
        FORMS[build.__name__] = Form(build, opset, **options)
        return build

    return register


def lstm(net: Net, x: Value, n: int, direction: str = "forward", op: str = "LSTM",
         states=()) -> list[Value]:  # fmt: skip
    """Y, Y_h, Y_c of a layer on x [T, 1, I]."""
    gates, d = {"LSTM": 4, "GRU": 3, "RNN": 1}[op], 2 if direction == "bidirectional" else 1
    weights = [net.normal(d, gates * n, k, spread=0.5) for k in (x.shape[-1], n)]
    outs = [f"y{len(net.nodes)}_{i}" for i in range(3 if op == "LSTM" else 2)]
    inputs = [x.name, *(w.name for w in weights), net.normal(d, 2 * gates * n, spread=0.3).name]
    attrs = {"hidden_size": n, "direction": direction, "name": f"{op}_{len(net.nodes)}"}
    net.nodes.append(helper.make_node(op, [*inputs, "", *states], outs, **attrs))
    return [Value(outs[0], (x.shape[0], d, 1, n)), *(Value(v, (d, 1, n)) for v in outs[1:])]


def last(net: Net, y: Value) -> Value:
    """tf2onnx: Squeeze -> Slice -> Squeeze."""
    steps, _, _, n = y.shape
    y = net.fresh("Squeeze", [y, net.constant([1], np.int64)], steps, 1, n)
    cut = [net.constant([v], np.int64) for v in (-1, 2**31 - 1, 0)]
    y = net.fresh("Slice", [y, *cut], 1, 1, n)
    return net.fresh("Squeeze", [y, net.constant([0], np.int64)], 1, n)


def integers(a: np.ndarray, axis: int | None, dtype, zero=3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights as a quantizer stores them: integers, scales and zero points, along `axis` or one."""
    over = None if axis is None else tuple(i for i in range(a.ndim) if i != axis)
    scale = np.float32(np.abs(a).max(axis=over) / 100)
    shape = [-1 if i == axis else 1 for i in range(a.ndim)]
    zero = np.full(scale.shape, 128 if dtype == np.uint8 else zero, dtype)
    q = np.round(a / scale.reshape(shape)) + zero.reshape(shape).astype(int)
    return q.astype(dtype), scale, zero


def real(q: np.ndarray, scale: np.ndarray, zero: np.ndarray, axis: int | None) -> np.ndarray:
    shape = [-1 if i == axis else 1 for i in range(q.ndim)]
    return (q.astype(int) - zero.reshape(shape).astype(int)) * scale.reshape(shape)


def weights(net: Net, *shape: int, axis: int | None = None, plain: bool) -> Value:
    """Through DequantizeLinear, or the same numbers as they are."""
    q, scale, zero = integers(net.rng.normal(size=shape), axis, np.int8)
    if plain:
        return net.constant(real(q, scale, zero, axis))
    args = [net.constant(q, np.int8), net.constant(scale), net.constant(zero, np.int8)]
    return net.fresh("DequantizeLinear", args, *shape, **({} if axis is None else {"axis": axis}))


def qdq(net: Net, x: Value, scale: float, zero: int, plain: bool) -> Value:
    """What the quantizer puts around an activation; the float network that it stands for clips to the range."""
    if plain:
        lo, hi = (np.float32((q - zero) * scale) for q in (-128, 127))
        return net.fresh("Clip", [x, net.constant(lo), net.constant(hi)], *x.shape)
    grid = [net.constant(np.float32(scale)), net.constant(np.int8(zero), np.int8)]
    q = net.fresh("QuantizeLinear", [x, *grid], *x.shape)
    return net.fresh("DequantizeLinear", [q, *grid], *x.shape)


def qdq_network(net: Net, plain: bool) -> None:
    """Gemm and MatMul quantized, the LSTM between them float; the Relu lives in a zero point."""
    x = qdq(net, net.input("x", 6, 1, 4), 0.02, 3, plain)
    x = net.fresh("MatMul", [x, weights(net, 4, 5, axis=1, plain=plain)], 6, 1, 5)
    x = qdq(net, x, 0.02, -128, plain)
    y = last(net, lstm(net, x, 6)[0])
    w, bias = weights(net, 3, 6, axis=0, plain=plain), net.constant(np.float32([0.05, -0.07, 0.11]))
    if not plain:
        grid = [net.constant([5, -7, 11], np.int32), net.constant(np.float32(0.01))]
        bias = net.fresh("DequantizeLinear", grid, 3)
    y = net.fresh("Gemm", [qdq(net, y, 0.01, 0, plain), w, bias], 1, 3, transB=1)
    net.output(qdq(net, y, 0.05, -5, plain), "y")


def dynamic_product(net: Net, x: Value, n: int, dtype, plain: bool) -> Value:
    """onnxruntime's quantize_dynamic on a MatMul."""
    axis = 1 if dtype == np.int8 else None
    q, scale, zero = integers(net.rng.normal(size=(x.shape[-1], n)), axis, dtype)
    shape = (*x.shape[:-1], n)
    if plain:
        return net.fresh("MatMul", [x, net.constant(real(q, scale, zero, axis))], *shape)
    outs = [f"{x.name}_{s}" for s in ("quantized", "scale", "zero_point")]
    net.nodes.append(helper.make_node("DynamicQuantizeLinear", [x.name], outs))
    y = net.fresh("MatMulInteger", [outs[0], net.constant(q, dtype), outs[2], net.constant(zero, dtype)], *shape)
    y = net.fresh("Cast", [y], *shape, to=TensorProto.FLOAT)
    return net.fresh("Mul", [y, net.fresh("Mul", [outs[1], net.constant(scale)])], *shape)


def dynamic_lstm(net: Net, x: Value, n: int, plain: bool) -> Value:
    """quantize_dynamic on a bidirectional LSTM: W [D, I, 4H], a scale for each gate row of W, one for R."""
    d, arrays = 2, []
    for k, per_row in ((x.shape[-1], True), (n, False)):
        parts = [integers(net.rng.normal(size=(k, 4 * n)) / 2, 1 if per_row else None, np.int8, 0) for _ in range(d)]
        floats = np.stack([real(*p, 1 if per_row else None).T for p in parts])
        arrays.append((*(np.stack(a) for a in zip(*parts)), floats))
    bias, name = net.normal(d, 8 * n, spread=0.3), f"y{len(net.nodes)}"
    if plain:
        inputs = [x.name, *(net.constant(a[3]).name for a in arrays), bias.name]
    else:
        w, r = (net.constant(a[0], np.int8).name for a in arrays)
        grids = [v.name for a in arrays for v in (net.constant(a[1]), net.constant(a[2], np.int8))]
        inputs = [x.name, w, r, bias.name, "", "", "", "", *grids]
    op, domain = ("LSTM", "") if plain else ("DynamicQuantizeLSTM", "com.microsoft")
    net.nodes.append(helper.make_node(op, inputs, [name], domain=domain, hidden_size=n, direction="bidirectional"))
    y = net.transpose(Value(name, (x.shape[0], d, 1, n)), 0, 2, 1, 3)
    return net.reshape(y, x.shape[0], 1, d * n)


def dynamic_network(net: Net, plain: bool) -> None:
    x = net.input("x", 6, 1, 4)
    y = dynamic_lstm(net, dynamic_product(net, x, 5, np.uint8, plain), 4, plain)
    net.output(net.fresh("Add", [dynamic_product(net, y, 3, np.int8, plain), net.normal(3)], 6, 1, 3), "y")


for name, network in {"qdq": qdq_network, "dynamic": dynamic_network}.items():
    FORMS[f"{name}_plain"] = Form(lambda net, network=network: network(net, True))
    FORMS[name] = Form(lambda net, network=network: network(net, False), same=f"{name}_plain")


# --- tf2onnx, as it writes Keras models of a dynamic batch


def batch_first(net: Net) -> Value:
    """[1, T, I] -> [T, 1, I]"""
    return net.transpose(net.input("x", 1, 6, 4), 1, 0, 2)


def shape_of(net: Net, x: Value) -> Value:
    """tf2onnx casts shapes to int32 and back."""
    shape = net.fresh("Shape", [x], len(x.shape))
    return net.fresh("Cast", [net.fresh("Cast", [shape], len(x.shape), to=6)], len(x.shape), to=7)


def part(net: Net, x: Value, axis: int, start: int, stop: int) -> Value:
    cut = [net.constant([v], np.int64) for v in (start, stop, axis)]
    shape = [stop - start if i == axis else n for i, n in enumerate(x.shape)]
    return net.fresh("Slice", [x, *cut], *shape)


@form()
def tf_dynamic_batch_states(net):
    """Zeros [B, H] from Shape -> Cast -> Slice -> Concat -> Expand, Unsqueeze to [1, B, H]."""
    x = batch_first(net)
    batch = part(net, shape_of(net, x), 0, 1, 2)
    shape = net.fresh("Concat", [batch, net.constant([5], np.int64)], 2, axis=0)
    zeros = net.fresh("Expand", [net.constant(np.float32(0)), shape], 1, 5)
    zeros = net.fresh("Unsqueeze", [zeros, net.constant([0], np.int64)], 1, 1, 5)
    net.output(last(net, lstm(net, x, 5, states=[zeros.name, zeros.name])[0]), "y")


@form()
def tf_bidirectional(net):
    """Slice of each direction, Squeeze, Concat."""
    y = lstm(net, batch_first(net), 4, "bidirectional")[0]
    sides = []
    for d in range(2):
        cut = part(net, y, 1, d, d + 1)
        sides.append(net.fresh("Squeeze", [cut, net.constant([1], np.int64)], 6, 1, 4))
    y = net.transpose(net.fresh("Concat", sides, 6, 1, 8, axis=2), 1, 0, 2)
    net.output(y, "y")


@form()
def tf_go_backwards(net):
    """ReverseSequence over time in front of a forward layer, and behind it."""
    x = batch_first(net)
    lengths = net.constant([6], np.int64)
    reverse = {"time_axis": 0, "batch_axis": 1}
    y = lstm(net, net.fresh("ReverseSequence", [x, lengths], *x.shape, **reverse), 5, op="GRU")[0]
    y = net.fresh("Squeeze", [y, net.constant([1], np.int64)], 6, 1, 5)
    net.output(net.fresh("ReverseSequence", [y, lengths], 6, 1, 5, **reverse), "y")


@form()
def tf_tensordot(net):
    """Dense on all steps: Shape -> Gather -> ReduceProd -> Concat around MatMul."""
    y = lstm(net, batch_first(net), 5)[0]
    y = net.transpose(net.fresh("Squeeze", [y, net.constant([1], np.int64)], 6, 1, 5), 1, 0, 2)
    shape = shape_of(net, y)
    free = net.fresh("Gather", [shape, net.constant([0, 1], np.int64)], 2)
    rows = net.fresh("ReduceProd", [free], 1, axes=[0], keepdims=1)
    inner = net.fresh("Gather", [shape, net.constant([2], np.int64)], 1)
    flat = net.fresh("Reshape", [y, net.fresh("Concat", [rows, inner], 2, axis=0)], 6, 5)
    z = net.fresh("MatMul", [flat, net.normal(5, 3)], 6, 3)
    back = net.fresh("Concat", [free, net.constant([3], np.int64)], 3, axis=0)
    z = net.fresh("Reshape", [z, back], 1, 6, 3)
    net.output(net.fresh("Add", [z, net.normal(3)], 1, 6, 3), "y")


@form()
def tf_time_distributed(net):
    """Reshape to [-1, I], Gemm, BatchNorm as Mul and Add, Reshape to [-1, T, N]."""
    x = net.fresh("Reshape", [net.input("x", 1, 6, 4), net.constant([-1, 4], np.int64)], 6, 4)
    x = net.fresh("Gemm", [x, net.normal(4, 5), net.normal(5)], 6, 5)
    x = net.fresh("Add", [net.fresh("Mul", [x, net.normal(5)], 6, 5), net.normal(5)], 6, 5)
    x = net.fresh("Reshape", [x, net.constant([-1, 6, 5], np.int64)], 1, 6, 5)
    net.output(last(net, lstm(net, net.transpose(x, 1, 0, 2), 4)[0]), "y")


@form()
def reversed_slices(net):
    """torch.flip and numpy's [::-1]: Slice with a step of -1; every second step of it."""
    x = net.input("x", 6, 1, 4)
    cut = [net.constant([v], np.int64) for v in (-1, -(2**63) + 1, 0, -1)]
    y, h = lstm(net, net.fresh("Slice", [x, *cut], *x.shape), 5, op="GRU")
    net.output(net.fresh("Gather", [net.reshape(y, 6, 5), net.constant([5, 3, 1], np.int64)], 3, 5), "y")


# --- tokens


def tokens(net: Net, name: str, *shape: int) -> Value:
    net.inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, shape))
    return Value(name, shape)


@form()
def embedding(net):
    """nn.Embedding in front of a GRU: every step."""
    x = net.fresh("Gather", [net.normal(7, 4), tokens(net, "x", 1, 6)], 1, 6, 4)
    net.output(net.reshape(lstm(net, net.transpose(x, 1, 0, 2), 5, op="GRU")[0], 6, 5), "y")


@form()
def keras_embedding(net):
    """tf2onnx: Cast to int32, Gather; two inputs, the second of numbers; last step."""
    x = net.fresh("Cast", [tokens(net, "x", 1, 6)], 1, 6, to=6)
    x = net.fresh("Gather", [net.normal(5, 4), x], 1, 6, 4, axis=0)
    x = net.fresh("Concat", [x, net.input("numbers", 1, 6, 2)], 1, 6, 6, axis=-1)
    net.output(last(net, lstm(net, net.transpose(x, 1, 0, 2), 5)[0]), "y")


# --- attention over a fixed number of steps


@form()
def attention(net):
    """Scores from Gemm, Tanh, MatMul; Softmax over time; the weighted sum as MatMul."""
    y = net.transpose(net.reshape(lstm(net, net.input("x", 6, 1, 4), 5)[0], 6, 1, 5), 1, 0, 2)
    score = net.fresh("MatMul", [y, net.normal(5, 4)], 1, 6, 4)
    score = net.fresh("MatMul", [net.fresh("Tanh", [score], 1, 6, 4), net.normal(4, 1)], 1, 6, 1)
    weight = net.transpose(net.fresh("Softmax", [score], 1, 6, 1, axis=1), 0, 2, 1)
    context = net.fresh("MatMul", [weight, y], 1, 1, 5)
    net.output(net.dense(net.reshape(context, 1, 5), 3, True), "y")


@form()
def luong_attention(net):
    """The last state asks all of them; residual Add of both; weights repeated by an Expand and by broadcasting."""
    y, h = lstm(net, net.input("x", 6, 1, 4), 5, op="GRU")
    y = net.transpose(net.reshape(y, 6, 1, 5), 1, 0, 2)
    query = net.reshape(h, 1, 5, 1)
    weight = net.fresh("Softmax", [net.fresh("MatMul", [y, query], 1, 6, 1)], 1, 6, 1, axis=1)
    wide = net.fresh("Expand", [weight, net.constant([1, 6, 5], np.int64)], 1, 6, 5)
    terms = net.fresh("Add", [net.fresh("Mul", [wide, y], 1, 6, 5), net.fresh("Mul", [y, weight], 1, 6, 5)], 1, 6, 5)
    context = net.fresh("ReduceMean", [terms], 1, 5, axes=[1], keepdims=0)
    net.output(net.fresh("Add", [context, net.reshape(h, 1, 5)], 1, 5), "y")
