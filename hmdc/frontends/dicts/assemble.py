"""Layers in a row -> Model, with the same nodes that the ONNX frontend makes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import HmdcError
from ...model import Model, Node
from ..onnx.bind import MAX_STEPS


@dataclass(frozen=True)
class Layer:
    """One layer as it was found or written down.

    type, weights: as in the architecture file.  inputs, outputs: values per step, None where it takes any.
    emit: writes its nodes.  note: what the table of `hmdc inspect` says about it.  tokens: it reads one a step,
    below this number.  choices: what the architecture file has to tell about it.
    """

    type: str
    weights: str
    inputs: int | None
    outputs: int | None
    emit: Callable[["Row"], None]
    note: str = ""
    tokens: int | None = None
    choices: str = ""

    @property
    def recurrent(self) -> bool:
        return self.type in RECURRENT

    def __str__(self) -> str:
        return f"{self.type} {self.weights!r}" if self.weights else self.type


TINY = float(np.finfo(np.float32).tiny)
RECURRENT = ("lstm", "gru", "rnn", "fastgrnn", "fastrnn")
OF_IMAGES = ("conv2d", "batchnorm", "maxpool", "avgpool", "relu", "sigmoid", "tanh")  # they leave images what they are


@dataclass(frozen=True)
class Direction:
    """One cell run over time; weights and attrs as its node takes them.  project: matrix that its h goes through."""

    reverse: bool
    weights: dict[str, np.ndarray]
    attrs: dict
    project: np.ndarray | None = None

    @property
    def size(self) -> int:
        return self.attrs["hidden"] if self.project is None else len(self.project)


class Row:
    """Nodes under construction.

    value: the newest, [steps, 1, size], or [1, size] once steps are no more; an image is [1, steps, values, channels].
    """

    def __init__(self, steps: int, size: int | None):
        """size: None for tokens."""
        self.nodes: list[Node] = []
        self.value, self.shape = "x", (steps,) if size is None else (steps, size)
        self.final = ""  # the last states h of the newest layer, if that is recurrent, as [1, size]
        self.source = ""
        if size is not None:
            self.reshape(steps, 1, size)

    def fresh(self) -> str:
        return f"#{len(self.nodes) + 1}"

    def add(self, op: str, name: str, shape: tuple[int, ...], /, weights=None, inputs=None, **attrs) -> None:
        """A node that makes the newest value."""
        value = self.fresh()
        inputs = (self.value,) if inputs is None else tuple(inputs)
        self.nodes.append(Node(op, name, inputs, (value,), attrs, weights or {}, self.source))
        self.value, self.shape, self.final = value, tuple(shape), ""

    def reshape(self, *shape: int) -> None:
        self.add("reshape", "reshape", shape, shape=shape)

    def dense(self, w: np.ndarray, bias: np.ndarray | None, name: str = "fc", factors=None) -> None:
        weights = {"w": w} | ({} if bias is None else {"b": bias}) | (factors or {})
        shape, axis = (*self.shape[:-1], len(w)), len(self.shape) - 1
        self.add("dense", name, shape, weights, axis=axis, low=-np.inf, high=np.inf)

    def affine(self, scale: np.ndarray, bias: np.ndarray) -> None:
        self.add("affine", "scale", self.shape, {"scale": scale, "bias": bias}, low=-np.inf, high=np.inf)

    def normalize(self, epsilon: float) -> None:
        """The values of a step, without their mean, by their deviation."""
        axis = len(self.shape) - 1
        self.add("normalize", "norm", self.shape, axis=axis, centered=True, epsilon=epsilon, floor=TINY, gain=1.0)

    def embedding(self, rows: np.ndarray) -> None:
        """rows: one for each token."""
        if len(self.shape) > 1:
            raise HmdcError(f"{self.source} reads tokens; it comes first")
        steps, size = self.shape[0], rows.shape[1]
        self.add("lookup", "embedding", (steps, size), {"table": rows})
        self.reshape(steps, 1, size)

    def image(self) -> None:
        """A sequence is an image of one channel."""
        if len(self.shape) != 4:
            self.reshape(1, self.steps(), self.shape[-1], 1)

    def sequence(self) -> None:
        """Channels of an image are side by side, values of one channel next to each other: permute(0, 2, 1, 3)
        .flatten(2) in PyTorch."""
        if len(self.shape) == 4:
            _, steps, values, channels = self.shape
            self.add("transpose", "transpose", (1, steps, channels, values), perm=(0, 1, 3, 2))
            self.reshape(steps, 1, channels * values)

    def activation(self, function: str) -> None:
        if function == "softmax":
            self.add("softmax", "softmax", self.shape, axis=len(self.shape) - 1)
        else:
            self.add("activation", function, self.shape, function=function)

    def recurrent(self, op: str, directions: Sequence[Direction]) -> None:
        """All directions read the newest value; their h stand side by side."""
        x, steps, twin, every, last = self.value, self.steps(), self.fresh(), [], []
        for d in directions:
            n, y = d.attrs["hidden"], self.fresh()
            finals = [f"{y}.h"] + [f"{y}.c"] * (op == "lstm")
            attrs = d.attrs | {"reverse": d.reverse, "twin": twin}
            name = op + ("_reverse" if d.reverse else "")
            self.nodes.append(Node(op, name, (x,), (y, *finals), attrs, d.weights, self.source))
            every.append(self._projected(d, y, (steps, 1, 1, n)))
            last.append(self._projected(d, finals[0], (1, 1, n)))
        sizes, width = len(directions), sum(d.size for d in directions)
        final = self._side_by_side(last, 0, (sizes, 1, d.size), (1, width))
        self._side_by_side(every, 1, (steps, sizes, 1, d.size), (steps, 1, width))
        self.final = final

    def _projected(self, d: Direction, value: str, shape: tuple[int, ...]) -> str:
        self.value, self.shape = value, shape
        if d.project is not None:
            self.dense(d.project, None, "project")
        return self.value

    def _side_by_side(self, values: list[str], axis: int, joined: tuple[int, ...], shape: tuple[int, ...]) -> str:
        self.value = values[0]
        if len(values) > 1:
            self.add("concat", "concat", joined, inputs=values, axis=axis)
        self.reshape(*shape)
        return self.value

    def steps(self) -> int:
        if len(self.shape) < 3:
            raise HmdcError(f"{self.source} needs every time step, but last, final or mean comes before it; "
                            "put it after the last recurrent layer")  # fmt: skip
        return self.shape[0]

    def last(self) -> None:
        steps, _, size = self.steps(), *self.shape[1:]
        self.add("slice", "slice", (1, 1, size), axis=0, start=steps - 1, stop=steps, step=1)
        self.reshape(1, size)

    def mean(self) -> None:
        self.steps()
        self.add("mean", "mean", (1, 1, self.shape[2]), axis=0, keep=True, over_time=0)
        self.reshape(1, self.shape[2])

    def maximum(self) -> None:
        self.add("pool", "maxpool", (1, 1, self.shape[2]), axis=0, kind="max", size=self.steps(), stride=1, dilation=1,
                 pads=(0, 0))  # fmt: skip
        self.reshape(1, self.shape[2])

    def final_states(self) -> None:
        if not self.final:
            raise HmdcError("final comes right after a recurrent layer; after others it is last or mean")
        self.value, self.shape = self.final, (1, self.shape[-1])


def embedding(name: str, rows: np.ndarray) -> Layer:
    """rows: one for each token."""
    emit = lambda row: row.embedding(rows)
    return Layer("embedding", name, None, rows.shape[1], emit, f"{len(rows)} tokens", len(rows))


def assemble(layers: Sequence[Layer], steps: int, size: int | None) -> Model:
    """The network x [steps, size] -> y; size: None for x [steps], tokens.

    Raises HmdcError where a layer does not fit the one before it.
    """
    if not 0 < steps <= MAX_STEPS:
        raise HmdcError(f"--steps {steps}: 1 to {MAX_STEPS} are compiled")
    row = Row(steps, size)
    for layer in layers:
        if layer.type not in OF_IMAGES:
            row.sequence()
        if layer.inputs not in (None, row.shape[-1]):
            raise HmdcError(f"{layer} takes {layer.inputs} values but gets {row.shape[-1]}; "
                            "say the order of the layers with --architecture")  # fmt: skip
        row.source = str(layer)
        layer.emit(row)
    row.sequence()
    if len(row.shape) == 3:
        row.reshape(row.shape[0], row.shape[2])
    *before, end = row.nodes
    outputs = tuple("y" if v == row.value else v for v in end.outputs)
    if "y" not in outputs:  # final states: the newest node is not the one that made them
        row.reshape(*row.shape)
        *before, end = row.nodes
        outputs = ("y",)
    end = Node(end.op, end.name, end.inputs, outputs, end.attrs, end.weights, end.source)
    tokens = {} if size is not None else {"x": (0, layers[0].tokens - 1)}
    return Model({"x": (steps,) if tokens else (steps, size)}, [*before, end], ["y"], integers=tokens)


def table(layers: list[Layer], size: int | None) -> list[dict]:
    """For people: what was found."""
    rows, size = [], size or 1
    for layer in layers:
        out = layer.outputs or size
        rows.append({"layer": layer.type, "weights": layer.weights or "-", "input": size, "output": out,
                     "found": layer.note or "-"})  # fmt: skip
        size = out
    return rows
