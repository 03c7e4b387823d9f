"""Model -> ONNX: what hmdc read, or trained, as a file for any runtime.  One writer per op of layers.OPS."""

from collections.abc import Callable
from itertools import count

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ... import __version__
from ...cells import CELLS
from ...errors import HmdcError
from ...functions import SIGMOID, TEXT
from ...model import Model, Node
from .functions import PARAMETERS
from .recurrent import KINDS
from .recurrent import PARAMETERS as OF_CELLS

OPSET, IR = 18, 8
WRITERS: dict[str, Callable] = {}
SPELLED = {f.lower(): f for f in (*PARAMETERS, *"Abs Cos Erf Exp HardSwish Log Mish Relu Sigmoid Sin Softplus Softsign "
           "Sqrt Tanh LeakyRelu ThresholdedRelu HardSigmoid ScaledTanh Affine Elu".split())}  # fmt: skip


def writer(*ops: str):
    def register(f):
        WRITERS.update(dict.fromkeys(ops, f))
        return f

    return register


class Writer:
    """Nodes and initializers of a graph under construction.  taken: names of the model's own values."""

    def __init__(self, taken: set[str]):
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._names = (name for k in count(1) if (name := f"hmdc/{k}") not in taken)

    def op(self, kind: str, inputs, outputs: int | list[str] = 1, **attrs) -> str:
        """Add a node; the name of its first output.  outputs: names, or how many new ones."""
        if isinstance(outputs, int):
            outputs = [next(self._names) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), list(outputs), **attrs))
        return outputs[0]

    def constant(self, array, dtype=np.float32) -> str:
        name = next(self._names)
        a = np.array(array, dtype, order="C")
        self.initializers[name] = numpy_helper.from_array(a, name)
        return name

    def ints(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def chain(self, x: str, y: str, *steps: tuple[str, list[str], dict]) -> None:
        """y = the last of some operators (kind, further inputs, attributes), each of which takes the one before."""
        for kind, more, attrs in steps[:-1]:
            x = self.op(kind, [x, *more], **attrs)
        kind, more, attrs = steps[-1]
        self.op(kind, [x, *more], [y], **attrs)

    def limits(self, node: Node) -> list[tuple[str, list[str], dict]]:
        """The step that keeps values between the bounds of a layer, where it has some."""
        ends = ["" if np.isinf(v) else self.constant(v) for v in (node.attrs["low"], node.attrs["high"])]
        return [("Clip", ends, {})] if any(ends) else []


def write(model: Model, more: dict[str, str] | None = None) -> bytes:
    """The bytes of an ONNX file with batch 1 that computes the model in float32.  more: its metadata.

    Raises HmdcError for a layer that ONNX has no operators for.
    """
    w = Writer({v for n in model.nodes for v in n.outputs} | set(model.inputs))
    for node in model.nodes:
        if node.op not in WRITERS:
            raise HmdcError(f"{node.name}: there is no ONNX operator for {node.op}")
        WRITERS[node.op](w, node, [model.shapes[v] if v else () for v in node.inputs])
    kind = lambda v: TensorProto.INT32 if v in model.integers else TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info(v, kind(v), s) for v, s in model.inputs.items()]
    outputs = [helper.make_tensor_value_info(v, TensorProto.FLOAT, model.shapes[v]) for v in model.outputs]
    graph = helper.make_graph(w.nodes, "hmdc", inputs, outputs, list(w.initializers.values()))
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR,
                              producer_name="hmdc", producer_version=__version__)  # fmt: skip
    helper.set_model_props(proto, more or {})
    onnx.checker.check_model(proto, full_check=True)
    return proto.SerializeToString(deterministic=True)


@writer("dense")
def _dense(w: Writer, node: Node, shapes):
    axis, last = node.attrs["axis"], len(shapes[0]) - 1
    order = [*(a for a in range(last + 1) if a != axis), axis]
    moved = lambda perm: [("Transpose", [], {"perm": [int(a) for a in perm]})] if axis != last else []
    bias = [("Add", [w.constant(node.weights["b"])], {})] if "b" in node.weights else []
    product = ("MatMul", [w.constant(node.weights["w"].T)], {})
    w.chain(node.inputs[0], node.outputs[0], *moved(order), product, *bias, *moved(np.argsort(order)), *w.limits(node))


