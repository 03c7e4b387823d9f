"""Recurrent networks with random weights of the size that training leaves, and inputs to calibrate them.

Speed does not depend on the values, so nothing has to be trained; the same seed gives the same network everywhere.
bilstm and deep_conv_lstm are the two activity recognition networks of the papers on HMD and KP.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
STEPS, SAMPLES = 20, 40


def recurrent(cell: str, inputs: int, hidden: int, seed: int = 0) -> tuple[onnx.ModelProto, np.ndarray]:
    """One layer whose last hidden state is the output, and samples [SAMPLES, STEPS, 1, inputs].

    cell: lstm, gru (linear_before_reset, as PyTorch has it) or rnn.  Weights as PyTorch initializes them.
    """
    rng, rows = np.random.default_rng(seed), GATES[cell] * hidden
    bound = 1 / np.sqrt(hidden)
    shapes = {"w": (1, rows, inputs), "r": (1, rows, hidden), "b": (1, 2 * rows)}
    weights = {name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()}
    more = {"linear_before_reset": 1} if cell == "gru" else {}
    node = helper.make_node(cell.upper(), ["x", *weights], ["", "y"], name=cell, hidden_size=hidden, **more)
    graph = helper.make_graph(
        [node], cell,
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (STEPS, 1, inputs))],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (1, 1, hidden))],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    return model, rng.normal(size=(SAMPLES, STEPS, 1, inputs)).astype(np.float32)


def fastgrnn(inputs: int, hidden: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A state dict of a dense FastGRNN with EdgeML's names."""
    rng, bound = np.random.default_rng(seed), 1 / np.sqrt(hidden)
    shapes = {"W": (hidden, inputs), "U": (hidden, hidden), "bias_gate": (1, hidden), "bias_update": (1, hidden)}
    weights = {name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()}
    return weights | {"zeta": np.float32([[1.0]]), "nu": np.float32([[-4.0]])}


class Graph:
    """An ONNX graph under construction: weights as PyTorch initializes them, uniform within +-1 / sqrt(fan in)."""

    def __init__(self, seed: int):
        self.rng, self.nodes, self.weights = np.random.default_rng(seed), [], []

    def add(self, op: str, *inputs: str, outputs: int = 1, **attrs) -> str:
        """The last of the outputs; those before it are not used."""
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [""] * (outputs - 1) + [name], name=name, **attrs))
        return name

    def constant(self, values) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(values), f"w{len(self.weights)}"))
        return self.weights[-1].name

    def uniform(self, fan_in: int, *shape: int) -> str:
        return self.constant(self.rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(np.sqrt(fan_in)))

    def lstm(self, x: str, inputs: int, hidden: int, directions: int = 1, final: bool = False) -> str:
        """[steps, 1, inputs] -> [steps, directions, 1, hidden], or the final states [directions, 1, hidden]."""
        rows, more = 4 * hidden, {"direction": "bidirectional"} if directions == 2 else {}
        shapes = (rows, inputs), (rows, hidden), (2 * rows,)
        weights = [self.uniform(hidden, directions, *shape) for shape in shapes]
        return self.add("LSTM", x, *weights, outputs=1 + final, hidden_size=hidden, **more)

    def classify(self, h: str, inputs: int, classes: int) -> None:
        """h: `inputs` values in all."""
        flat = self.add("Reshape", h, self.constant([1, inputs]))
        z = self.add("Gemm", flat, self.uniform(inputs, inputs, classes), self.uniform(inputs, classes))
        self.nodes.append(helper.make_node("Softmax", [z], ["y"], name="softmax"))

    def model(self, shape: tuple[int, ...], classes: int) -> onnx.ModelProto:
        """x [shape] -> y [1, classes]"""
        float32, info = onnx.TensorProto.FLOAT, helper.make_tensor_value_info
        ports = [info("x", float32, shape)], [info("y", float32, (1, classes))]
        graph = helper.make_graph(self.nodes, "net", *ports, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


def bilstm(steps=81, inputs=77, hidden=179, classes=18, seed=0) -> tuple[onnx.ModelProto, np.ndarray]:
    """HAR1: a bidirectional LSTM whose two final states are classified; samples [SAMPLES, steps, 1, inputs]."""
    g = Graph(seed)
    g.classify(g.lstm("x", inputs, hidden, 2, final=True), 2 * hidden, classes)
    return g.model((steps, 1, inputs), classes), signals(steps, inputs, seed)[:, :, None]


def deep_conv_lstm(steps=24, sensors=113, filters=64, hidden=128, classes=18,
                   seed=0) -> tuple[onnx.ModelProto, np.ndarray]:  # fmt: skip
    """HAR2, DeepConvLSTM: four convolutions 5x1 over time, each sensor by itself, two LSTMs, the last state
    classified; samples [SAMPLES, 1, 1, steps, sensors]."""
    g, x, channels = Graph(seed), "x", 1
    for _ in range(4):
        x = g.add("Conv", x, g.uniform(5 * channels, filters, channels, 5, 1), g.uniform(5 * channels, filters))
        x, channels = g.add("Relu", x), filters
    x = g.add("Reshape", g.add("Transpose", x, perm=[2, 0, 1, 3]), g.constant([steps - 16, 1, filters * sensors]))
    x = g.add("Squeeze", g.lstm(x, filters * sensors, hidden), g.constant([1]))
    g.classify(g.lstm(x, hidden, hidden, final=True), hidden, classes)
    return g.model((1, 1, steps, sensors), classes), signals(steps, sensors, seed)[:, None, None]


def signals(steps: int, sensors: int, seed: int) -> np.ndarray:
    """Movements with some noise: [SAMPLES, steps, sensors]."""
    rng = np.random.default_rng(seed)
    draw = lambda low, high: rng.uniform(low, high, (SAMPLES, 1, sensors))
    waves = draw(0.2, 1.5) * np.sin(draw(0.1, 1.5) * np.arange(steps)[:, None] + draw(0, 2 * np.pi))
    return (waves + rng.normal(0, 0.1, waves.shape)).astype(np.float32)


def save(folder: Path, cell: str, inputs: int, hidden: int, seed: int = 0) -> tuple[Path, Path]:
    """Writes the network and its calibration data; returns both paths.  cell: as in `recurrent`, or fastgrnn."""
    if cell == "fastgrnn":
        paths = folder / f"{cell}_{inputs}_{hidden}_weights.npz", folder / f"{cell}_{inputs}_{hidden}.npz"
        np.savez(paths[0], **fastgrnn(inputs, hidden, seed))
        np.savez(paths[1], x=np.random.default_rng(seed).normal(size=(SAMPLES, STEPS, inputs)).astype(np.float32))
        return paths
    model, samples = recurrent(cell, inputs, hidden, seed)
    paths = folder / f"{cell}_{inputs}_{hidden}.onnx", folder / f"{cell}_{inputs}_{hidden}.npz"
    onnx.save(model, paths[0])
    np.savez(paths[1], x=samples)
    return paths
