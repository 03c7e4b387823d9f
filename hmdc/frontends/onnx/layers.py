"""Translators of everything but the recurrent operators."""

import numpy as np
from onnx import TensorProto

from .graph import MAX_TERMS, attributes, refuse, translator


@translator("Identity", "Dropout", "Cast", "Squeeze", "Unsqueeze", "Reshape", "Flatten")
def _reshape(g, node):
    types = [g.folded.types.get(v, 0) for v in (node.input[0], node.output[0])]
    if node.op_type == "Cast" and types[1] not in (1, 11) and not set(types) <= {TensorProto.INT32, TensorProto.INT64}:
        raise refuse(node, "a cast to something other than float", "keep the network in float32")
    if len(node.output) > 1 and node.output[1]:
        raise refuse(node, "a dropout mask", "export the network in evaluation mode (model.eval())")
    g.reshape(node, node.input[0], node.output[0])


@translator("Expand")
def _expand(g, node):
    g.repeat(node, node.input[0], node.output[0])


@translator("Transpose")
def _transpose(g, node):
    shape = g.shape(node.input[0])
    perm = attributes(node).get("perm") or list(range(len(shape)))[::-1]
    moved = [a for a in perm if shape[a] > 1]
    if moved == sorted(moved):
        g.reshape(node, node.input[0], node.output[0])
    else:
        g.add("transpose", "transpose", node.input[:1], node.output, node, perm=tuple(int(a) for a in perm))


def slice_axis(g, node, x, y, axis, start, stop, step=1):
    """y = the indices range(start, stop, step) of x along axis; the shape of y may lack the axis."""
    shape = list(g.shape(x))
    shape[axis] = len(range(start, stop, step))
    target = y if tuple(shape) == g.shape(y) else g.fresh(tuple(shape))
    if (start, stop, step) == (0, g.shape(x)[axis], 1):
        g.reshape(node, x, target, shape)
    else:
        g.add("slice", "slice", [x], [target], node, axis=axis, start=start, stop=stop, step=step)
    if target != y:
        g.reshape(node, target, y)


@translator("Gather")
def _gather(g, node):
    x, index = node.input[0], g.constant(node.input[1])
    if g.constant(x) is not None:
        return _embedding(g, node)
    if index is None:
        raise refuse(node, "picks what the data say", "export with constant indices and full-length sequences")
    n_axes = len(g.shape(x))
    axis = int(attributes(node).get("axis", 0)) % n_axes
    n = g.shape(x)[axis]
    if not ((-n <= index) & (index < n)).all():
        raise refuse(node, f"picks the indices {index.ravel()[:8].tolist()} of an axis of size {n}", "export again")
    picks = [int(i) % n for i in index.ravel()]
    step = picks[1] - picks[0] if len(picks) > 1 else 1
    stop = picks[-1] + (1 if step > 0 else -1)
    if index.ndim > 1 or step == 0 or picks != list(range(picks[0], stop, step)):
        raise refuse(node, f"picks the indices {picks[:8]}", "take one index, or a slice with a constant step")
    slice_axis(g, node, x, node.output[0], axis, picks[0], stop, step)


def _embedding(g, node):
    table, (x, y) = g.floats(node, node.input[0]), (node.input[1], node.output[0])
    if table.ndim != 2 or attributes(node).get("axis", 0) not in (0, -2):
        raise refuse(node, f"looks up along an inner axis of a table {list(table.shape)}", "look up its rows")
    g.add("lookup", "embedding", [x], [y], node, {"table": table})


@translator("Slice")
def _slices(g, node):
    shape = g.shape(node.input[0])
    starts, ends = g.ints(node, "starts", 1), g.ints(node, "ends", 2)
    axes = g.ints(node, "axes", 3, list(range(len(starts))))
    steps = g.ints(node, "steps", 4, [1] * len(starts))
    x = node.input[0]
    if 0 in steps:
        raise refuse(node, "has a step of 0", "export the network again")
    cuts = [(a % len(shape), *slice(b, e, s).indices(shape[a])) for b, e, a, s in zip(starts, ends, axes, steps)]
    for i, (axis, start, stop, step) in enumerate(cuts):
        now = list(g.shape(x))
        now[axis] = len(range(start, stop, step))
        y = node.output[0] if i == len(cuts) - 1 else g.fresh(tuple(now))
        slice_axis(g, node, x, y, axis, start, stop, step)
        x = y


@translator("Split")
def _split(g, node):
    axis = int(attributes(node).get("axis", 0)) % len(g.shape(node.input[0]))
    at = 0
    for y in node.output:
        n = g.shape(y)[axis]
        if n:
            slice_axis(g, node, node.input[0], y, axis, at, at + n)
        at += n


