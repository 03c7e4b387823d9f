"""Keras models -> layers: a row of them, Sequential or Functional without branches."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...errors import HmdcError
from ...model import Model
from .assemble import Direction, Layer, Row, assemble, embedding, table
from .families import layer_norm
from .hdf5 import layers_of, read_keras
from .tensors import whole
from .windows import Window, convolution, pool

GATES = {"LSTM": ("lstm", 4), "GRU": ("gru", 3), "SimpleRNN": ("rnn", 1)}
FUNCTIONS = ("relu", "sigmoid", "tanh", "softmax")
NOTHING = ("InputLayer", "Dropout", "SpatialDropout1D", "GaussianNoise", "ActivityRegularization")
EXPORT = "export the model as ONNX with tf2onnx"


def load_keras(path: Path, steps: int | None, input_shapes: dict, architecture: Path | None) -> Model:
    """See frontends.load."""
    if input_shapes or architecture is not None:
        raise HmdcError(f"--input-shape and --architecture are for other files; {path.name} tells all but --steps N")
    config, arrays = read_keras(path, blob := whole(path))
    if config["class_name"] not in ("Sequential", "Functional", "Model"):
        raise HmdcError(f"{path} is a {config['class_name']}; a Sequential or Functional model is read: {EXPORT}")
    layers, made = layers_of(config), []
    for before, layer in zip([None, *layers], layers):
        _check_chain(layer, before)
        made += _layers(layer["class_name"], layer["config"], arrays[layer["config"]["name"]])
    declared, size = _input(path, layers[0], bool(made and made[0].tokens))
    if declared is not None and steps not in (None, declared):
        raise HmdcError(f"--steps {steps} contradicts the model, whose input has {declared} steps")
    if (steps := declared or steps) is None:
        raise HmdcError(f"{path} does not tell how many time steps a sequence has: --steps N")
    model = assemble(made, steps, size)
    return replace(model, sha256=hashlib.sha256(blob).hexdigest(), path=path.name, found=table(made, size))


def _input(path: Path, layer: dict, tokens: bool) -> tuple[int | None, int | None]:
    """Steps and values per step; None for tokens."""
    config = layer["config"]
    shape = config.get("batch_shape", config.get("batch_input_shape"))
    if tokens and isinstance(shape, list) and len(shape) == 2:
        return shape[1], None
    if not isinstance(shape, list) or len(shape) != 3 or not isinstance(shape[2], int):
        raise HmdcError(f"{path}: the input has shape {shape}; (batch, steps, values) is read: {EXPORT}")
    return shape[1], shape[2]


def _check_chain(layer: dict, before: dict | None) -> None:
    """A Functional model tells what each layer reads: the one before it, here."""
    nodes = layer.get("inbound_nodes") or []
    sources = json.dumps(nodes)
    name = before and json.dumps(before["config"]["name"])
    histories = sources.count("keras_history") or len(nodes)
    if nodes and (len(nodes) > 1 or histories != 1 or (name and name not in sources)):
        raise HmdcError(f"layer {layer['config']['name']!r} reads something else than the layer before it: {EXPORT}")


def _layers(kind: str, config: dict, arrays: list[np.ndarray]) -> list[Layer]:
    if kind in NOTHING:
        return []
    if kind == "TimeDistributed" and config["layer"]["class_name"] == "Dense":
        kind, config = "Dense", config["layer"]["config"]
    if kind not in LAYERS:
        raise HmdcError(f"layer {config['name']!r} is a {kind}; known are {', '.join(LAYERS)}: {EXPORT}")
    return LAYERS[kind](config, arrays)


def _take(config: dict, arrays: list[np.ndarray], *shapes: tuple[int | None, ...]) -> list[np.ndarray]:
    """The arrays, which have these shapes; None: any size."""
    fits = lambda a, shape: a.ndim == len(shape) and all(w in (None, n) for w, n in zip(shape, a.shape))
    if len(arrays) != len(shapes) or not all(map(fits, arrays, shapes)):
        raise HmdcError(f"layer {config['name']!r} has weights {[list(a.shape) for a in arrays]} where {list(shapes)} "
                        "fit; save the model again")  # fmt: skip
    return arrays


def _function(config: dict, name: object) -> list[Layer]:
    if name == "linear":
        return []
    if name not in FUNCTIONS:
        raise HmdcError(f"layer {config['name']!r} has the activation {name!r}; known are linear, "
                        f"{', '.join(FUNCTIONS)}: {EXPORT}")  # fmt: skip
    return [Layer(name, "", None, None, lambda row: row.activation(name))]


def _dense(config: dict, arrays: list[np.ndarray]) -> list[Layer]:
    n = config["units"]
    w, *bias = _take(config, arrays, *([(None, n), (n,)] if config["use_bias"] else [(None, n)]))
    emit = lambda row: row.dense(w.T.copy(), bias[0] if bias else None)
    return [Layer("dense", config["name"], len(w), n, emit), *_function(config, config["activation"])]


def _embedding(config: dict, arrays: list[np.ndarray]) -> list[Layer]:
    if config.get("mask_zero"):
        raise HmdcError(f"layer {config['name']!r} masks its token 0, which later layers would skip: {EXPORT}")
    (rows,) = _take(config, arrays, (config["input_dim"], config["output_dim"]))
    return [embedding(config["name"], rows)]


def _convolution(config: dict, arrays: list[np.ndarray]) -> list[Layer]:
    n, (taps,), groups = config["filters"], config["kernel_size"], config.get("groups", 1)
    w, *bias = _take(config, arrays, *([(taps, None, n), (n,)] if config["use_bias"] else [(taps, None, n)]))
    window = _window(config, taps, config["dilation_rate"][0])
    layer = convolution("conv1d", config["name"], w.transpose(2, 1, 0), bias[0] if bias else None, window, groups)
    return [layer, *_function(config, config["activation"])]


def _pool(kind: str) -> Callable:
    def make(config: dict, _) -> list[Layer]:
        if kind == "avgpool" and config["padding"] != "valid":
            raise HmdcError(f"layer {config['name']!r} has padding {config['padding']!r}, which its means leave out; "
                            f"valid is read: {EXPORT}")  # fmt: skip
        return [pool(kind, _window(config, config["pool_size"][0], 1))]

    return make


def _window(config: dict, size: int, dilation: int) -> Window:
    padding = config["padding"]
    if padding not in ("valid", "same", "causal") or config.get("data_format", "channels_last") != "channels_last":
        raise HmdcError(f"layer {config['name']!r} has padding {padding!r} and {config.get('data_format')!r}; valid, "
                        f"same or causal and channels_last are read: {EXPORT}")  # fmt: skip
    return Window((size,), tuple(config["strides"]), (dilation,), (0,) if padding == "valid" else padding)


def _norm(config: dict, arrays: list[np.ndarray]) -> list[Layer]:
    if not arrays or config["axis"] not in (-1, 2, [-1], [2]):
        raise HmdcError(f"layer {config['name']!r} normalizes along axis {config['axis']}; -1 is read: {EXPORT}")
    n, arrays = len(arrays[0]), list(arrays)
    _take(config, arrays, *[(n,)] * (2 + config["scale"] + config["center"]))
    gamma = arrays.pop(0) if config["scale"] else np.ones(n)
    beta = arrays.pop(0) if config["center"] else np.zeros(n)
    mean, var = arrays
    scale = gamma / np.sqrt(var + config["epsilon"])
    return [Layer("batchnorm", config["name"], n, n, lambda row: row.affine(scale, beta - mean * scale))]


def _layer_norm(config: dict, arrays: list[np.ndarray]) -> list[Layer]:
    if not arrays or config["axis"] not in (-1, 2, [-1], [2]) or config.get("rms_scaling"):
        raise HmdcError(f"layer {config['name']!r} normalizes along axis {config['axis']}; -1, with scale or center, "
                        f"without rms_scaling, is read: {EXPORT}")  # fmt: skip
    n, arrays = len(arrays[0]), list(arrays)
    _take(config, arrays, *[(n,)] * (config["scale"] + config["center"]))
    gamma = arrays.pop(0) if config["scale"] else np.ones(n)
    return [layer_norm(config["name"], gamma, arrays[0] if config["center"] else None, config["epsilon"])]


def _recurrent(kind: str) -> Callable:
    return lambda config, arrays: _stack(kind, config, [(config, config.get("go_backwards", False), arrays)])


def _both(config: dict, arrays: list[np.ndarray]) -> list[Layer]:
    kind, inner = config["layer"]["class_name"], config["layer"]["config"]
    if kind not in GATES or config.get("merge_mode") != "concat" or inner.get("go_backwards"):
        raise HmdcError(f"layer {config['name']!r} joins directions of {kind} by {config.get('merge_mode')!r}; "
                        f"concat of {', '.join(GATES)} is read: {EXPORT}")  # fmt: skip
    half = len(arrays) // 2
    return _stack(kind, config, [(inner, False, arrays[:half]), (inner, True, arrays[half:])])


def _stack(kind: str, config: dict, parts: list[tuple[dict, bool, list[np.ndarray]]]) -> list[Layer]:
    """One recurrent layer; parts: configuration, backward or not, and arrays of each direction."""
    inner, backward, _ = parts[0]
    if backward and inner["return_sequences"]:
        raise HmdcError(f"layer {config['name']!r} gives its steps backward: use Bidirectional, or {EXPORT}")
    if inner.get("stateful") or inner.get("return_state"):
        raise HmdcError(f"layer {config['name']!r} is stateful or returns its state: {EXPORT}")
    op, _ = GATES[kind]
    directions = [_direction(kind, c | {"name": config["name"]}, reverse, arrays) for c, reverse, arrays in parts]
    size = directions[0].weights["w"].shape[1]
    note = "bidirectional" * (len(parts) > 1)
    units = sum(d.size for d in directions)
    end = [] if inner["return_sequences"] else [Layer("final", "", None, None, Row.final_states)]
    return [Layer(op, config["name"], size, units, lambda row: row.recurrent(op, directions), note), *end]


def _direction(kind: str, config: dict, reverse: bool, arrays: list[np.ndarray]) -> Direction:
    """Keras' order of gates is ours: i, f, c, o and z, r, h.  Matrices are [in, gates]."""
    n, (_, gates) = config["units"], GATES[kind]
    attrs = {"hidden": n} | _choices(kind, config)
    two = attrs.get("linear_before_reset", False)
    bias = [(2, gates * n) if two else (gates * n,)] if config["use_bias"] else []
    w, u, *b = _take(config, arrays, (None, gates * n), (n, gates * n), *bias)
    none = np.zeros(gates * n)
    bw, bu = b[0] if b and two else (b[0], none) if b else (none, none)
    return Direction(reverse, {"w": w.T.copy(), "u": u.T.copy(), "bw": bw, "bu": bu}, attrs)


