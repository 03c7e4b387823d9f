"""Translators of LSTM, GRU and RNN: gates into canonical order, one layer per direction."""

import numpy as np

from ...cells import CELLS
from ...errors import HmdcError
from ...functions import function
from .graph import attributes, refuse, translator
from .lengths import origin

# op -> (gates, order that brings ONNX's gate rows into the order of cells, states, functions)
KINDS = {"LSTM": (4, (0, 2, 3, 1), 2, 3), "GRU": (3, (0, 1, 2), 1, 2), "RNN": (1, (0,), 1, 1)}
# functions of the standard -> the parameters that they take from activation_alpha and activation_beta
PARAMETERS = {
    "relu": "", "tanh": "", "sigmoid": "", "softsign": "", "softplus": "",
    "leakyrelu": "a", "thresholdedrelu": "a", "elu": "a",
    "hardsigmoid": "ab", "scaledtanh": "ab", "affine": "ab",
}  # fmt: skip

PROJECTED = "ONNX has no projected LSTM (proj_size): train with proj_size=0, or give hmdc the state dict"


@translator("LSTM", "GRU", "RNN")
def _recurrent(g, node):
    a = attributes(node)
    gates, order, states, count = KINDS[node.op_type]
    inputs = [*node.input, *[""] * (8 - len(node.input))]
    outputs = [*node.output, *[""] * (3 - len(node.output))][: 1 + states]
    directions = {b"forward": [False], b"reverse": [True], b"bidirectional": [False, True]}.get(
        a.get("direction", b"forward")
    )
    if directions is None:
        raise refuse(node, f"direction {a['direction']!r} is none of forward, reverse, bidirectional", "export again")
    w, u, bias = _weights(g, node, inputs, gates, len(directions))
    n = u.shape[2]
    x, steps = _data(g, node, inputs[0], w.shape[2], a.get("layout", 0))
    x, length, behind = _length(g, node, inputs[4], x, steps)
    activations = _activations(node, a, len(directions) * count)
    peepholes = _peepholes(g, node, inputs[7] if node.op_type == "LSTM" else "", len(directions), n)
    initial = [_initial(g, node, v, len(directions), n) for v in inputs[5 : 5 + states]]
    op, peeping = node.op_type.lower(), (0, 2, 1)
    if op == "lstm" and a.get("input_forget", 0):
        op, order, peeping = "lstm_coupled", (0, 3, 1), (0, 1)
    perm, perm_p = (np.concatenate([np.arange(k * n, (k + 1) * n) for k in o]) for o in (order, peeping))
    parts = []
    for d, reverse in enumerate(directions):
        weights = {"w": w[d][perm], "u": u[d][perm], "bw": bias[d][: gates * n][perm], "bu": bias[d][gates * n :][perm]}
        if peepholes is not None:
            weights["p"] = peepholes[d][perm_p]
        attrs = {"hidden": n, "reverse": reverse, **_choices(node, a, activations[d * count : (d + 1) * count])}
        values = [g.fresh((steps - behind, 1, 1, n))] + [g.fresh((1, 1, n)) for _ in range(states)]
        ports = []
        for name, state in zip(("h0", "c0"), initial):
            if isinstance(state, np.ndarray) and state[d].any():
                weights[name] = state[d]
            ports.append(_direction(g, node, state, d, n, len(directions)) if isinstance(state, str) else "")
        if length:
            attrs, ports = attrs | {"length": True}, [*ports, length]
        name = node.op_type.lower() + ("_reverse" if reverse else "")
        g.add(
            op,
            name,
            [x, *ports],
            values,
            node,
            weights,
            **attrs,
            twin=_twin(g, op, x, attrs) or node.output[0] or node.output[1],
        )
        values[0] = _behind(g, node, values[0], behind)
        parts.append(values)
    for i, y in enumerate(outputs):
        if y:
            _join(g, node, [p[i] for p in parts], y, 1 if i == 0 else 0, steps, n)


def _twin(g, op, x, attrs) -> str:
    """What marks the forward layer that reads the same x, for a backward one; "" if there is none."""
    alike = [n for n in g.nodes if n.op == op and n.inputs[0] == x and n.attrs["hidden"] == attrs["hidden"]]
    alone = attrs["reverse"] and len(alike) == 1 and not alike[0].attrs["reverse"]
    return alike[0].attrs["twin"] if alone else ""


def _weights(g, node, inputs, gates, directions):
    for v, what in zip(inputs[1:4], ("W", "R", "B")):
        if v and g.constant(v) is None:
            raise refuse(
                node, f"its weights {what} depend on the input data", "export the network with constant weights"
            )
    w, u = g.floats(node, inputs[1]), g.floats(node, inputs[2])
    n = u.shape[-1]
    bias = g.floats(node, inputs[3]) if inputs[3] else np.zeros((directions, 2 * gates * n))
    want = {
        "W": (w, (directions, gates * n, w.shape[-1])),
        "R": (u, (directions, gates * n, n)),
        "B": (bias, (directions, 2 * gates * n)),
    }
    hidden = attributes(node).get("hidden_size", n)
    for what, (array, shape) in want.items():
        if array.shape != shape or hidden != n:
            raise refuse(
                node,
                f"{what} has shape {list(array.shape)}, {list(shape)} fits hidden_size {hidden} and R {list(u.shape)}",
                f"export again; {PROJECTED}",
            )  # fmt: skip
    return w, u, bias


