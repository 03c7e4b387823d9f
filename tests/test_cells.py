"""Corners of the ONNX operators LSTM, GRU and RNN, against ONNX Runtime, and the cells that ONNX does not have."""

import re

import numpy as np
import onnx
import pytest
from networks import GATES, assert_close, onnx_runtime, samples
from onnx import TensorProto, helper, numpy_helper

import hmdc
from hmdc import HmdcError
from hmdc.data import Data, to_integers
from hmdc.frontends import load
from hmdc.host import run_host
from hmdc.model import Model, Node
from hmdc.reference import evaluate
from hmdc.rewrite import simplify
from hmdc.simulate import simulate
from hmdc.verify import real_outputs, verify

STEPS, INPUTS, HIDDEN = 5, 4, 4
FUNCTIONS = {"LSTM": 3, "GRU": 2, "RNN": 1}
# name -> (operator, attributes); every function of the standard, in every place
CORNERS = {
    "peepholes": ("LSTM", {"peepholes": True}),
    "peepholes and clip": ("LSTM", {"peepholes": True, "clip": 0.4}),
    "clip": ("LSTM", {"clip": 0.5}),
    "coupled": ("LSTM", {"input_forget": 1}),
    "coupled peepholes": ("LSTM", {"input_forget": 1, "peepholes": True, "direction": "bidirectional"}),
    "hard lstm": ("LSTM", {"activations": ["HardSigmoid", "Tanh", "Tanh"]}),
    "keras relu lstm": ("LSTM", {"activations": ["Sigmoid", "Relu", "Relu"]}),
    "odd lstm": ("LSTM", {"activations": ["Tanh", "Softsign", "Elu"], "activation_alpha": [0.5]}),
    "odd coupled lstm": ("LSTM", {"activations": ["Softsign", "Softplus", "Softsign"], "input_forget": 1}),
    "wide hard lstm": ("LSTM", {"activations": ["HardSigmoid", "LeakyRelu", "ScaledTanh"],
                                "activation_alpha": [0.05, 0.3, 1.7], "activation_beta": [0.4, 0.67]}),
    "two directions": ("LSTM", {"activations": ["Sigmoid", "Tanh", "Tanh", "Tanh", "Elu", "Softsign"],
                                "direction": "bidirectional"}),
    "keras relu gru": ("GRU", {"activations": ["Sigmoid", "Relu"], "linear_before_reset": 1}),
    "odd gru": ("GRU", {"activations": ["Softsign", "ThresholdedRelu"], "activation_alpha": [0.05]}),
    "odd gru, reset after": ("GRU", {"activations": ["Affine", "ScaledTanh"], "activation_alpha": [0.2, 1.2],
                                     "activation_beta": [0.5, 0.5], "linear_before_reset": 1}),
    "gru with clip": ("GRU", {"clip": 0.6, "linear_before_reset": 1}),
    "relu gru with clip": ("GRU", {"clip": 0.6, "activations": ["Sigmoid", "Relu"]}),
    **{f"{f} rnn": ("RNN", {"activations": [f]}) for f in ("Softplus", "LeakyRelu", "HardSigmoid", "Elu", "Softsign")},
    "relu rnn with clip": ("RNN", {"activations": ["Relu"], "clip": 0.7}),
}  # fmt: skip