@writer("conv")
def _conv(w, node, shapes):
    a, axes, rows = node.attrs, len(shapes[0]), node.weights["w"]
    kernel = np.moveaxis(rows.reshape(len(rows), *a["kernel"], -1), -1, 1)
    weights = [w.constant(kernel)] + ([w.constant(node.weights["b"])] if "b" in node.weights else [])
    own = {"kernel_shape": a["kernel"], "strides": a["strides"], "dilations": a["dilations"], "pads": a["pads"]}
    w.chain(node.inputs[0], node.outputs[0], ("Transpose", [], {"perm": [0, axes - 1, *range(1, axes - 1)]}),
            ("Conv", weights, own | {"group": a["groups"]}),
            ("Transpose", [], {"perm": [0, *range(2, axes), 1]}), *w.limits(node))  # fmt: skip


def _function(text: str) -> tuple[str, dict[str, float]]:
    """The operator of a function and its parameters, e.g. `leakyrelu(0.1)`."""
    name, own = TEXT.fullmatch(text).groups()
    values = [float(v) for v in own.split(",")] if own else []
    return SPELLED.get(name, name), dict(zip(("alpha", "gamma" if name == "selu" else "beta"), values))


@writer("activation")
def _activation(w, node, shapes):
    (x,), outputs, (kind, own) = node.inputs, list(node.outputs), _function(node.attrs["function"])
    if kind in ("gelu", "gelu_tanh"):
        # by its definition: the operator came with opset 20
        if kind == "gelu":
            inner = w.op("Erf", [w.op("Mul", [x, w.constant(0.5**0.5)])])
        else:
            cube = w.op("Mul", [w.op("Mul", [x, x]), x])
            sum_ = w.op("Add", [x, w.op("Mul", [cube, w.constant(0.044715)])])
            inner = w.op("Tanh", [w.op("Mul", [sum_, w.constant((2 / np.pi) ** 0.5)])])
        half = w.op("Mul", [w.op("Add", [inner, w.constant(1.0)]), w.constant(0.5)])
        w.op("Mul", [x, half], outputs)
    elif kind in ("Swish", "swish"):
        w.op("Mul", [x, w.op("Sigmoid", [w.op("Mul", [x, w.constant(own["alpha"])])])], outputs)
    elif kind == "ScaledTanh":
        w.op("Mul", [w.op("Tanh", [w.op("Mul", [x, w.constant(own["beta"])])]), w.constant(own["alpha"])], outputs)
    else:
        w.op(kind, [x], outputs, **own)


@writer("affine")
def _affine(w, node, shapes):
    scale, bias = (w.constant(node.weights[k]) for k in ("scale", "bias"))
    w.chain(node.inputs[0], node.outputs[0], ("Mul", [scale], {}), ("Add", [bias], {}), *w.limits(node))


@writer("add", "sub", "mul")
def _binary(w, node, shapes):
    w.op(node.op.capitalize(), node.inputs, list(node.outputs))


@writer("repeat")
def _repeat(w, node, shapes):
    w.op("Expand", [*node.inputs, w.ints(*node.attrs["shape"])], list(node.outputs))


@writer("dot")
def _dot(w, node, shapes):
    w.op("MatMul", node.inputs, list(node.outputs))


@writer("lookup")
def _lookup(w, node, shapes):
    w.op("Gather", [w.constant(node.weights["table"]), *node.inputs], list(node.outputs))


@writer("softmax", "log_softmax")
def _softmax(w, node, shapes):
    kind = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}[node.op]
    w.op(kind, node.inputs, list(node.outputs), axis=node.attrs["axis"])


@writer("normalize")
def _normalize(w, node, shapes):
    a, (x,) = node.attrs, node.inputs
    mean = lambda v: w.op("ReduceMean", [v, w.ints(a["axis"])], keepdims=1)
    c = w.op("Sub", [x, mean(x)]) if a["centered"] else x
    squares = w.op("Add", [mean(w.op("Mul", [c, c])), w.constant(a["epsilon"])])
    root = w.op("Sqrt", [w.op("Max", [squares, w.constant(a["floor"])])])
    w.chain(c, node.outputs[0], ("Div", [root], {}), ("Mul", [w.constant(a["gain"])], {}))


