"""The networks that are trained: those of the papers on HMD, Kronecker products and FastRNN, with random weights."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

from benchmarks.networks import bilstm, deep_conv_lstm
from hmdc import frontends
from hmdc.cells import CELLS
from hmdc.model import Model, Node
from hmdc.reference import shapes

from .data import SETS, Splits

LABELS = {"epochs": 50, "patience": 15, "batch": 64, "rate": 4e-3, "mix": 0.0}  # from scratch, with labels alone
DISTILLED = {"batch": 64, "epochs": 60, "mix": 0.0}  # the rest as hmdc compress has it
LONGER = {"patience": 100, "mix": 0.5}  # the rest as DISTILLED, but for the epochs
FEW_EPOCHS = {"labels": LABELS | {"epochs": 20}, "distilled": DISTILLED | {"epochs": 20}}  # of windows that overlap
# At higher rates the outputs of the convolutions grow, beyond what int8 can hold.
SLOW = {k: o | {"rate": 1e-3} for k, o in FEW_EPOCHS.items()}
VIDEO = {"epochs": 3, "batch": 32, "rate": 1e-2}  # minutes on one thread
FEW_DIGITS = {"labels": LABELS | {"epochs": 200, "patience": 60, "batch": 32, "rate": 2e-2},
              "distilled": DISTILLED | {"epochs": 150, "batch": 32}}  # fmt: skip
FAST = {"alpha": -3.0, "beta": 3.0}  # before the sigmoid, as EdgeML starts: mostly the earlier state
HALVES = {"linear_before_reset": False}  # the candidate reads [x; r h]: one joined matrix for each gate


@dataclass(frozen=True)
class Network:
    """hidden: units of each recurrent layer.  build: (steps, channels, hidden, classes, seed) -> model.

    labels, distilled: of hmdc.torch.distill.Options, for the dense network and for all that are made of it.  longer:
    times the epochs of the methods that train longer, 0 where ten minutes do not allow it.  streamed: its data are made
    as they are needed, and nothing is made of the dense network; see video.py.
    """

    title: str
    splits: Callable[[], Splits]
    hidden: int
    build: Callable[[int, int, int, int, int], Model]
    labels: dict = field(default_factory=LABELS.copy)
    distilled: dict = field(default_factory=DISTILLED.copy)
    longer: int = 4
    streamed: bool = False

    def model(self, data: Splits, seed: int, hidden: int | None = None) -> Model:
        _, steps, channels = data.train.x.shape
        return self.build(steps, channels, hidden or self.hidden, len(data.classes), seed)


def one_layer(op: str, **attrs) -> Callable[[int, int, int, int, int], Model]:
    """A layer of that cell, whose last hidden state is classified.  Weights as PyTorch initializes them."""

    def build(steps: int, channels: int, hidden: int, classes: int, seed: int) -> Model:
        rng, cell = np.random.default_rng(seed), CELLS[op]
        uniform = lambda *shape: rng.uniform(-1, 1, shape) / np.sqrt(hidden)
        rows = len(cell.gates) * hidden
        weights = {"w": uniform(rows, channels), "u": uniform(rows, hidden)}
        weights |= {k: uniform(rows) for k in (("b",) if op == "fastrnn" else ("bw", "bu"))}
        states = tuple(f"{s}_n" for s in cell.states)
        last = {"axis": 0, "start": steps - 1, "stop": steps, "step": 1}
        nodes = [
            Node(op, op, ("x", *[""] * len(states)), ("hs", *states), {"hidden": hidden, "reverse": False} | attrs,
                 weights),
            Node("slice", "last", ("hs",), ("h",), last),
            Node("reshape", "flat", ("h",), ("features",), {"shape": (1, hidden)}),
            Node("dense", "fc", ("features",), ("y",), {"axis": 1, "low": -np.inf, "high": np.inf},
                 {"w": uniform(classes, hidden), "b": uniform(classes)}),
        ]  # fmt: skip
        model = Model({"x": (steps, 1, channels)}, nodes, ["y"], steps=steps)
        model.shapes = shapes(model)
        return model

    return build


def from_onnx(make: Callable, **sizes) -> Callable[[int, int, int, int, int], Model]:
    """make: of benchmarks/networks.py."""

    def build(steps: int, channels: int, hidden: int, classes: int, seed: int) -> Model:
        proto, _ = make(steps, channels, hidden=hidden, classes=classes, seed=seed, **sizes)
        with tempfile.TemporaryDirectory(prefix="hmdc-accuracy-") as folder:
            onnx.save(proto, Path(folder) / "net.onnx")
            return frontends.load(Path(folder) / "net.onnx")

    return build


NETWORKS: dict[str, Network] = {
    "mnist_lstm": Network("MNIST-LSTM", SETS["mnist"], 40, one_layer("lstm")),
    "keywords_lstm": Network("KWS-LSTM", SETS["keywords_lstm"], 118, one_layer("lstm")),
    "keywords_gru": Network("KWS-GRU", SETS["keywords_gru"], 154, one_layer("gru", **HALVES)),
    "har1": Network("HAR1-BiLSTM", SETS["exercises"], 179, from_onnx(bilstm), **FEW_EPOCHS, longer=0),
    "har2": Network("HAR2-DeepConvLSTM", SETS["exercises"], 128, from_onnx(deep_conv_lstm), **SLOW, longer=0),
    "usps_fastrnn": Network("FastRNN, 16x16", SETS["digits16"], 32, one_layer("fastrnn", **FAST),
                            LABELS | {"rate": 1e-2}),
    "digits_fastrnn": Network("FastRNN, 8x8", SETS["digits8"], 32, one_layer("fastrnn", **FAST), **FEW_DIGITS),
    "spoken_gru": Network("Spoken digits GRU", SETS["spoken"], 48, one_layer("gru", **HALVES)),
    "moving_lstm": Network("Moving digits LSTM", SETS["mnist"], 256, one_layer("lstm"),
                           VIDEO | {"epochs": 1, "rate": 1e-3}, VIDEO, longer=0, streamed=True),
}  # fmt: skip
