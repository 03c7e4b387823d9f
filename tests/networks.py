"""Random recurrent networks as ONNX files, and what ONNX Runtime says of them.

`random_network(rng)` draws shapes, cells, directions, states, what comes in front and what comes after; the same
generator state always gives the same bytes, so a failing network is reported by its seed and description alone.
"""

from dataclasses import dataclass, field
from math import prod

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
FRONTS = ("none", "matmul", "gemm", "relu", "normalize", "batchnorm")
ENDINGS = ("last", "all", "final", "mean", "flatten")
# a model may call its values anything; net is what the tests call the network
NAMES = ("x", "y", "input.1", "input_1", "s", "t", "h", "0", "int", "int16_t", "INT8_MAX", "NULL", "tanh", "expf",
         "main", "scratch", "elapsed", "net", "net_step", "NET_X", "lstm_w", "gru.h", "serving/x:0", "été")  # fmt: skip
HEADS = ("none", "dense", "mlp", "sigmoid", "tanh", "softmax", "dense_softmax")


@dataclass
class Value:
    """A tensor of the graph under construction."""

    name: str
    shape: tuple[int, ...]


@dataclass
class Net:
    """An ONNX graph under construction.  weights come from rng, in a range that keeps float32 well conditioned."""

    rng: np.random.Generator
    opset: int
    nodes: list = field(default_factory=list)
    initializers: list = field(default_factory=list)
    inputs: list = field(default_factory=list)
    outputs: list = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    # --- chance

    def chance(self, p: float = 0.5) -> bool:
        return bool(self.rng.random() < p)

    def size(self) -> int:
        return int(self.rng.integers(1, 10))

    def pick(self, options):
        return options[int(self.rng.integers(len(options)))]

    # --- graph

    def input(self, name: str, *shape: int) -> Value:
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return Value(name, shape)

    def output(self, v: Value, name: str) -> None:
        self.op("Identity", [v], name, *v.shape)
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, v.shape))

    def op(self, op: str, inputs, name: str, *shape: int, **attrs) -> Value:
        names = [v.name if isinstance(v, Value) else v for v in inputs]
        self.nodes.append(helper.make_node(op, names, [name], name=f"{op}_{len(self.nodes)}", **attrs))
        return Value(name, shape)

    def fresh(self, op: str, inputs, *shape: int, **attrs) -> Value:
        return self.op(op, inputs, f"v{len(self.nodes)}", *shape, **attrs)

    def constant(self, array, dtype=np.float32) -> Value:
        array = np.asarray(array, dtype)
        name = f"w{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, name))
        return Value(name, array.shape)

    def normal(self, *shape: int, spread: float = 1.0) -> Value:
        return self.constant(spread * self.rng.normal(size=shape))

    def reshape(self, x: Value, *shape: int) -> Value:
        if shape == x.shape:
            return x
        return self.fresh("Reshape", [x, self.constant(shape, np.int64)], *shape)

    def transpose(self, x: Value, *perm: int) -> Value:
        return self.fresh("Transpose", [x], *(x.shape[a] for a in perm), perm=perm)

    # --- layers on [T, 1, I] or [1, N]

    def dense(self, x: Value, n: int, gemm: bool) -> Value:
        k, spread = x.shape[-1], x.shape[-1] ** -0.5
        if not gemm:
            y = self.fresh("MatMul", [x, self.normal(k, n, spread=spread)], *x.shape[:-1], n)
            return self.fresh("Add", [y, self.normal(n)], *y.shape) if self.chance(0.8) else y
        flat, flip = self.reshape(x, prod(x.shape[:-1]), k), self.chance()
        w = self.normal(*((n, k) if flip else (k, n)), spread=spread)
        bias = [self.normal(n)] if self.chance(0.8) else []
        y = self.fresh("Gemm", [flat, w, *bias], flat.shape[0], n, transB=int(flip), alpha=self.pick([1.0, 0.5]))
        return self.reshape(y, *x.shape[:-1], n)

    def normalize(self, x: Value) -> Value:
        n = self.pick([1, x.shape[-1]])
        down, by = self.normal(n), self.constant(self.rng.uniform(0.5, 2, n))
        y = self.fresh("Sub", [x, down], *x.shape)
        return self.fresh(self.pick(["Mul", "Div"]), [y, by], *x.shape)

    def batch_norm(self, x: Value) -> Value:
        n = x.shape[-1]
        positive = [self.constant(self.rng.uniform(0.5, 2, n)) for _ in range(2)]
        flat = self.reshape(x, prod(x.shape[:-1]), n)
        args = [flat, positive[0], self.normal(n), self.normal(n), positive[1]]
        return self.reshape(self.fresh("BatchNormalization", args, *flat.shape), *x.shape)

    def front(self, x: Value, kind: str) -> Value:
        if kind in ("matmul", "gemm"):
            x = self.dense(x, self.size(), kind == "gemm")
            return self.fresh("Relu", [x], *x.shape) if self.chance() else x
        if kind == "relu":
            return self.fresh("Relu", [x], *x.shape)
        return {"none": lambda v: v, "normalize": self.normalize, "batchnorm": self.batch_norm}[kind](x)

    def recurrent(self, x: Value, layer: int, direction: str, states: str) -> tuple[Value, Value]:
        """All steps [T, 1, D*H] and the final h as [1, D*H].  states: none, constant or input."""
        op, n = self.pick(["LSTM", "GRU", "RNN"]), self.size()
        steps, _, k = x.shape
        d, gates = 2 if direction == "bidirectional" else 1, GATES[op]
        attrs = {"hidden_size": n} | ({"direction": direction} if direction != "forward" else {})
        if op == "GRU":
            attrs["linear_before_reset"] = int(self.rng.integers(2))
        if op == "RNN":
            attrs["activations"] = [self.pick(["Tanh", "Relu"])] * d
        strength = self.pick([0.3, 0.6, 1.0])
        weights = [self.normal(d, gates * n, k, spread=2 * strength * k**-0.5),
                   self.normal(d, gates * n, n, spread=strength * n**-0.5)]  # fmt: skip
        bias = self.normal(d, 2 * gates * n, spread=0.5) if self.chance(0.8) else ""
        names = ["h", "c"] if op == "LSTM" else ["h"]
        initial = {
            "none": lambda s: "",
            "constant": lambda s: self.normal(d, 1, n, spread=0.5),
            "input": lambda s: self.input(f"{s}{layer}_in", d, 1, n),
        }
        args = [x, *weights, bias, "", *map(initial[states], names)]
        outs = [f"{op.lower()}{layer}_{s}" for s in ("y", *names)]
        inputs = [v.name if isinstance(v, Value) else v for v in args]
        self.nodes.append(helper.make_node(op, inputs, outs, name=f"{op}_{len(self.nodes)}", **attrs))
        y, finals = Value(outs[0], (steps, d, 1, n)), [Value(v, (d, 1, n)) for v in outs[1:]]
        if states == "input":
            self.finals += [(f, f"{s}{layer}_out") for f, s in zip(finals, names)]
        extra = "".join(f" {k}={v}" for k, v in attrs.items() if k not in ("hidden_size", "direction"))
        self.words.append(f"{direction} {op} {k}->{n}{extra} bias={bias != ''} states={states}")
        if d == 2:
            y = self.transpose(y, 0, 2, 1, 3)
        return self.reshape(y, steps, 1, d * n), self.reshape(self.transpose(finals[0], 1, 0, 2), 1, d * n)

    def ending(self, y: Value, final: Value, kind: str) -> Value:
        steps, n = y.shape[0], y.shape[-1]
        if kind == "last":
            return self.fresh("Gather", [y, self.constant(self.pick([-1, steps - 1]), np.int64)], 1, n, axis=0)
        if kind == "mean":
            if self.opset >= 18:
                return self.fresh("ReduceMean", [y, self.constant([0], np.int64)], 1, n, keepdims=0)
            return self.fresh("ReduceMean", [y], 1, n, axes=[0], keepdims=0)
        if kind == "flatten":
            return self.dense(self.reshape(y, 1, steps * n), self.size(), self.chance())
        return final if kind == "final" else y

    def head(self, x: Value, kind: str) -> Value:
        if kind in ("dense", "mlp", "dense_softmax"):
            x = self.dense(x, self.size(), self.chance())
        if kind == "mlp":
            x = self.dense(self.fresh("Relu", [x], *x.shape), self.size(), self.chance())
        if kind in ("sigmoid", "tanh"):
            return self.fresh(kind.capitalize(), [x], *x.shape)
        return self.fresh("Softmax", [x], *x.shape, axis=-1) if kind.endswith("softmax") else x

    # --- the whole

    finals: list[tuple[Value, str]] = field(default_factory=list)

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "random", self.inputs, self.outputs, self.initializers)
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        onnx.checker.check_model(proto)
        return proto