def _choices(kind: str, config: dict) -> dict:
    """Attributes of the node."""
    inner, gate = config["activation"], config.get("recurrent_activation", "sigmoid")
    if inner not in (("tanh", "relu") if kind == "SimpleRNN" else ("tanh",)) or gate != "sigmoid":
        raise HmdcError(f"layer {config['name']!r} has the activations {inner!r} and {gate!r}: {EXPORT}")
    if kind == "GRU":
        return {"linear_before_reset": bool(config.get("reset_after", False))}
    return {"activation": inner} if kind == "SimpleRNN" else {}


LAYERS: dict[str, Callable[[dict, list[np.ndarray]], list[Layer]]] = {
    **{kind: _recurrent(kind) for kind in GATES},
    "Bidirectional": _both,
    "Dense": _dense,
    "BatchNormalization": _norm,
    "LayerNormalization": _layer_norm,
    "Activation": lambda config, _: _function(config, config["activation"]),
    "ReLU": lambda config, _: _function(config, "relu"),
    "Softmax": lambda config, _: _function(config, "softmax"),
    "Conv1D": _convolution,
    "MaxPooling1D": _pool("maxpool"),
    "AveragePooling1D": _pool("avgpool"),
    "Embedding": _embedding,
    "GlobalMaxPooling1D": lambda config, _: [Layer("max", "", None, None, Row.maximum)],
    "GlobalAveragePooling1D": lambda config, _: [Layer("mean", "", None, None, Row.mean)],
}
