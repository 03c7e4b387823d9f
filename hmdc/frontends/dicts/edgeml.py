"""EdgeML's FastRNN and FastGRNN: W and U, or W1, W2 and U1, U2 of low rank; biases; scalars before their sigmoid.

One release multiplies W x with W [hidden, in] = W2 W1, another x W with W [in, hidden] = W1 W2: shapes tell which.
"""

import numpy as np

from ...errors import HmdcError
from .assemble import Direction, Layer
from .groups import Group

# op -> its biases as the cell calls them, its scalars
CELLS = {
    "fastgrnn": ({"bz": "bias_gate", "bh": "bias_update"}, ("zeta", "nu")),
    "fastrnn": ({"b": "bias_update"}, ("alpha", "beta")),
}


def edgeml(g: Group, options: dict) -> Layer:
    kind = "fastgrnn" if "bias_gate" in g.tensors else "fastrnn"
    biases, scalars = CELLS[kind]
    weights = {k: _flat(g, leaf) for k, leaf in biases.items()}
    n = min(len(b) for b in weights.values())
    if any(len(b) != n for b in weights.values()):
        raise HmdcError(f"{g.prefix}: its biases have different sizes; save the network again")
    pairs = {"w": _factors(g, "W"), "u": _factors(g, "U")}
    turned = _turned(g, pairs, n, options.get("transposed"))
    notes = []
    for key, factors in pairs.items():
        factors = [f.T if turned else f for f in reversed(factors)]  # now their product is W [hidden, in]
        weights[key] = factors[0] if len(factors) == 1 else factors[0] @ factors[1]
        if len(factors) == 2:
            weights |= {f"{key}.lowrank.{i}": np.ascontiguousarray(f) for i, f in enumerate(factors)}
            notes.append(f"rank of {key} {factors[0].shape[1]}")
    attrs = {"hidden": n} | {k: float(_flat(g, k, 1)[0]) for k in scalars}
    if weights["u"].shape != (n, n):
        raise HmdcError(f"{g.prefix}: U is {list(weights['u'].shape)} where [{n}, {n}] fits; save the network again")
    emit = lambda row: row.recurrent(kind, [Direction(False, weights, attrs)])
    return Layer(kind, g.prefix, weights["w"].shape[1], n, emit, ", ".join([*notes, "tanh (assumed)"]))


def with_scalars(g: Group, end: str, n: int) -> tuple[str, dict, dict] | None:
    """Of hmdc.torch's FastRNN and FastGRNN, whose matrices are called as in PyTorch: cell, biases, scalars."""
    for kind, (biases, scalars) in CELLS.items():
        if f"{scalars[0]}{end}" in g.tensors:
            found = {k: g.optional(f"{leaf}{end}", n) for k, leaf in biases.items()}
            weights = {k: np.zeros(n) if b is None else b for k, b in found.items()}
            return kind, weights, {k: float(g.get(f"{k}{end}", 1)[0]) for k in scalars}
    return None


def _flat(g: Group, leaf: str, n: int | None = None) -> np.ndarray:
    """A vector that may be a matrix of one row."""
    a = g.tensors.get(leaf)
    if a is not None and a.ndim == 2 and 1 in a.shape:
        g.tensors[leaf] = a.ravel()
    return g.get(leaf, n)


def _factors(g: Group, name: str) -> list[np.ndarray]:
    """In the order of their names: the first multiplies x."""
    if name in g.tensors:
        return [g.get(name, None, None)]
    return [g.get(f"{name}{i}", None, None) for i in "12"]


def _turned(g: Group, pairs: dict[str, list[np.ndarray]], n: int, told: bool | None) -> bool:
    """Whether matrices are [in, hidden]."""
    fits = [turned for turned in (False, True) if all(_fits(pair, n, turned) for pair in pairs.values())]
    if told in fits:
        return told
    if len(fits) == 1 and told is None:
        return fits[0]
    shapes = {k: [list(f.shape) for f in pair] for k, pair in pairs.items()}
    if not fits or told is not None:
        raise HmdcError(f"{g.prefix}: matrices of shapes {shapes} do not fit {n} hidden units; save the network again")
    raise HmdcError(f"{g.prefix}: shapes {shapes} do not tell whether W is [hidden, in] or [in, hidden], as both are "
                    "in EdgeML's releases: write transposed = false or true to its layer in a file for --architecture"
                    )  # fmt: skip


def _fits(pair: list[np.ndarray], n: int, turned: bool) -> bool:
    shapes = [f.shape[::-1] if turned else f.shape for f in pair]
    return shapes[-1][0] == n and (len(shapes) == 1 or shapes[0][0] == shapes[1][1])