@translator("Concat")
def _concat(g, node):
    axis = int(attributes(node)["axis"]) % len(g.shape(node.output[0]))
    if len(node.input) == 1:
        return g.reshape(node, node.input[0], node.output[0])
    if any(g.constant(v) is not None for v in node.input):
        return _concat_constants(g, node, axis)
    g.add("concat", "concat", node.input, node.output, node, axis=axis)


def _concat_constants(g, node, axis):
    """The data with zeros where the constants belong, which are then added."""
    runs, offsets, lead = [], [], 0  # runs: data side by side, zeros before them, zeros behind them
    for v in node.input:
        n, constant = g.shape(v)[axis], g.constant(v)
        offsets.append(np.zeros(g.shape(v)) if constant is None else g.floats(node, v))
        if constant is None and runs and not runs[-1][2]:
            runs[-1][0].append(v)
        elif constant is None:
            runs.append([[v], 0 if runs else lead, 0])
        elif runs:
            runs[-1][2] += n
        else:
            lead += n
    y = _joined(g, node, axis, [_padded(g, node, axis, _joined(g, node, axis, v), *zeros) for v, *zeros in runs])
    offset = np.concatenate(offsets, axis)
    if offset.any():
        g.affine(node, y, node.output[0], 1.0, offset)
    else:
        g.reshape(node, y, node.output[0])


def _joined(g, node, axis, values):
    if len(values) == 1:
        return values[0]
    shape = list(g.shape(values[0]))
    shape[axis] = sum(g.shape(v)[axis] for v in values)
    g.add("concat", "concat", values, [y := g.fresh(tuple(shape))], node, axis=axis)
    return y


def _padded(g, node, axis, x, before, after):
    if before == after == 0:
        return x
    shape = list(g.shape(x))
    shape[axis] += before + after
    zeros = [tuple(n if a == axis else 0 for a in range(len(shape))) for n in (before, after)]
    attrs = {"mode": "constant", "value": 0.0, "before": zeros[0], "after": zeros[1]}
    g.add("pad", "pad", [x], [y := g.fresh(tuple(shape))], node, **attrs)
    return y


def _dense(g, node, x, y, w, bias, axis):
    """w: [out, in]"""
    weights = {"w": w} if bias is None else {"w": w, "b": np.broadcast_to(bias.ravel(), (len(w),)).copy()}
    g.add("dense", "fc", [x], [y], node, weights, axis=axis, low=-np.inf, high=np.inf)


@translator("Gemm")
def _gemm(g, node):
    a = attributes(node)
    x, w = node.input[:2]
    if g.constant(w) is not None and g.constant(x) is not None and len(node.input) > 2:
        fixed = [g.floats(node, v) for v in (x, w)]
        left, right = (v.T if a.get(t, 0) else v for v, t in zip(fixed, ("transA", "transB")))
        c, y = node.input[2], node.output[0]
        if g.shape(c) != g.shape(y):
            g.repeat(node, c, c := g.fresh(g.shape(y)))
        return g.affine(node, c, y, a.get("beta", 1.0), a.get("alpha", 1.0) * (left @ right))
    if g.constant(w) is None or g.constant(x) is not None or a.get("transA", 0):
        raise refuse(node, "multiplies two values that both depend on the data, or a transposed one",
                     "write it as MatMul, Transpose and Add")  # fmt: skip
    w = g.floats(node, w) * a.get("alpha", 1.0)
    bias, y = None, node.output[0]
    w = w if a.get("transB", 0) else w.T.copy()
    if len(node.input) > 2 and node.input[2]:
        if g.constant(node.input[2]) is None:
            return _sum_of_products(g, node, w, a.get("beta", 1.0))
        bias = g.floats(node, node.input[2]) * a.get("beta", 1.0)
        if bias.size not in (1, g.shape(node.output[0])[-1]):
            raise refuse(node, f"its bias has shape {list(bias.shape)}", "give it one value for each output")
    _dense(g, node, x, y, w, bias, len(g.shape(x)) - 1)


def _sum_of_products(g, node, w, beta):
    """Gemm whose bias is data: tf2onnx adds the products of x and h so."""
    (x, _, c), y = node.input, node.output[0]
    _dense(g, node, x, product := g.fresh(g.shape(y)), w, None, len(g.shape(x)) - 1)
    if beta != 1.0:
        g.affine(node, c, c := g.fresh(g.shape(c)), beta, 0.0)
    if g.shape(c) != g.shape(y):
        g.repeat(node, c, c := g.fresh(g.shape(y)))
    g.add("add", "add", [product, c], [y], node)


