"""Recurrent networks with random weights of the size that training leaves, and inputs to calibrate them.

Speed does not depend on the values, so nothing has to be trained; the same seed gives the same network everywhere.
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
