"""Mutations of ONNX files: of the protobuf, and nodes put in that are right and seldom."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from .draw import FLOATS, INTS, NAMES, Draw

ELEMENTWISE = """Abs Neg Exp Sigmoid Tanh Relu Softplus Softsign Sqrt Log Identity Erf HardSwish Mish Gelu Sin Cos Cast
    Dropout Celu Elu HardSigmoid LeakyRelu Selu ThresholdedRelu Floor Sign Reciprocal Not Hardmax Det NonZero""".split()
POOLS = ["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "Conv", "ConvTranspose"]
REDUCE = ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceSumSquare", "ReduceProd", "ReduceL1"]
BINARY = ["Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "PRelu", "MatMul", "Concat", "Equal", "Where"]
# without ThresholdedRelu: ONNX Runtime takes 0 for an alpha that is absent, the standard 1
ACTIVATIONS = "Relu Tanh Sigmoid Affine LeakyRelu ScaledTanh HardSigmoid Elu Softsign Softplus".split()
DOMAINS = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft", "my"]


def mutate(draw: Draw, blob: bytes) -> bytes:
    """Another file."""
    if draw.chance(0.08):
        return draw.bytes(blob)
    try:
        model = onnx.load_model_from_string(blob)
    except Exception:  # a mutant that is damaged already
        return draw.bytes(blob)
    if draw.chance(0.9):  # what is declared of results stands in the way of nodes that change them
        model.graph.ClearField("value_info")
        for o in model.graph.output:
            o.type.tensor_type.ClearField("shape")
    for _ in range(draw.pick([1, 1, 1, 2, 3])):
        graph = draw.pick(_graphs(model.graph))
        draw.pick(MUTATIONS)(draw, model, graph)
    return model.SerializeToString()


def _graphs(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    inner = [a.g for n in graph.node for a in n.attribute if a.HasField("g")]
    return [graph, *(g for i in inner for g in _graphs(i))]


def _values(graph: onnx.GraphProto) -> list[str]:
    return [v for n in graph.node for v in (*n.input, *n.output)] + [i.name for i in graph.input] + ["", "#1"]


def _constant(draw: Draw, graph: onnx.GraphProto, array, dtype=None) -> str:
    name = f"c{len(graph.initializer)}_{draw.int(1 << 20)}"
    graph.initializer.append(numpy_helper.from_array(np.asarray(array, dtype), name))
    return name


def attribute(draw, model, graph):
    nodes = [n for n in graph.node if n.attribute] or [None]
    if not (n := draw.pick(nodes)):
        return
    a, what = draw.pick(n.attribute), draw.int(8)
    if what == 0:
        n.attribute.remove(a)
    elif what == 1:
        n.attribute.append(a)
    elif what == 2:
        a.name = draw.pick(["axis", "axes", "alpha", "direction", "hidden_size", "clip", "perm", "layout", "pads", "x"])
    elif what == 3:
        n.attribute.append(helper.make_attribute(a.name + "x", draw.pick([1, 1.5, "x", [1, 2]])))
    elif a.ints:
        a.ints[draw.int(len(a.ints))] = draw.pick(INTS)
        draw.chance(0.2) and a.ints.append(draw.pick(INTS))
        draw.chance(0.2) and a.ints.pop()
    elif a.floats:
        a.floats[draw.int(len(a.floats))] = draw.pick(FLOATS)
    elif a.strings:
        a.strings[draw.int(len(a.strings))] = draw.pick([*ACTIVATIONS, *NAMES]).encode("utf-8", "surrogateescape")
    elif a.HasField("t"):
        _change_tensor(draw, a.t)
    elif a.type == onnx.AttributeProto.FLOAT:
        a.f = draw.pick(FLOATS)
    elif a.type == onnx.AttributeProto.STRING:
        a.s = draw.pick([b"reverse", b"bidirectional", b"SAME_UPPER", b"reflect", b"tanh", b"\xff\xfe", b""])
    elif a.type == onnx.AttributeProto.INT:
        a.i = draw.pick(INTS)
    draw.chance(0.05) and setattr(a, "type", draw.int(15))


def node(draw, model, graph):
    if not graph.node:
        return
    i, what = draw.int(len(graph.node)), draw.int(7)
    n = graph.node[i]
    if what == 0:
        del graph.node[i]
    elif what == 1:
        graph.node.insert(draw.int(len(graph.node)), n)
    elif what == 2:
        n.op_type = draw.pick([*ELEMENTWISE, *POOLS, *REDUCE, *BINARY, draw.pick(graph.node).op_type, "LSTM", "GRU"])
    elif what == 3:
        n.domain = draw.pick(DOMAINS)
    elif what == 4:
        del graph.node[i]
        graph.node.insert(draw.int(len(graph.node) + 1), n)
    elif what == 5 and n.input:
        n.input.append(draw.pick(_values(graph))) if draw.chance() else n.input.pop()
    elif n.output:
        n.output.append(draw.pick(NAMES)) if draw.chance() else n.output.pop()


def wire(draw, model, graph):
    nodes = [n for n in graph.node if n.input] or [None]
    if not (n := draw.pick(nodes)):
        return
    i, k = draw.int(len(n.input)), draw.int(len(n.input))
    if draw.chance(0.4):
        n.input[i], n.input[k] = n.input[k], n.input[i]
    else:
        n.input[i] = draw.pick(_values(graph) + [t.name for t in graph.initializer])
    if n.output and draw.chance(0.15):
        n.output[draw.int(len(n.output))] = draw.pick(_values(graph) + NAMES)


def _change_tensor(draw: Draw, t: TensorProto) -> None:
    what = draw.int(8)
    try:
        a = numpy_helper.to_array(t).copy()
    except Exception:
        a = np.ones(2, np.float32)
    if what == 0 and t.dims:
        t.dims[draw.int(len(t.dims))] = draw.pick(INTS)
    elif what == 1:
        t.raw_data = t.raw_data[: draw.int(len(t.raw_data) + 1)]
    elif what == 2:
        t.data_type = draw.int(25)
    elif what == 3:
        t.data_location = TensorProto.EXTERNAL
        for key in ("location", "offset", "length"):
            value = draw.pick(["w.bin", "../w.bin", "", ".", "m.onnx", "/dev/zero", *map(str, INTS)])
            t.external_data.add(key=key, value=value)
    elif a.dtype.kind in "fiu" and a.size:
        if what == 4:
            a = a.reshape(draw.pick([a.shape[::-1], (-1,), (1, *a.shape), (*a.shape, 1)]))
        elif what == 5:
            a = np.resize(a, draw.pick([(), (0,), (1,), (2,), a.shape[:-1], (*a.shape, 2)]))
        else:
            pool = INTS[:9] if a.dtype.kind != "f" else FLOATS
            with np.errstate(all="ignore"):
                a.reshape(-1)[draw.int(a.size)] = np.array(draw.pick(pool)).astype(a.dtype)
        t.CopyFrom(numpy_helper.from_array(a, t.name))


def tensor(draw, model, graph):
    found = [*graph.initializer, *(a.t for n in graph.node for a in n.attribute if a.HasField("t"))]
    if not found:
        return
    small = [t for t in found if t.data_type == TensorProto.INT64]  # shapes, axes, indices
    t = draw.pick(small if small and draw.chance() else found)
    if draw.chance(0.9):
        return _change_tensor(draw, t)
    dims = draw.pick([t.dims, [1], [0], ["n"], [1, 2, 3]])
    graph.input.append(helper.make_tensor_value_info(t.name, draw.pick([1, 6, 7, 8, 9, 11]), dims))
    if t in graph.initializer and draw.chance():
        graph.initializer.remove(t)


def port(draw, model, graph):
    ports = [*graph.input, *graph.output]
    if not ports:
        return
    p, what = draw.pick(ports), draw.int(5)
    dims = p.type.tensor_type.shape.dim
    if what == 0 and dims:
        dims[draw.int(len(dims))].dim_value = draw.pick([1, 2, 3, 0, -1, 1 << 16, 1 << 31, 1 << 40])
    elif what == 1 and dims:
        dims[draw.int(len(dims))].dim_param = draw.pick(["n", "t", "", "batch"])
    elif what == 2:
        p.type.tensor_type.elem_type = draw.int(20)
    elif what == 3:
        p.name = draw.pick(_values(graph) + NAMES)
    else:
        draw.pick([graph.input, graph.output]).append(helper.make_empty_tensor_value_info(draw.pick(_values(graph))))


def header(draw, model, graph):
    if model.opset_import and draw.chance(0.8):
        model.opset_import[0].version = draw.pick([*range(1, 27), 0, -1, 1 << 40])
    else:
        model.opset_import.append(helper.make_opsetid(draw.pick(DOMAINS), draw.int(25)))


def recurrent(draw, model, graph):
    """Another attribute or input of a recurrent node that the standard knows."""
    nodes = [n for n in graph.node if n.op_type in ("LSTM", "GRU", "RNN")]
    if not nodes:
        return
    n = draw.pick(nodes)
    count = {"LSTM": 3, "GRU": 2, "RNN": 1}[n.op_type]
    name, value = draw.pick([
        ("direction", draw.pick(["forward", "reverse"])), ("layout", 1), ("linear_before_reset", draw.int(2)),
        ("input_forget", 1), ("clip", draw.pick([0.1, 0.5, 3.0, 0.0, -1.0])),
        ("activations", [draw.pick(ACTIVATIONS) for _ in range(count * draw.pick([1, 1, 1, 2]))]),
        ("activation_alpha", [draw.pick(FLOATS[:8]) for _ in range(draw.int(4))]),
    ])  # fmt: skip
    for a in [a for a in n.attribute if a.name == name]:
        n.attribute.remove(a)
    n.attribute.append(helper.make_attribute(name, value) if value != [] else helper.make_attribute(name, [1.0]))
    weights = {t.name: t for t in graph.initializer}
    if draw.chance(0.2) and len(n.input) > 2 and n.input[2] in weights and len(weights[n.input[2]].dims) == 3:
        d, _, h = weights[n.input[2]].dims
        n.input.extend([""] * (8 - len(n.input)))
        at, shape = draw.pick([(5, (d, 1, h)), (6, (d, 1, h)), (7, (d, 3 * h))])
        n.input[at] = _constant(draw, graph, draw.rng.normal(size=shape), np.float32)


def grow(draw, model, graph):
    """A node behind an output, or behind another value."""
    shapes = _shapes(model)
    end = graph.output and draw.chance(0.6)
    value = draw.pick(graph.output).name if end else draw.pick([v for n in graph.node for v in n.input if v] or [""])
    opset = max([o.version for o in model.opset_import if o.domain == ""], default=1)
    name = f"g{draw.int(1 << 20)}"
    for made in _extra(draw, graph, value, name, list(shapes.get(value, (1, 4))), opset):
        graph.node.append(made)
    if end:
        for o in graph.output:
            if o.name == value:
                o.name = name
        return
    at = min((i for i, n in enumerate(graph.node) if value in n.input), default=0)
    new = graph.node.pop()
    for n in graph.node:
        for i, v in enumerate(n.input):
            if v == value:
                n.input[i] = name
    graph.node.insert(at, new)


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    try:
        graph = shape_inference.infer_shapes(model).graph
    except Exception:
        return {}
    return {v.name: tuple(d.dim_value or 1 for d in v.type.tensor_type.shape.dim)
            for v in (*graph.value_info, *graph.input, *graph.output)}  # fmt: skip


def _binary(draw, constant, make, x: str, shape: list[int]) -> list[onnx.NodeProto]:
    """x with itself, with constants that broadcast, or with a number."""
    axis = draw.int(len(shape)) - draw.pick([0, len(shape)]) if shape else 0
    part = [n if draw.chance(0.7) else 1 for n in shape][draw.pick([0, 0, 1]) :]
    other = draw.pick([x, constant(draw.rng.normal(size=part), np.float32), constant(2.0, np.float32)])
    inputs = [x, other] if draw.chance(0.6) else [other, x]
    op = draw.pick(BINARY)
    return make(op, [constant(True, bool)] * (op == "Where") + inputs, **{"axis": axis} if op == "Concat" else {})


def _window(draw, constant, make, x: str, shape: list[int]) -> list[onnx.NodeProto]:
    """A pool or a convolution."""
    axes = len(shape)
    op, space = draw.pick(POOLS), max(axes - 2, 1)
    sizes = [draw.pick([1, 2, 3]) for _ in range(space)]
    if op.startswith("Global"):
        return make(op, [x])
    a = {"kernel_shape": sizes, "strides": [draw.pick([1, 1, 2]) for _ in sizes]}
    a["pads"] = [draw.pick([0, 0, 1]) for _ in range(2 * space)]
    if op == "Conv":
        c = shape[1] if axes > 1 else 1
        w = constant(draw.rng.normal(size=(draw.pick([1, 2, c]), draw.pick([c, 1]), *sizes)), np.float32)
        return make(op, [x, w], **a, group=draw.pick([1, 1, c]))
    more = {"ceil_mode": draw.int(2), "count_include_pad": draw.int(2)} if op == "AveragePool" else {}
    return make(op, [x], **a, **more)


def _extra(draw, graph, x: str, y: str, shape: list[int], opset: int) -> list[onnx.NodeProto]:
    """A node y of x that fits its shape, most of the time."""
    axes, make = len(shape), lambda op, inputs, **a: [helper.make_node(op, inputs, [y], **a)]
    axis = draw.int(axes) - draw.pick([0, axes]) if axes else 0
    constant = lambda a, dtype=np.int64: _constant(draw, graph, a, dtype)
    listed = lambda op, at, values, since, **a: (
        make(op, [x, constant(values)], **a) if opset >= since else make(op, [x], **{at: values}, **a)
    )
    some = sorted(draw.rng.choice(axes, draw.int(axes) + 1, replace=False).tolist()) if axes else [0]
    alpha = {"alpha": draw.pick(FLOATS[:8])}
    match draw.int(14):
        case 0:
            op = draw.pick(ELEMENTWISE)
            if op == "Cast":
                return make(op, [x], to=draw.pick([1, 1, 6, 7, 10, 11]))
            return make(op, [x], **(alpha if draw.chance() and "u" in op[1:] else {}))
        case 1:
            return make(draw.pick(["Softmax", "LogSoftmax", "Flatten", "LpNormalization"]), [x], axis=axis)
        case 2:
            return make("Transpose", [x], perm=draw.rng.permutation(axes).tolist())
        case 3:
            limits = [constant([draw.pick([0, 1, -1, 2, -2, 99, -99])]) for _ in range(2)]
            return make("Slice", [x, *limits, constant([axis]), constant([draw.pick([1, 1, 2, -1, -2, 3])])])
        case 4:
            index = draw.pick([0, -1, [0], [0, 1], [-1, -2], [[0]], [[0, 1]], [1, 0], [0, 0], [0, 2, 4]])
            return make("Gather", [x, constant(index)], axis=axis)
        case 5:
            return make("Concat", [x] * draw.pick([2, 3]), axis=axis)
        case 6:
            return listed(*draw.pick([("Unsqueeze", "axes"), ("Squeeze", "axes")]), some, 13)
        case 7:
            dims = draw.pick([shape[::-1], [-1], [0, -1], [1, *shape], [*shape, 1], sorted(shape), [2, -1]])
            return make(draw.pick(["Reshape", "Reshape", "Expand", "Tile"]), [x, constant(dims)])
        case 8 | 9:
            return _binary(draw, constant, make, x, shape)
        case 10:
            op = draw.pick(REDUCE)
            return listed(op, "axes", [a - draw.pick([0, axes]) for a in some], 13 if op == "ReduceSum" else 18,
                          keepdims=draw.int(2))  # fmt: skip
        case 11:
            pads = [draw.pick([0, 0, 1, 2, -1]) for _ in range(2 * axes)]
            inputs = [x, constant(pads), constant(draw.pick(FLOATS[:6]), np.float32)]
            return make("Pad", inputs, mode=draw.pick(["constant", "constant", "edge", "reflect", "wrap"]))
        case 12:
            return _window(draw, constant, make, x, shape)
        case _:
            c = shape[1] if axes > 1 else 1
            many = [constant(np.abs(draw.rng.normal(size=c)) + 0.1, np.float32) for _ in range(4)]
            if draw.chance():
                return make("BatchNormalization", [x, *many], epsilon=draw.pick([1e-5, 0.1]))
            names = [x] + [constant(draw.pick(FLOATS[:8]), np.float32) for _ in range(2)]
            return make("Clip", [names[0], *sorted(names[1:])])


MUTATIONS = [attribute, node, wire, tensor, port, header, recurrent, recurrent, grow, grow, grow]