def _data(g, node, x, size, layout):
    """The input as [steps, 1, size]."""
    shape = g.shape(x)
    steps, batch = (shape[1], shape[0]) if layout else shape[:2]
    if shape[2] != size:
        raise refuse(node, f"its input has {shape[2]} features but W takes {size}", "export the network again")
    if batch != 1:
        raise refuse(node, f"gets a batch of {batch} sequences; a microcontroller runs one", "export with batch 1")
    if layout:
        g.reshape(node, x, x := g.fresh((steps, 1, size)))
    return x, steps


def _length(g, node, lengths, x, steps) -> tuple[str, str, int]:
    """What sequence_lens makes of x: x as far as it is read, the input that tells the length, steps left out."""
    given = g.constant(lengths) if lengths else np.array([steps])
    if given is None:
        source = origin(g.folded, lengths)
        if source is None:
            raise refuse(node, "its sequence_lens are computed from the data", "give the lengths as an input")
        return x, source if steps > 1 else "", 0
    if given.size != 1 or not 1 <= given.ravel()[0] <= steps:
        raise refuse(node, f"sequence_lens are {given.ravel().tolist()[:8]}", f"give one of 1 to {steps}")
    n = int(given.ravel()[0])
    if n < steps:
        g.add("slice", "slice", [x], [x := g.fresh((n, 1, g.shape(x)[2]))], node, axis=0, start=0, stop=n, step=1)
    return x, "", steps - n


def _behind(g, node, y, steps) -> str:
    """y with so many more steps of zeros."""
    if not steps:
        return y
    none, after = (0, 0, 0, 0), (steps, 0, 0, 0)
    g.add("pad", "pad", [y], [z := g.fresh((g.shape(y)[0] + steps, *g.shape(y)[1:]))], node,
          mode="constant", value=0.0, before=none, after=after)  # fmt: skip
    return z


def _choices(node, a, activations) -> dict:
    """What makes one cell differ from another of its kind; what is usual is left out."""
    out = {}
    if activations and activations != CELLS[node.op_type.lower()].functions:
        out["activations"] = activations
    if "clip" in a:
        clip = float(a["clip"])  # 0 means no limit to some, nothing but 0 to ONNX Runtime
        if not 0 < clip < np.inf:
            raise refuse(node, f"clip={clip:g} is no limit", "export with a positive clip, or without")
        out["clip"] = clip
    if node.op_type == "GRU":
        out["linear_before_reset"] = bool(a.get("linear_before_reset", 0))
    return out


def _peepholes(g, node, value, directions, n):
    """[directions, 3*H] in ONNX's order i, o, f, or None."""
    if not value:
        return None
    if g.constant(value) is None:
        raise refuse(node, "its weights P depend on the input data", "export the network with constant weights")
    p = g.floats(node, value)
    if p.shape != (directions, 3 * n):
        raise refuse(node, f"P has shape {list(p.shape)}, {[directions, 3 * n]} fits", "export again")
    return p if p.any() else None


def _activations(node, a, count) -> tuple[str, ...]:
    """Texts as in functions.py, of all directions; () where the standard ones are meant.

    The standard leaves it open which function takes which parameter; as in ONNX Runtime, those that have one take the
    next value of the list, and their defaults when there is none left.
    """
    names = [s.decode("utf-8", "replace").lower() for s in a.get("activations", [])]
    lists = {"a": list(a.get("activation_alpha", [])), "b": list(a.get("activation_beta", []))}
    known = f"use {', '.join(PARAMETERS)}, {count} in all"
    if (names and len(names) != count) or not set(names) <= set(PARAMETERS):
        raise refuse(node, f"activations {names} are not compiled", known)
    out = []
    for name in names:
        given = [repr(lists[kind].pop(0)) if lists[kind] else "" for kind in PARAMETERS[name]]
        try:
            out.append(function(f"{name}({','.join(given)})" if given else name).name)
        except HmdcError as e:
            raise refuse(node, str(e), "write activation_alpha and activation_beta") from e
    if lists["a"] or lists["b"]:
        raise refuse(node, f"activation_alpha or activation_beta has more values than {names} take", "leave them out")
    return tuple(out)


def _initial(g, node, value, directions, n):
    """An initial state: None, an array [directions, n], or the name of the value that holds it."""
    if not value:
        return None
    if np.prod(g.shape(value)) != directions * n:
        raise refuse(
            node, f"an initial state has shape {list(g.shape(value))} where [{directions}, 1, {n}] fits",
            PROJECTED,
        )  # fmt: skip
    return value if g.constant(value) is None else g.floats(node, value).reshape(directions, n)


def _direction(g, node, value, d, n, directions):
    """[directions, 1, n] in either layout -> the part of one direction as [1, 1, n]."""
    g.reshape(node, value, flat := g.fresh((directions, 1, n)))
    if directions == 1:
        return flat
    part = g.fresh((1, 1, n))
    g.add("slice", "slice", [flat], [part], node, axis=0, start=d, stop=d + 1, step=1)
    return part


def _join(g, node, parts, y, axis, steps, n):
    """Both directions side by side; the shape that ONNX gives them differs by axes of size 1 only."""
    shape = (steps, len(parts), 1, n) if axis == 1 else (len(parts), 1, n)
    value = parts[0]
    if len(parts) > 1:
        value = g.fresh(shape)
        g.add("concat", "concat", parts, [value], node, axis=axis)
    batch_first = attributes(node).get("layout", 0)
    final = shape if not batch_first else (1, steps, len(parts), n) if axis == 1 else (1, len(parts), n)
    g.folded.shapes[y] = final
    g.reshape(node, value, y)
