"""Names and shapes of tensors -> layers: one function for each family of names."""

import re
from dataclasses import replace

import numpy as np

from ...errors import HmdcError
from ...linear import STRUCTURES
from . import windows
from .assemble import Direction, Layer, Row, embedding
from .edgeml import edgeml, with_scalars
from .groups import Group, unknown
from .windows import POOLS, Window, convolution, told_pool

CELLS = {4: "lstm", 3: "gru", 1: "rnn"}  # rows of the weights per hidden unit -> cell
TORCH = re.compile(r"(?:weight|bias)_(?:ih|hh|hr)(?:_l(\d{1,3}))?(_reverse)?")


def recognize(g: Group, options: dict) -> Layer:
    """The layer that a group of tensors is.  options: of its table in the architecture file.  Raises HmdcError."""
    for leaves, family in FAMILIES:
        if any(leaf in g.tensors for leaf in leaves):
            layer = family(g, options)
            g.done()
            return layer
    raise unknown(g.full(leaf := next(iter(g.tensors))), g.tensors[leaf])


def _torch_recurrent(g: Group, options: dict) -> Layer:
    """nn.LSTM, nn.GRU, nn.RNN and their Cells: weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, ..._reverse."""
    found = [m for m in map(TORCH.fullmatch, g.tensors) if m]
    stack = 1 + max(int(m[1] or 0) for m in found)
    ways = ("", "_reverse") if any(m[2] for m in found) else ("",)
    kinds, layers = set(), []
    for k in range(stack):
        number = f"_l{k}" if any(m[1] for m in found) else ""
        cells = [_torch_cell(g, number + way) for way in ways]
        kinds |= {kind for kind, _, _ in cells}
        layers.append([Direction(bool(i), w, attrs, w.pop("project", None)) for i, (_, w, attrs) in enumerate(cells)])
    if len(kinds) > 1:
        raise HmdcError(f"{g.prefix or 'the network'} has the shapes of {' and '.join(sorted(kinds))}; save it again")
    (kind,) = kinds
    note = [f"{stack} layers"] * (stack > 1) + ["bidirectional"] * len(ways[1:])
    note += [text for d in layers[0][:1] if (text := _structures(d.weights))]
    if (d := layers[0][0]).project is not None:
        note.append(f"projected from {d.attrs['hidden']}")
    if kind == "rnn":
        note.append(f"activation {options.get('activation', 'tanh (assumed)')}")
        for d in (d for directions in layers for d in directions):
            d.attrs["activation"] = options.get("activation", "tanh")
    sizes = [sum(d.size for d in directions) for directions in layers]
    for size, directions in zip(sizes, layers[1:]):
        if any(d.weights["w"].shape[1] != size for d in directions):
            raise HmdcError(f"{g.prefix or 'the network'}: its layers do not fit one another; save it again")
    inputs = {d.weights["w"].shape[1] for d in layers[0]}
    if len(inputs) > 1:
        raise HmdcError(f"{g.prefix or 'the network'}: its directions read {sorted(inputs)} values; save it again")
    emit = lambda row: [row.recurrent(kind, directions) for directions in layers]
    return Layer(kind, g.prefix, inputs.pop(), sizes[-1], emit, ", ".join(note))


