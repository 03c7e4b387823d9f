"""docs/onnx.md: every row of its table of refusals happens as it says."""

import ast
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from networks import Net, Value
from onnx import TensorProto, helper
from onnx_norms import LOOK_ALIKES
from spoil import before, model, network, shape, subgraph

from hmdc import HmdcError, frontends

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| ([^|]+?) \| `([^`|]+)` \| ([^|]+?) \|$", re.MULTILINE)


def refusals(page: Path) -> dict[str, str]:
    """What is in the file -> what hmdc says of it."""
    return {what: says for what, says, _ in ROW.findall(page.read_text().split("## What is refused")[1])}


ROWS = refusals(ROOT / "docs/onnx.md")


def masked(net: Net) -> None:
    """A Loop that goes on as long as a value of x is positive."""
    info = helper.make_tensor_value_info
    nodes = [helper.make_node("Greater", ["first", "zero"], ["go_on"]), helper.make_node("Identity", ["v"], ["w"])]
    given = [
        info("i", TensorProto.INT64, []),
        info("go", TensorProto.BOOL, []),
        info("v", TensorProto.FLOAT, [3, 1, 4]),
    ]
    result = [info("go_on", TensorProto.BOOL, []), info("w", TensorProto.FLOAT, [3, 1, 4])]
    x = net.input("x", 3, 1, 4)
    net.op("ReduceMax", [x], "first", keepdims=0)
    net.op("Identity", [net.constant(np.float32(0))], "zero")
    net.op("Loop", ["", net.constant(True, bool), x], "y0", body=helper.make_graph(nodes, "body", given, result))
    net.output(Value("y0", (3, 1, 4)), "y")


def built(draw, opset: int = 14):
    def spoil(folder):
        net = Net(np.random.default_rng(0), opset)
        draw(net)
        graph = helper.make_graph(net.nodes, "net", net.inputs, net.outputs, net.initializers)
        m = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        (folder / "m.onnx").write_bytes(m.SerializeToString())

    return spoil


def lengths(g) -> None:
    g.input.append(helper.make_tensor_value_info("mask", TensorProto.INT32, [3]))
    g.node.insert(0, helper.make_node("ReduceSum", ["mask"], ["n"]))
    g.node[1].input[4] = "n"


def weights(g) -> None:
    g.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [1, 6, 4]))
    g.node[0].input[1] = "w"


def quantized(net: Net) -> None:
    grid = [net.constant(np.float32(0.1)), net.constant(0, np.int8)]
    net.op("QuantizeLinear", [net.input("x", 3, 4), *grid], "y")
    net.outputs.append(helper.make_tensor_value_info("y", TensorProto.INT8, [3, 4]))


def integers(net: Net) -> None:
    net.inputs.append(helper.make_tensor_value_info("x", TensorProto.INT64, [3, 4]))
    net.output(net.op("Cast", ["x"], "f", 3, 4, to=1), "y")


def training(net: Net) -> None:
    """Opset 14 gives the running averages too."""
    x, ones = net.input("x", 3, 4), [net.constant(np.ones(4)).name for _ in range(4)]
    net.nodes.append(helper.make_node("BatchNormalization", [x.name, *ones], ["n", "mean", "var"], training_mode=1))
    net.output(Value("n", (3, 4)), "y")


def halves(net: Net) -> None:
    x = net.op("Cast", [net.input("x", 3, 4)], "half", 3, 4, to=TensorProto.FLOAT16)
    net.output(net.op("Cast", [x], "whole", 3, 4, to=TensorProto.FLOAT), "y")


def picked(net: Net) -> None:
    net.inputs.append(helper.make_tensor_value_info("i", TensorProto.INT64, [1]))
    net.output(net.op("Gather", [net.input("x", 3, 4), "i"], "row", 1, 4, axis=0), "y")


CASES = {
    "If": subgraph("If"),
    "Loop that ends when the data say so": built(masked),
    "lengths from data": model(lengths),
    "projected LSTM": lambda f: shutil.copy(ROOT / "tests/corpus/torch/dyn_lstm_proj.onnx", f / "m.onnx"),
    "weights from data": model(weights),
    "training mode": built(training),
    "operators in integers": before("QLinearSigmoid", domain="com.microsoft"),
    "integers as output": built(quantized),
    "integer input": built(integers),
    "operators of other domains": before("GRU", domain="my.ops"),
    "ai.onnx.ml": before("ZipMap", domain="ai.onnx.ml", classlabels_int64s=[0, 1]),
    "random numbers": before("RandomNormalLike"),
    "division by other data": built(LOOK_ALIKES["epsilon_beside_the_root"]),
    "sums of absolute values": built(LOOK_ALIKES["absolute_values"]),
    "mean and deviation as values": built(LOOK_ALIKES["mean_beside"], 17),
    "half precision inside": built(halves),
    "index from data": built(picked),
    "opset 6 or older": lambda f: (f / "m.onnx").write_bytes(network(opset=6).SerializeToString()),
    "batch": shape(0, (3, 2, 4)),
    "open time": shape(0, ("t", 1, 4)),
}  # fmt: skip


def test_every_row_is_tested():
    assert list(ROWS) == list(CASES)


@pytest.mark.parametrize("what", CASES)
def test_refusal(what, tmp_path):
    (tmp_path / "m.onnx").write_bytes(network().SerializeToString())
    CASES[what](tmp_path)
    with pytest.raises(HmdcError) as error:
        frontends.load(tmp_path / "m.onnx")
    assert ROWS[what] in str(error.value) and "\n" not in str(error.value)


def test_refusals_name_the_way_out():
    """Every refusal of a node has three arguments: the node, why, what to change."""
    for file in (ROOT / "hmdc/frontends/onnx").glob("*.py"):
        calls = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Call)]
        short = [n.lineno for n in calls if getattr(n.func, "id", "") == "refuse" and len(n.args) != 3]
        assert not short, f"{file.name}: {short}"


def test_good_model_is_read(tmp_path):
    onnx.save(network(), tmp_path / "m.onnx")
    assert frontends.load(tmp_path / "m.onnx").steps == 3