def random_network(rng: np.random.Generator) -> tuple[onnx.ModelProto, str]:
    """A network with 1 to 3 recurrent layers, and what it is in words."""
    net = Net(rng, opset=(11, 14, 18)[rng.integers(3)])
    steps, features, batch_first = net.size(), net.size(), net.chance()
    x_name, y_name = (NAMES[i] for i in rng.choice(len(NAMES), 2, replace=False))
    x = net.input(x_name, 1, steps, features) if batch_first else net.input(x_name, steps, 1, features)
    if batch_first:
        x = net.transpose(x, 1, 0, 2)
    front, ending, head = net.pick(FRONTS), net.pick(ENDINGS), net.pick(HEADS)
    order = "batch" if batch_first else "time"
    net.words.append(f"{x_name} to {y_name}, opset {net.opset}, {order} first, {steps} steps, front {front}")
    x = net.front(x, front)
    streams = net.chance(0.6)
    stateful, constant = net.chance(0.3), net.chance(0.3)
    for layer in range(int(rng.integers(1, 4))):
        direction = "forward" if streams else net.pick(["forward", "reverse", "bidirectional"])
        y, final = net.recurrent(x, layer, direction, "input" if stateful else "constant" if constant else "none")
        if y.shape == x.shape and net.chance(0.7):
            y = net.fresh("Add", [y, x], *y.shape)
            net.words.append("residual")
        x = y
    net.words.append(f"ending {ending}, head {head}")
    net.output(net.head(net.ending(x, final, ending), head), y_name)
    for v, name in net.finals:
        net.output(v, name)
    return net.model(), "; ".join(net.words)