@writer("mean")
def _mean(w, node, shapes):
    kind, axis = "ReduceSum" if node.attrs.get("sum") else "ReduceMean", w.ints(node.attrs["axis"])
    w.op(kind, [*node.inputs, axis], list(node.outputs), keepdims=int(node.attrs["keep"]))


@writer("pool")
def _pool(w, node, shapes):
    a, shape, axis = node.attrs, shapes[0], node.attrs["axis"]
    if a["kind"] == "mean" and a["dilation"] > 1:
        raise HmdcError(f"{node.name}: an average over steps apart has no operator before opset 19")
    p, n, q = int(np.prod(shape[:axis])), shape[axis], int(np.prod(shape[axis + 1 :]))
    m = (n + sum(a["pads"]) - (a["size"] - 1) * a["dilation"] - 1) // a["stride"] + 1
    own = {"kernel_shape": [a["size"]], "strides": [a["stride"]], "pads": a["pads"]}
    own |= {"count_include_pad": 1} if a["kind"] == "mean" else {"dilations": [a["dilation"]]}
    sign = [("Neg", [], {})] if a["kind"] == "min" else []
    turned = ("Transpose", [], {"perm": [0, 2, 1]})
    sized = lambda *shape: ("Reshape", [w.ints(*shape)], {})
    w.chain(node.inputs[0], node.outputs[0], sized(p, n, q), turned, sized(1, p * q, n), *sign,
            ("AveragePool" if a["kind"] == "mean" else "MaxPool", [], own), *sign,
            sized(p, q, m), turned, sized(*shape[:axis], m, *shape[axis + 1 :]))  # fmt: skip


@writer("pad")
def _pad(w, node, shapes):
    a = node.attrs
    value = [w.constant(a["value"])] if a["mode"] == "constant" else []
    w.op("Pad", [*node.inputs, w.ints(*a["before"], *a["after"]), *value], list(node.outputs), mode=a["mode"])


@writer("reshape")
def _reshape(w, node, shapes):
    w.op("Reshape", [*node.inputs, w.ints(*node.attrs["shape"])], list(node.outputs))


@writer("transpose")
def _transpose(w, node, shapes):
    w.op("Transpose", node.inputs, list(node.outputs), perm=node.attrs["perm"])


@writer("slice")
def _slice(w, node, shapes):
    a = node.attrs
    stop = a["stop"] if a["stop"] >= 0 else -(2**31)
    w.op("Slice", [*node.inputs, *(w.ints(v) for v in (a["start"], stop, a["axis"], a["step"]))], list(node.outputs))


@writer("concat")
def _concat(w, node, shapes):
    w.op("Concat", node.inputs, list(node.outputs), axis=node.attrs["axis"])


@writer("lstm", "lstm_coupled", "gru", "rnn")
def _recurrent(w, node, shapes):
    a, coupled = node.attrs, node.op == "lstm_coupled"
    kind = "LSTM" if coupled else node.op.upper()

    def rows(key: str) -> np.ndarray:
        """In ONNX's order of gates, a forget gate of zeros included."""
        order = np.argsort((0, 2, 1) if key == "p" else KINDS[kind][1])
        parts = np.split(node.weights[key], len(order) - coupled)
        if coupled:
            parts.insert(1, np.zeros_like(parts[0]))
        return np.concatenate([parts[i] for i in order])

    given = {k: node.weights[k] for k in ("h0", "c0") if k in node.weights}
    ports, length = list(node.inputs[1:]), ""
    if a.get("length"):
        length = w.op("Reshape", [ports.pop(), w.ints(1)])
    states = [v or (w.constant(given[k].reshape(1, 1, -1)) if k in given else "")
              for v, k in zip([*ports, "", ""], ("h0", "c0"))][: KINDS[kind][2]]  # fmt: skip
    weights = [rows("w")[None], rows("u")[None], np.concatenate([rows("bw"), rows("bu")])[None]]
    inputs = [node.inputs[0], *map(w.constant, weights), length, *states]
    if "p" in node.weights:
        inputs += [w.constant(rows("p")[None])]
    while not inputs[-1]:
        inputs.pop()
    w.op(kind, inputs, list(node.outputs), hidden_size=a["hidden"], direction="reverse" if a["reverse"] else "forward",
         **_cell_attributes(node, coupled))  # fmt: skip


