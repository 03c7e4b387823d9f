"""Recurrent layers written out step by step, as exporters do it: more FORMS."""

import numpy as np
from networks import Net, Value
from onnx import TensorProto, helper
from onnx_forms import form


def steps(net: Net, x: Value) -> list[Value]:
    """[T, 1, I] -> T times [1, I]: torch.unbind."""
    return [net.fresh("Gather", [x, net.constant(t, np.int64)], *x.shape[1:], axis=0) for t in range(x.shape[0])]


def stack(net: Net, hs: list[Value]) -> Value:
    n = hs[0].shape[-1]
    rows = [net.fresh("Unsqueeze", [h, net.constant([0], np.int64)], 1, 1, n) for h in hs]
    return net.fresh("Concat", rows, len(hs), 1, n, axis=0)


def split(net: Net, x: Value, n: int) -> list[Value]:
    names = [f"{x.name}_{i}" for i in range(x.shape[-1] // n)]
    net.nodes.append(helper.make_node("Split", [x.name], names, axis=1))
    return [Value(v, (1, n)) for v in names]


def op(net: Net, kind: str, *xs: Value) -> Value:
    return net.fresh(kind, xs, *xs[0].shape)


def gemms(net: Net, n: int, gates: int, size: int):
    """Products of x and of h, as nn.LSTMCell and nn.GRUCell write them; that of h = None is folded."""
    w, u = (net.normal(gates * n, k, spread=0.5) for k in (size, n))

    def product(m: Value, b: Value):
        flat = lambda v: net.fresh("Gemm", [v, m, b], 1, gates * n, transB=1)
        return lambda v: Value(b.name, (1, gates * n)) if v is None else flat(v)

    return [product(m, net.normal(gates * n)) for m in (w, u)]


@form(cells=("gru",))
def gru_cells(net):
    """nn.GRUCell in a loop, h = n + z (h - n); the state is an input and an output, the steps are stacked."""
    of_x, of_h = gemms(net, 5, 3, 4)
    h, hs = net.input("h0_in", 1, 5), []
    for x in steps(net, net.input("x", 6, 1, 4)):
        xr, xz, xn = split(net, of_x(x), 5)
        hr, hz, hn = split(net, of_h(h), 5)
        r, z = (op(net, "Sigmoid", op(net, "Add", a, b)) for a, b in ((xr, hr), (xz, hz)))
        n = op(net, "Tanh", op(net, "Add", xn, op(net, "Mul", r, hn)))
        h = op(net, "Add", n, op(net, "Mul", z, op(net, "Sub", h, n)))
        hs.append(h)
    net.output(stack(net, hs), "y")
    net.output(h, "hn")


@form(cells=("lstm",))
def lstm_cells(net):
    """nn.LSTMCell backward in time with a first step from zeros, whose constants are folded; the newest h."""
    of_x, of_h = gemms(net, 4, 4, 3)
    xs, h, c = steps(net, net.input("x", 7, 1, 3))[::-1], None, None
    for x in xs:
        z = op(net, "Add", of_x(x), of_h(h))
        i, f, g, o = (op(net, kind, v) for kind, v in zip(("Sigmoid", "Sigmoid", "Tanh", "Sigmoid"), split(net, z, 4)))
        new = op(net, "Mul", i, g)
        c = new if c is None else op(net, "Add", op(net, "Mul", f, c), new)
        h = op(net, "Mul", o, op(net, "Tanh", c))
    net.output(h, "y")


@form(cells=("lstm",))
def lstm_joined(net):
    """TensorFlow's BasicLSTMCell: one product of [x, h], gates i, j, f, o, forget bias 1."""
    w, b, one = net.normal(7, 16, spread=0.5), net.normal(16), net.constant(np.float32(1))
    h, c = net.input("h0_in", 1, 4), net.input("c0_in", 1, 4)
    for x in steps(net, net.input("x", 6, 1, 3)):
        z = net.fresh("MatMul", [net.fresh("Concat", [x, h], 1, 7, axis=1), w], 1, 16)
        i, j, f, o = split(net, net.fresh("Add", [z, b], 1, 16), 4)
        f = net.fresh("Sigmoid", [net.fresh("Add", [f, one], 1, 4)], 1, 4)
        i, j, o = op(net, "Sigmoid", i), op(net, "Tanh", j), op(net, "Sigmoid", o)
        c = op(net, "Add", op(net, "Mul", c, f), op(net, "Mul", i, j))
        h = op(net, "Mul", op(net, "Tanh", c), o)
    net.output(h, "y")


@form(opset=20, cells=("rnn", "rnn"))
def stacked_rnns(net):
    """Two nn.RNN as the dynamo exporter unrolls them: x W at once, U h step by step, Concat."""
    y = net.input("x", 6, 1, 4)
    for n in (5, 3):
        w, u, bias = net.normal(y.shape[-1], n), net.normal(n, n, spread=0.5), [net.normal(n) for _ in range(2)]
        xs = net.fresh("Add", [net.fresh("MatMul", [y, w], 6, 1, n), bias[0]], 6, 1, n)
        h, hs = None, []
        for t in range(6):
            cut = [net.constant([v], np.int64) for v in (t, t + 1, 0)]
            x = net.fresh("Slice", [xs, *cut], 1, 1, n)
            old = bias[1] if h is None else net.fresh("Add", [net.fresh("MatMul", [h, u], 1, 1, n), bias[1]], 1, 1, n)
            h = net.fresh("Tanh", [net.fresh("Add", [old, x], 1, 1, n)], 1, 1, n)
            hs.append(h)
        y = net.fresh("Concat", hs, 6, 1, n, axis=0)
    net.output(y, "y")


def body(net: Net, function: str, n: int, scan: bool):
    """x_t, h -> h: f(x W + h U), for Loop and Scan."""
    w, u = net.normal(4, n, spread=0.5), net.normal(n, n, spread=0.5)
    info = lambda name, kind, *shape: helper.make_tensor_value_info(name, kind, shape)
    nodes = [] if scan else [
        helper.make_node("Gather", ["x", "i"], ["x_t"]), helper.make_node("Identity", ["go"], ["go_on"])
    ]  # fmt: skip
    nodes += [
        helper.make_node("MatMul", ["x_t", w.name], ["xw"]),
        helper.make_node("Gemm", ["h", u.name, "xw"], ["sum"]),
        helper.make_node(function, ["sum"], ["h_new"]),
        helper.make_node("Identity", ["h_new"], ["row"]),
    ]
    state, rows = info("h", TensorProto.FLOAT, 1, n), [info(v, TensorProto.FLOAT, 1, n) for v in ("h_new", "row")]
    if scan:
        return helper.make_graph(nodes, "body", [state, info("x_t", TensorProto.FLOAT, 1, 4)], rows)
    given = [info("i", TensorProto.INT64), info("go", TensorProto.BOOL), state]
    return helper.make_graph(nodes, "body", given, [info("go_on", TensorProto.BOOL), *rows])


@form(cells=("rnn",))
def loop_of_cells(net):
    net.input("x", 6, 1, 4)
    zeros = net.constant(np.zeros((1, 5)))
    inputs = [net.constant(6, np.int64).name, net.constant(True, bool).name, zeros.name]
    net.nodes.append(helper.make_node("Loop", inputs, ["last", "rows"], body=body(net, "Relu", 5, False)))
    net.output(Value("rows", (6, 1, 5)), "y")


@form(cells=("rnn",))
def scan_backwards(net):
    net.input("x", 6, 1, 4)
    attrs = {"num_scan_inputs": 1, "scan_input_directions": [1], "scan_output_directions": [1]}
    inputs = [net.constant(np.zeros((1, 5))).name, "x"]
    net.nodes.append(helper.make_node("Scan", inputs, ["last", "rows"], body=body(net, "Tanh", 5, True), **attrs))
    net.output(Value("rows", (6, 1, 5)), "y")


@form(cells=())
def loop_of_another_cell(net):
    """No cell that hmdc knows: the steps stay as they are, and are right."""
    net.input("x", 6, 1, 4)
    inputs = [net.constant(6, np.int64).name, "", net.input("h0_in", 1, 5).name]
    net.nodes.append(helper.make_node("Loop", inputs, ["last", "rows"], body=body(net, "Softmax", 5, False)))
    net.output(Value("rows", (6, 1, 5)), "y")


def product(net: Net, v: Value, factors: list[Value]) -> Value:
    for m in factors:
        v = net.fresh("MatMul", [v, m], 1, m.shape[1])
    return v


def matrices(net: Net, *sizes: int) -> list[Value]:
    """A matrix, or the factors of one of a low rank."""
    return [net.normal(a, b, spread=0.5) for a, b in zip(sizes, sizes[1:])]


def fastgrnn(net: Net, xs: list[Value], h: Value, w: list[Value], u: list[Value]) -> list[Value]:
    """EdgeML's FastGRNN; sigmoid(zeta) and sigmoid(nu) are constants."""
    n, (zeta, nu, one) = h.shape[-1], (net.constant(v) for v in ([[0.73]], [[0.02]], 1.0))
    biases, hs = [net.normal(1, n) for _ in range(2)], []
    for x in xs:
        sums = op(net, "Add", product(net, x, w), product(net, h, u))
        z, c = (op(net, kind, op(net, "Add", sums, b)) for kind, b in zip(("Sigmoid", "Tanh"), biases))
        rest = op(net, "Sub", Value(one.name, z.shape), z)
        fresh = op(net, "Add", op(net, "Mul", Value(zeta.name, z.shape), rest), nu)
        h = op(net, "Add", op(net, "Mul", z, h), op(net, "Mul", fresh, c))
        hs.append(h)
    return hs


@form(cells=("fastgrnn",))
def fastgrnn_low_rank(net):
    """From zeros, with W and U of ranks 3 and 2; every state."""
    xs, zeros = steps(net, net.input("x", 6, 1, 8)), net.constant(np.zeros((1, 8)))
    net.output(stack(net, fastgrnn(net, xs, zeros, matrices(net, 8, 3, 8), matrices(net, 8, 2, 8))), "y")


@form(cells=("fastgrnn",))
def front_in_the_steps(net):
    """Each x passes a dense layer with ReLU and one with tanh inside the loop; the state before it is an output too."""
    m, first, xs = matrices(net, 4, 7, 5), net.normal(1, 6), []
    for x in steps(net, net.input("x", 6, 1, 4)):
        x = op(net, "Relu", product(net, x, m[:1]))
        xs.append(op(net, "Tanh", product(net, x, m[1:])))
    hs = fastgrnn(net, xs, first, matrices(net, 5, 6), matrices(net, 6, 6))
    net.output(stack(net, [first, *hs]), "y")


@form(cells=("fastrnn",))
def fastrnn_constant_state(net):
    """EdgeML's FastRNN from a state that is no zero, backward in time; the newest h."""
    alpha, beta, b = net.constant([[0.1]]), net.constant([[0.88]]), net.normal(1, 5)
    h, w, u = net.normal(1, 5), matrices(net, 4, 5), matrices(net, 5, 5)
    for x in steps(net, net.input("x", 7, 1, 4))[::-1]:
        sums = op(net, "Add", product(net, x, w), product(net, h, u))
        fresh = op(net, "Mul", op(net, "Tanh", op(net, "Add", sums, b)), alpha)
        h = op(net, "Add", fresh, op(net, "Mul", h, beta))
    net.output(h, "y")


@form(cells=("gru",))
def gru_constant_state(net):
    """nn.GRUCell from a state that is no zero."""
    of_x, of_h = gemms(net, 5, 3, 4)
    h = net.normal(1, 5)
    for x in steps(net, net.input("x", 6, 1, 4)):
        xr, xz, xn = split(net, of_x(x), 5)
        hr, hz, hn = split(net, of_h(h), 5)
        r, z = (op(net, "Sigmoid", op(net, "Add", a, b)) for a, b in ((xr, hr), (xz, hz)))
        n = op(net, "Tanh", op(net, "Add", xn, op(net, "Mul", r, hn)))
        h = op(net, "Add", n, op(net, "Mul", z, op(net, "Sub", h, n)))
    net.output(h, "y")


@form(cells=("lstm",))
def lstm_joined_constant_state(net):
    """One product of [x, h], whose first h is a constant that is joined to the data."""
    w, b, h, c = net.normal(7, 16, spread=0.5), net.normal(16), net.normal(1, 4), net.normal(1, 4)
    for x in steps(net, net.input("x", 6, 1, 3)):
        z = net.fresh("Gemm", [net.fresh("Concat", [x, h], 1, 7, axis=1), w, b], 1, 16)
        i, j, f, o = (op(net, k, v) for k, v in zip(("Sigmoid", "Tanh", "Sigmoid", "Sigmoid"), split(net, z, 4)))
        c = op(net, "Add", op(net, "Mul", c, f), op(net, "Mul", i, j))
        h = op(net, "Mul", op(net, "Tanh", c), o)
    net.output(h, "y")


@form(cells=())
def first_step_of_its_own(net):
    """No state before the first step makes a cell of it."""
    h, w, u = None, matrices(net, 4, 5), matrices(net, 5, 5)
    for x in steps(net, net.input("x", 6, 1, 4)):
        sums = product(net, x, w)
        h = op(net, "Relu", sums) if h is None else op(net, "Tanh", op(net, "Add", sums, product(net, h, u)))
    net.output(h, "y")


@form()
def constants_between_data(net):
    """Concat of data and constants in any order, and of zeros alone."""
    x, zeros = net.input("x", 3, 2), net.constant(np.zeros((3, 2)))
    a, b = net.normal(3, 1), net.normal(3, 2)
    y = net.fresh("Concat", [a, x, x, b, zeros, x, a], 3, 12, axis=1)
    net.output(net.fresh("Concat", [zeros, y], 3, 14, axis=1), "y")
