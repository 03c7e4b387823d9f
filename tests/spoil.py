"""The good network of test_bad_input.py, and ways to spoil it: functions of the folder that holds it as m.onnx.

Beside it lie its calibration c.npz and a good build b.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def network(x="x", h="h", y="y", last="last", node="gru", opset=14) -> onnx.ModelProto:
    """GRU over x [3, 1, 4] from the state h [1, 1, 2] to `last`, and a product y [1, 1, 3] of it."""
    rng = np.random.default_rng(0)
    weights = {"W": (1, 6, 4), "R": (1, 6, 2), "B": (1, 12), "V": (2, 3)}
    nodes = [helper.make_node("GRU", [x, "W", "R", "B", "", h], ["", last], node, hidden_size=2),
             helper.make_node("MatMul", [last, "V"], [y], node + "2")]  # fmt: skip
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
              for n, s in ((x, (3, 1, 4)), (h, (1, 1, 2)), (y, (1, 1, 3)), (last, (1, 1, 2)))]  # fmt: skip
    tensors = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in weights.items()]
    graph = helper.make_graph(nodes, "net", values[:2], values[2:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def samples(n=5) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(1).normal(size=(n, 3, 1, 4)).astype(np.float32)}


def model(change):
    """change: spoils the graph in place, or returns another protobuf."""

    def spoil(folder: Path):
        m = network()
        other = change(m.graph)
        (folder / "m.onnx").write_bytes((other if isinstance(other, onnx.ModelProto) else m).SerializeToString())

    return spoil


def weight(name, array):
    def change(g):
        t = numpy_helper.from_array(np.asarray(array), name)
        next(w for w in g.initializer if w.name == name).CopyFrom(t)

    return model(change)


def like(name, dtype=np.float32, value=0.5):
    shape = {"W": (1, 6, 4), "R": (1, 6, 2), "B": (1, 12), "V": (2, 3)}[name]
    return weight(name, np.full(shape, value, dtype))


def declared(name, dims, data=b""):
    """An initializer that says it has that shape."""
    return model(lambda g: next(w for w in g.initializer if w.name == name).CopyFrom(
        TensorProto(name=name, data_type=TensorProto.FLOAT, dims=dims, raw_data=data)))  # fmt: skip


def shape(index, dims):
    return model(lambda g: g.input[index].CopyFrom(helper.make_tensor_value_info("xh"[index], TensorProto.FLOAT, dims)))


def before(op, inputs=("x",), constants=(), domain="", **attrs):
    """A node in front of the GRU.  constants: name -> array."""

    def change(g):
        g.initializer.extend(numpy_helper.from_array(np.asarray(a), n) for n, a in dict(constants).items())
        g.node.insert(0, helper.make_node(op, list(inputs), ["x2"], "early", domain=domain, **attrs))
        g.node[1].input[0] = "x2"

    return model(change)


def bomb(op, inputs, **constants):
    """A constant that grows: added to the output."""

    def change(g):
        g.initializer.extend(numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items())
        g.node.insert(0, helper.make_node(op, inputs, ["big"], "bomb"))
        g.node.append(helper.make_node("Add", ["last", "big"], ["z"]))
        g.output[0].name = "z"

    return model(change)


def subgraph(op):
    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
    body = helper.make_graph([helper.make_node("Identity", ["x"], ["o"])], "body", [], [out])
    names = {"If": ["then_branch", "else_branch"], "Loop": ["body"], "Scan": ["body"]}[op]
    extra = {"num_scan_inputs": 1} if op == "Scan" else {}
    inputs = {"If": ["c"], "Loop": ["", "c"], "Scan": ["x"]}[op]
    return before(op, inputs, {"c": np.array(True)}, **dict.fromkeys(names, body), **extra)


def functions(*bodies):
    """Local functions f0, f1, ...; the network calls f0.  body: what the nodes of the function are called."""

    def change(g):
        g.node.insert(0, helper.make_node("f0", ["x"], ["x2"], domain="my"))
        g.node[1].input[0] = "x2"
        sets = [helper.make_opsetid("", 14), helper.make_opsetid("my", 1)]
        m = helper.make_model(g, opset_imports=sets, ir_version=8)
        for i, ops in enumerate(bodies):
            values = ["a", *(f"v{k}" for k in range(len(ops) - 1)), "b"]
            nodes = [helper.make_node(o, [values[k]], [values[k + 1]], domain="my" if o[0] == "f" else "")
                     for k, o in enumerate(ops)]  # fmt: skip
            m.functions.append(helper.make_function("my", f"f{i}", ["a"], ["b"], nodes, sets))
        return m

    return model(change)


def external(location="w.bin", files=("w.bin",), **more):
    def spoil(folder):
        def change(g):
            w = g.initializer[0]
            w.ClearField("raw_data")
            w.data_location = TensorProto.EXTERNAL
            for k, v in {"location": location, **more}.items():
                w.external_data.add(key=k, value=str(v))

        model(change)(folder)
        for f in files:
            (folder / f).write_bytes(bytes(96))

    return spoil


def both(*steps):
    return lambda folder: [step(folder) for step in steps]


def link(folder):
    (folder / "w.bin").symlink_to("/etc/passwd")


def text(name, content):
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def arrays(**a):
    return lambda folder: np.savez(folder / "c.npz", **a)


def zeros(n):
    """n samples of zeros, small as long as they are packed."""
    return lambda folder: np.savez_compressed(folder / "c.npz", x=np.zeros((n, 3, 1, 4), np.int8))


class Bomb:
    def __reduce__(self):
        return (open, ("pwned", "w"))


def cut(name, n):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:n])


def edit(name, old, new):
    def spoil(folder):
        content = (folder / name).read_text()
        assert old in content
        (folder / name).write_text(content.replace(old, new))

    return spoil


def nothing(folder):
    pass


def no_tools(folder):
    (folder / "path").mkdir()


def cyclic(g):
    g.node[0].input[0] = "z"
    g.node.append(helper.make_node("MatMul", ["y", "V"], ["z"]))


def constant_output(g):
    g.node.append(helper.make_node("Identity", ["V"], ["z"]))
    g.output[1].name = "z"


def attribute(**attrs):
    return model(lambda g: [g.node[0].attribute.append(helper.make_attribute(k, v)) for k, v in attrs.items()])


NAMES = {  # five for each network: of its inputs, outputs and nodes
    "code": ["a-b; int x", "*/ int main(){} /*", '"); abort(); //', "\\", "%s%n"],
    "collisions": ["a-b", "a_b", "a.b", "a b", "a"],
    "keywords": ["int", "class", "NULL", "INT8_MAX", "unix"],
    "members": ["s", "t", "scratch", "words", "unused"],
    "functions": ["exp", "y1", "tanh", "index", "main"],
    "prefix": ["m", "m_state", "M_STEPS", "m_frame", "v_m"],
    "letters": ["входной", "模型", "a\u2028b", "\x1b[31mred", "é"],
    "lengths": ["a" * 10000, "a" * 9999 + "b", "0", "_", "__x"],
    "lines": ["x\n#error", "#include <x>", "\r\n", "??/", "//"],
    "files": ["file", "allow_pickle", "../../x", "/x", "args"],
    "internal": ["#1", "#2", "gru.h", "gru", "fc"],
    "internal too": ["set_h", "get_y", "INPUT_SIZE", "input", "output"],
}