@writer("fastrnn", "fastgrnn")
def _fast(w, node, shapes):
    """Step by step: there is no operator for these cells."""
    n, (steps, _, n_in), own = node.attrs["hidden"], shapes[0], node.weights
    right = {k: w.constant(own[k].T) for k in "wu"}
    bias = w.constant(sum(own[k] for k in ("b", "bw", "bu") if k in own))
    h = node.inputs[1] if len(node.inputs) > 1 and node.inputs[1] else w.constant(own.get("h0", np.zeros(n)))
    h, hs = w.op("Reshape", [h, w.ints(1, n)]), [""] * steps
    update = _fastgrnn(w, node) if node.op == "fastgrnn" else _fastrnn(w, node)
    for t in range(steps)[:: -1 if node.attrs["reverse"] else 1]:
        x = w.op("Reshape", [w.op("Slice", [node.inputs[0], w.ints(t), w.ints(t + 1), w.ints(0)]), w.ints(1, n_in)])
        sums = w.op("Add", [w.op("MatMul", [x, right["w"]]), w.op("MatMul", [h, right["u"]])])
        h = update(w.op("Add", [sums, bias]) if node.op == "fastrnn" else sums, h)
        hs[t] = w.op("Reshape", [h, w.ints(1, 1, 1, n)])
    if node.outputs[0]:
        w.op("Concat", hs, [node.outputs[0]], axis=0)
    if node.outputs[1]:
        w.op("Reshape", [h, w.ints(1, 1, n)], [node.outputs[1]])


def _fastrnn(w: Writer, node: Node):
    alpha, beta = (w.constant(SIGMOID(node.attrs[k])) for k in ("alpha", "beta"))
    (kind, own), *_ = _functions(node)
    return lambda z, h: w.op("Add", [w.op("Mul", [w.op(kind, [z], **own), alpha]), w.op("Mul", [h, beta])])


def _fastgrnn(w: Writer, node: Node):
    zeta, nu = (w.constant(SIGMOID(node.attrs[k])) for k in ("zeta", "nu"))
    one, (of_gate, of_candidate) = w.constant(1.0), _functions(node)
    shared = sum(node.weights.get(k, 0.0) for k in ("bw", "bu"))
    bz, bh = (w.constant(node.weights[k] + shared) for k in ("bz", "bh"))

    def update(sums, h):
        z, n = (w.op(kind, [w.op("Add", [sums, b])], **own) for (kind, own), b in ((of_gate, bz), (of_candidate, bh)))
        share = w.op("Add", [w.op("Mul", [w.op("Sub", [one, z]), zeta]), nu])
        return w.op("Add", [w.op("Mul", [share, n]), w.op("Mul", [z, h])])

    return update


def _functions(node: Node) -> list[tuple[str, dict[str, float]]]:
    """Operators of a cell's activations."""
    return [_function(text) for text in node.attrs.get("activations", CELLS[node.op].functions)]


def _cell_attributes(node: Node, coupled: bool) -> dict:
    a, out = node.attrs, {}
    texts = a.get("activations") or ((a["activation"],) if "activation" in a else ())
    if texts:
        found = [_function(t) for t in texts]
        out["activations"] = [kind for kind, _ in found]
        for letter, key in (("a", "alpha"), ("b", "beta")):
            values = [own[key] for kind, own in found if letter in OF_CELLS[kind.lower()]]
            out |= {f"activation_{key}": values} if values else {}
    out |= {"clip": a["clip"]} if "clip" in a else {}
    out |= {"linear_before_reset": int(a["linear_before_reset"])} if node.op == "gru" else {}
    return out | ({"input_forget": 1} if coupled else {})