@translator("MatMul")
def _matmul(g, node):
    x, w = node.input
    left = g.constant(x) is not None
    data, name = (w, x) if left else (x, w)
    if g.constant(name) is None:
        return _dot(g, node)
    matrix = g.floats(node, name)
    matrix = matrix.reshape(matrix.shape[-2:]) if matrix.ndim > 2 and matrix[..., 0, 0].size == 1 else matrix
    axes = len(g.shape(data))
    if matrix.ndim != 2:
        raise refuse(
            node, f"its weights have shape {list(matrix.shape)}, more than one matrix", "write one product for each"
        )
    out = (*g.shape(data)[: axes - (2 if left and axes > 1 else 1)], *((len(matrix),) if left else (matrix.shape[1],)))
    out = (*out, *g.shape(data)[axes - 1 :]) if left and axes > 1 else out
    y = node.output[0] if out == g.shape(node.output[0]) else g.fresh(out)
    _dense(g, node, data, y, matrix if left else matrix.T.copy(), None, max(axes - 2, 0) if left else axes - 1)
    if y != node.output[0]:
        g.reshape(node, y, node.output[0])


def _dot(g, node):
    """[..., m, k] times [..., k, n], both from the data."""
    shapes, y = [g.shape(v) for v in node.input], node.output[0]
    lead = [int(np.prod(s[:-2])) for s in shapes]
    if min(map(len, shapes)) < 2 or lead[0] != lead[1]:
        raise refuse(node, f"multiplies data of shapes {[list(s) for s in shapes]}", "give both as many matrices")
    (m, k), n = shapes[0][-2:], shapes[1][-1]
    if lead[0] * m * k * n > MAX_TERMS:
        raise refuse(node, f"takes {lead[0] * m * k * n} products; the most is {MAX_TERMS}", "shorten the sequence")
    sides = []
    for v, shape in zip(node.input, ((lead[0], m, k), (lead[0], k, n))):
        g.reshape(node, v, flat := g.fresh(shape), shape)
        sides.append(flat)
    g.add("dot", "dot", sides, [flat := g.fresh((lead[0], m, n))], node)
    g.reshape(node, flat, y)


@translator("Add", "Sub", "Mul", "Div")
def _binary(g, node):
    (a, b), y, op = node.input, node.output[0], node.op_type
    ca, cb = g.constant(a), g.constant(b)
    if ca is None and cb is None:
        return _two_values(g, node)
    x, c = (a, g.floats(node, b)) if ca is None else (b, g.floats(node, a))
    if g.shape(x) != g.shape(y):
        g.repeat(node, x, x := g.fresh(g.shape(y)))
    if op == "Div" and ca is not None:
        raise refuse(node, "divides a constant by data", "normalize outside of the network")
    if op == "Div" and (c == 0).any():
        raise refuse(node, "divides by zero", "train or export the network again")
    scale = {"Add": 1.0, "Sub": 1.0 if ca is None else -1.0, "Mul": c, "Div": 1 / c if op == "Div" else None}[op]
    bias = {"Add": c, "Sub": -c if ca is None else c}.get(op, 0.0)
    g.affine(node, x, y, scale, bias)


def _two_values(g, node):
    y = node.output[0]
    if node.op_type == "Div":
        raise refuse(node, "divides two values that both depend on the data", "normalize outside of the network")
    inputs = []
    for v in node.input:
        if g.shape(v) != g.shape(y):
            g.repeat(node, v, v := g.fresh(g.shape(y)))
        inputs.append(v)
    op = node.op_type.lower()
    g.add(op, op, inputs, [y], node)


@translator("Neg")
def _neg(g, node):
    g.affine(node, node.input[0], node.output[0], -1.0, 0.0)


@translator("BatchNormalization")
def _batch_norm(g, node):
    a = attributes(node)
    if (
        a.get("training_mode", 0)
        or len([v for v in node.output if v]) > 1
        or any(g.constant(v) is None for v in node.input[1:])
    ):
        raise refuse(node, "is in training mode", "export the network in evaluation mode (model.eval())")
    gamma, beta, mean, var = (g.floats(node, v) for v in node.input[1:])
    if (var < 0).any():
        raise refuse(node, "has a negative variance", "train or export the network again")
    scale = gamma / np.sqrt(var + a.get("epsilon", 1e-5))
    axes = [1] * (len(g.shape(node.input[0])) - 2)
    g.affine(node, node.input[0], node.output[0], scale.reshape(-1, *axes), (beta - mean * scale).reshape(-1, *axes))


@translator("Softmax", "LogSoftmax")
def _softmax(g, node):
    op = "softmax" if node.op_type == "Softmax" else "log_softmax"
    x, y, shape = node.input[0], node.output[0], g.shape(node.input[0])
    axis = int(attributes(node).get("axis", -1 if g.opset >= 13 else 1)) % len(shape)
    if g.opset < 13:  # everything from the axis on is one row
        flat = (int(np.prod(shape[:axis])), int(np.prod(shape[axis:])))
        g.reshape(node, x, inner := g.fresh(flat), flat)
        g.add(op, op, [inner], [outer := g.fresh(flat)], node, axis=1)
        g.reshape(node, outer, y)
    else:
        g.add(op, op, [x], [y], node, axis=axis)