def samples(proto: onnx.ModelProto, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Random inputs, exact in float32, states h within (-1, 1) as cells leave them: name -> [n, *shape]."""
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in proto.graph.input}
    tokens = [i.name for i in proto.graph.input if i.type.tensor_type.elem_type == TensorProto.INT64]
    drawn = {k: rng.integers(-2, 5, (n, *s)) if k in tokens else rng.normal(size=(n, *s)) for k, s in shapes.items()}
    return {
        k: (0.7 * np.tanh(a) if k[0] == "h" and k.endswith("_in") else a).astype(np.float32).astype(np.float64)
        for k, a in drawn.items()
    }


def onnx_runtime(proto: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """ONNX Runtime in float32, sample by sample: output -> [samples, *shape]."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in proto.graph.output]
    n = len(next(iter(inputs.values())))
    types = {i.name: np.int64 if "int64" in i.type else np.float32 for i in session.get_inputs()}
    rows = [session.run(names, {k: a[i].astype(types[k]) for k, a in inputs.items()}) for i in range(n)]
    return {name: np.stack([r[k] for r in rows]) for k, name in enumerate(names)}


def assert_close(got: np.ndarray, want: np.ndarray, tolerance: float, what: str) -> None:
    """|got - want| <= tolerance * max(1, max|want|), NaN never."""
    got = np.asarray(got).reshape(want.shape)
    error = float(np.abs(got - want).max(initial=0.0))
    limit = tolerance * max(1.0, float(np.abs(want).max(initial=0.0)))
    assert error <= limit, f"{what}: off by {error:.3g}, allowed {limit:.3g}"