def _torch_cell(g: Group, end: str) -> tuple[str, dict, dict]:
    """Cell, weights in canonical order, attributes.  end: of the names."""
    u = g.get(f"weight_hh{end}", None, None)
    project = g.optional(f"weight_hr{end}", u.shape[1], None)
    n = u.shape[1] if project is None else project.shape[1]
    kind = CELLS.get(len(u) // n) if len(u) % n == 0 else None
    if kind is None or (project is not None and kind != "lstm"):
        raise HmdcError(f"tensor {g.full(f'weight_hh{end}')!r} has shape {list(u.shape)}; an LSTM has 4 rows per "
                        "hidden unit, a GRU 3, an RNN 1")  # fmt: skip
    w = g.get(f"weight_ih{end}", len(u), None)
    factors = g.factors(end.removeprefix("_"))
    if kind == "rnn" and (fast := with_scalars(g, end, n)):
        kind, more, attrs = fast
        return kind, {"w": w, "u": u} | more | factors, {"hidden": n} | attrs
    biased = f"bias_ih{end}" in g.tensors or f"bias_hh{end}" in g.tensors
    bw, bu = (g.get(f"bias_{k}{end}", len(u)) if biased else np.zeros(len(u)) for k in ("ih", "hh"))
    weights, attrs = {"w": w, "u": u, "bw": bw, "bu": bu}, {"hidden": n}
    if kind == "gru":  # PyTorch's r, z, n; its reset gate comes after the product
        weights = {k: np.concatenate([a[n : 2 * n], a[:n], a[2 * n :]]) for k, a in weights.items()}
        attrs["linear_before_reset"] = True
    weights |= factors
    if project is not None:  # h = R h', so U h = (U R) h': the state is h', U R has the factors U and R
        weights |= {"u": u @ project, "u.lowrank.0": u, "u.lowrank.1": project, "project": project}
    return kind, weights, attrs


def _weights(g: Group, options: dict) -> Layer:
    """A dense layer, an embedding or a convolution: all keep weight [out, in, ...] and perhaps a bias."""
    axes = g.tensors["weight"].ndim
    if axes in (3, 4):
        return _convolution(g, options, axes - 2)
    if axes == 1:
        return _layer_norm(g, options)
    return embedding(g.prefix, g.get("weight", None, None)) if options.get("type") == "embedding" else _dense(g)


def _convolution(g: Group, options: dict, space: int) -> Layer:
    w = g.get("weight", *[None] * (space + 2))
    kind, bias, window = f"conv{space}d", g.optional("bias", len(w)), Window.told(options, w.shape[2:])
    note = "" if options else "stride, padding and dilation are not in the weights"
    layer = convolution(kind, g.prefix, w, bias, window, options.get("groups", 1), note)
    function = options.get("activation")
    emit = (lambda row: (layer.emit(row), row.activation(function))) if function else layer.emit
    return replace(layer, emit=emit, choices="" if options else ", stride = 1, padding = 0, dilation = 1, groups = 1")


def _dense(g: Group) -> Layer:
    w = g.get("weight", None, None)
    bias = g.optional("bias", len(w))
    factors = g.factors()
    emit = lambda row: row.dense(w, bias, factors=factors)
    return Layer("dense", g.prefix, w.shape[1], len(w), emit, _structures(factors))


def _structures(factors: dict[str, np.ndarray]) -> str:
    """For people."""
    used = {word for k in factors for word in k.split(".")}
    return ", ".join(name for name, s in STRUCTURES.items() if s.prefix in used)


def _layer_norm(g: Group, options: dict) -> Layer:
    """What else may have such tensors, a group norm or a batch norm without statistics, computes something else."""
    weight = g.get("weight", None)
    bias, epsilon = g.optional("bias", len(weight)), options.get("epsilon", 1e-5)
    layer = layer_norm(g.prefix, weight, bias, epsilon)
    return replace(layer, choices="" if options else ", epsilon = 1e-5")


def layer_norm(prefix: str, weight: np.ndarray, bias: np.ndarray | None, epsilon: float) -> Layer:
    if not 0 < epsilon < np.inf:
        raise HmdcError(f"{prefix}: epsilon = {epsilon}; it is a small number above 0")
    bias = np.zeros(len(weight)) if bias is None else bias
    emit = lambda row: (row.normalize(float(epsilon)), row.affine(weight, bias))
    return Layer("layernorm", prefix, len(weight), len(weight), emit)


def _batch_norm(g: Group, options: dict) -> Layer:
    """Evaluation mode; PyTorch's epsilon unless told."""
    mean = g.get("running_mean", None)
    n = len(mean)
    var, epsilon = g.get("running_var", n), float(options.get("epsilon", 1e-5))
    gamma, beta = (np.full(n, v) if (a := g.optional(k, n)) is None else a for k, v in (("weight", 1.0), ("bias", 0.0)))
    if (var < 0).any() or not epsilon > 0:
        raise HmdcError(f"{g.prefix}: a negative variance, or epsilon = {epsilon}; save the network again")
    scale = gamma / np.sqrt(var + epsilon)
    note = f"epsilon {epsilon:g}" + (" (assumed)" if "epsilon" not in options else "")
    return Layer("batchnorm", g.prefix, n, n, lambda row: row.affine(scale, beta - mean * scale), note)


# leaves of which one tells the family -> its function
FAMILIES = [
    (("weight_ih", "weight_hh", "weight_ih_l0", "weight_hh_l0"), _torch_recurrent),
    (("bias_update",), edgeml),
    (("running_mean", "running_var"), _batch_norm),
    (("weight",), _weights),
]

WINDOW = (*windows.OPTIONS, "groups", "activation")
OPTIONS = {
    "conv1d": WINDOW,
    "conv2d": WINDOW,
    **dict.fromkeys(POOLS, ("size", *windows.OPTIONS)),
    "rnn": ("activation",),
    "batchnorm": ("epsilon",),
    "layernorm": ("epsilon",),
    "fastgrnn": ("transposed",),
    "fastrnn": ("transposed",),
}  # keys of a table beside type and weights


def plain(kind: str, options: dict) -> Layer:
    """A layer without weights."""
    return told_pool(kind, options) if kind in POOLS else Layer(kind, "", None, None, PLAIN[kind])


def _activation(function: str):
    return lambda row: row.activation(function)


PLAIN = {"last": Row.last, "final": Row.final_states, "mean": Row.mean, "max": Row.maximum} | {
    f: _activation(f) for f in ("relu", "sigmoid", "tanh", "softmax")
}
WITHOUT_WEIGHTS = (*PLAIN, *POOLS)