def corner(name: str, check: bool = True) -> onnx.ModelProto:
    """One operator with every output.  Its weights make ReLU cells settle, not explode."""
    op, attrs = CORNERS[name]
    attrs = dict(attrs)
    rng = np.random.default_rng(len(name))
    d, gates = 2 if attrs.get("direction") == "bidirectional" else 1, GATES[op]
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    weights = {"W": draw(d, gates * HIDDEN, INPUTS), "R": 0.3 * draw(d, gates * HIDDEN, HIDDEN),
               "B": 0.5 * draw(d, 2 * gates * HIDDEN)}  # fmt: skip
    inputs = ["x", *weights]
    if attrs.pop("peepholes", False):
        weights["P"] = draw(d, 3 * HIDDEN)
        inputs += ["", "", "", "P"]
    outputs = {"Y": (STEPS, d, 1, HIDDEN), "h": (d, 1, HIDDEN), "c": (d, 1, HIDDEN)}
    outputs = dict(list(outputs.items())[: 3 if op == "LSTM" else 2])
    info = lambda k, shape: helper.make_tensor_value_info(k, TensorProto.FLOAT, shape)
    graph = helper.make_graph(
        [helper.make_node(op, inputs, list(outputs), op, hidden_size=HIDDEN, **attrs)], "corner",
        [info("x", (STEPS, 1, INPUTS))], [info(k, s) for k, s in outputs.items()],
        [numpy_helper.from_array(a, k) for k, a in weights.items()],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    if check:
        onnx.checker.check_model(proto)
    return proto


# precision, recipes that change nothing but how the matrices are stored, relative error that weights of 8 bits explain
TURNS = (("int8", [], 0.06), ("int16", [], 0.02), ("int8", ["*.[wu]=lowrank(rank=4)"], 0.06))


@pytest.mark.parametrize("name", CORNERS)
def test_corner_is_onnx_runtime(name, tmp_path):
    """The float reference, C in float32, and in turns C in int8, in int16 and of structured matrices apart."""
    proto = corner(name)
    onnx.save(proto, tmp_path / "net.onnx")
    data = samples(proto, np.random.default_rng(1), 24)
    want = onnx_runtime(proto, data)
    model = load(tmp_path / "net.onnx")
    values = evaluate(model, data)
    for k, a in want.items():
        assert_close(values[k], a, 1e-5, f"{name}, reference, {k}")
    build = hmdc.compile(model, tmp_path / "float32", precision="float32")
    found = run_host(build.program, build.source, build.report["ram_bytes"], to_integers(build.program, data))
    for entry in build.program.entries:
        for k, a in real_outputs(build.program, {entry: found[entry]}).items():
            assert_close(a, want[k], 1e-5, f"{name}, {entry}, {k}")
    np.savez(tmp_path / "data.npz", **data)
    precision, recipes, most = TURNS[list(CORNERS).index(name) % 3]
    build = hmdc.compile(
        model, tmp_path / "out", precision=precision, calibration=tmp_path / "data.npz", compress=recipes
    )
    assert verify(build, Data({k: a[:4] for k, a in data.items()}, None)).differences == []
    got = simulate(build.program, to_integers(build.program, data), "run")
    for k, a in real_outputs(build.program, {"run": got}).items():
        error = np.sqrt(np.mean((a.reshape(want[k].shape) - want[k]) ** 2) / np.mean(want[k] ** 2))
        assert error <= most, f"{name}, {precision}, {k}: relative error {error:.3g}"


@pytest.mark.parametrize("attrs, message", [
    ({"clip": -1.0}, "clip=-1 is no limit; export with a positive clip"),
    ({"activations": ["Tanh"]}, "activations ['tanh'] are not compiled; use relu, "),
    ({"activations": ["ScaledTanh", "Tanh"]}, "needs numbers for its parameters; it takes 2; write activation_alpha"),
])  # fmt: skip
def test_refused(attrs, message, tmp_path, monkeypatch):
    monkeypatch.setitem(CORNERS, "bad", ("GRU", attrs))
    onnx.save(corner("bad", check=False), tmp_path / "net.onnx")
    with pytest.raises(HmdcError, match=re.escape(message)):
        load(tmp_path / "net.onnx")


# --- the cells that ONNX does not have

GATED = {"zeta": 1.0, "nu": -1.0}
FAST = {
    "fastrnn": ("fastrnn", {"alpha": -1.0, "beta": 1.5}),
    "fastrnn, relu": ("fastrnn", {"alpha": -2.0, "beta": 1.0, "activations": ("relu",)}),
    "fastgrnn": ("fastgrnn", GATED),
    "fastgrnn, hard": ("fastgrnn", {**GATED, "activations": ("hardsigmoid", "tanh"), "clip": 2.0}),
    "fastgrnn, odd": ("fastgrnn", {**GATED, "activations": ("softsign", "softplus"), "reverse": True}),
    "fastgrnn, odd candidate": ("fastgrnn", {**GATED, "activations": ("sigmoid", "leakyrelu(0.1)")}),
}


def fast(name: str, rank: int = 0) -> Model:
    """One cell behind a normalization of its inputs.  rank: of its matrices, which come with their factors."""
    op, attrs = FAST[name]
    rng = np.random.default_rng(len(name))
    draw = lambda *shape: rng.normal(size=shape) / np.sqrt(shape[-1])
    n = 2 * HIDDEN
    weights = {k: draw(n) for k in {"fastrnn": ("b",), "fastgrnn": ("bz", "bh")}[op]}
    for k, columns in (("w", INPUTS), ("u", n)):
        weights[k] = draw(n, columns)
        if rank:
            factors = left, right = draw(n, rank), draw(rank, columns)
            weights |= {k: left @ right} | {f"{k}.lowrank.{i}": f for i, f in enumerate(factors)}
    free = {"low": -np.inf, "high": np.inf}
    scale = Node("affine", "scale", ("x",), ("v",), free, {"scale": rng.uniform(0.5, 2, INPUTS), "bias": draw(INPUTS)})
    cell = Node(op, op, ("v", ""), ("y", "h"), {"hidden": n, "reverse": False, **attrs}, weights)
    return simplify(Model({"x": (STEPS, 1, INPUTS)}, [scale, cell], ["y"], path="net"))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("name", ["fastrnn", "fastgrnn"])
def test_fast_cells_are_those_of_the_paper(name):
    """arXiv 1901.02358, written down once more."""
    model = fast(name)
    (cell,) = model.nodes  # the normalization became part of it
    a, w = cell.attrs, cell.weights
    x = np.random.default_rng(0).normal(size=(3, *model.inputs["x"]))
    h = np.zeros((3, a["hidden"]))
    for t in range(STEPS):
        z = x[:, t, 0] @ w["w"].T + h @ w["u"].T + w["bw"]
        if name == "fastrnn":
            h = sigmoid(a["alpha"]) * np.tanh(z + w["b"]) + sigmoid(a["beta"]) * h
        else:
            g, n = sigmoid(z + w["bz"]), np.tanh(z + w["bh"])
            h = (sigmoid(a["zeta"]) * (1 - g) + sigmoid(a["nu"])) * n + g * h
        assert np.allclose(evaluate(model, {"x": x})["y"][:, t, 0, 0], h, rtol=0, atol=1e-12)


@pytest.mark.parametrize("precision, most", [("float32", 1e-6), ("int16", 0.02), ("int8", 0.04)])
@pytest.mark.parametrize("name", FAST)
def test_fast_cells_in_c(name, precision, most, tmp_path):
    model = fast(name)
    data = {"x": np.random.default_rng(1).normal(size=(24, *model.inputs["x"]))}
    np.savez(tmp_path / "data.npz", **data)
    build = hmdc.compile(model, tmp_path / "out", precision=precision, calibration=tmp_path / "data.npz")
    done = verify(build, Data({"x": data["x"][:4]}, None))
    assert done.differences == []
    want = evaluate(model, data)["y"]
    assert done.figures["rms_error"] <= most * np.sqrt(np.mean(want**2))


def test_factors_that_come_with_the_model_are_kept(tmp_path):
    model = fast("fastgrnn", rank=3)
    data = {"x": np.random.default_rng(1).normal(size=(24, *model.inputs["x"]))}
    np.savez(tmp_path / "data.npz", **data)
    make = lambda *recipes: hmdc.compile(
        model, tmp_path / "out", precision="float32", calibration=tmp_path / "data.npz", compress=recipes
    )
    build = make()
    assert build.report["layers"][0]["structure"] == "lowrank"
    stored = [a for call in build.program.calls() for a in call.weights()]
    factors = [a for k, a in model.nodes[0].weights.items() if ".lowrank." in k]
    assert all(any(f.shape == a.shape and (f == a).all() for a in stored) for f in factors)
    assert verify(hmdc.load(build.path), Data({"x": data["x"][:4]}, None)).differences == []
    structures = lambda build: [m["structure"] for m in build.report["layers"][0]["matrices"]]
    assert structures(make("*.w=dense")) == ["dense", "lowrank"]  # a recipe says else
    assert structures(make("kronecker(ratio=2)")) == ["kronecker"]
