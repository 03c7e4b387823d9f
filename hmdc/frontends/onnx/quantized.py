"""Quantized files as the float network that they stand for: real numbers where they compute with integers.

A value that the file holds as integers is held as the real numbers (integer - zero point) * scale here, with scale 1
and zero point 0.  `Folded.quantized` marks such values, and only what cannot tell the difference may read them.
"""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper

from ...errors import HmdcError
from .folded import Folded, label

# what a mark says: REAL integers as real numbers; SUMS products of such and integer weights, scales still missing;
# SCALE, ZERO what DynamicQuantizeLinear computes from the data.  Next to it: whose scale it is
REAL, SUMS, SCALE, ZERO = "integers", "integer sums", "scale", "zero point"
LAYOUT = ("Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Gather", "Split")
OTHERS = (
    "quantize in QDQ format (quant_format=QuantFormat.QDQ) without saving an optimized model, or take the float one"
)
INTEGERS = {np.dtype(t): (np.iinfo(t).min, np.iinfo(t).max) for t in (np.int8, np.uint8, np.int16, np.uint16)}


def as_float(f: Folded, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The nodes in place of this one; mostly itself.  Raises HmdcError where integers as such would matter."""
    constant = all(v in f.constants and v not in f.quantized for v in node.input if v)
    if node.op_type in READERS:
        return (_weights if constant and node.op_type.endswith("tizeLinear") else READERS[node.op_type])(f, node)
    marks = [f.quantized.get(v) for v in node.input]
    if any(marks):
        _mark_result(f, node, marks)
    return [node]


def check_outputs(f: Folded) -> None:
    for v in f.outputs:
        if v in f.quantized:
            raise HmdcError(f"output {v!r} is {f.quantized[v][0]}: end the network with DequantizeLinear")


def _refuse(node: onnx.NodeProto, why: str) -> HmdcError:
    return HmdcError(f"{label(node)}: {why}; {OTHERS}")


def _mark_result(f: Folded, node: onnx.NodeProto, marks: list) -> None:
    """Layout keeps a mark; sums times their scale are real numbers."""
    first, *rest = marks
    if first and not any(rest) and first[0] in (REAL, SUMS) and node.op_type in LAYOUT:
        f.quantized |= dict.fromkeys(filter(None, node.output), first)
    elif first and first[0] == SUMS and node.op_type == "Cast":
        f.quantized[node.output[0]] = first
    elif node.op_type == "Mul" and {m and m[0] for m in marks} == {SUMS, SCALE} and marks[0][1] == marks[1][1]:
        return
    elif node.op_type == "Mul" and sorted(m[0] for m in marks if m) in ([SCALE], [SUMS]):
        other = node.input[marks.index(None)]
        if other not in f.constants:
            raise _refuse(node, f"multiplies a {next(m for m in marks if m)[0]} by data")
        f.quantized[node.output[0]] = next(m for m in marks if m)
    else:
        raise _refuse(node, f"computes with {next(m for m in marks if m)[0]}")


def _grid(f: Folded, node: onnx.NodeProto) -> tuple:
    """What tells how the integers of a Quantize- or DequantizeLinear are meant: (scale, zero point, type)."""
    scale = f.constants.get(node.input[1])
    zero = f.constants.get(node.input[2]) if len(node.input) > 2 and node.input[2] else np.uint8(0)
    if scale is None or zero is None or np.size(scale) != 1 or np.size(zero) != 1:
        raise _refuse(node, "its scale and zero point are no single constants")
    zero = np.asarray(zero).reshape(())
    if zero.dtype not in INTEGERS or not np.isfinite(scale).all() or float(np.ravel(scale)[0]) <= 0:
        raise _refuse(node, f"quantizes to {zero.dtype} with scale {np.ravel(scale)[0]}")
    return float(np.ravel(scale)[0]), int(zero), zero.dtype


def _weights(f: Folded, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Quantize- or DequantizeLinear of constants; onnx's evaluator knows some opsets of these only."""
    x, scale, zero = [f.constants[v] if v else np.uint8(0) for v in [*node.input, ""][:3]]
    given = {a.name: a.i for a in node.attribute}
    axis = given.get("axis", 1)
    fits = scale.size == 1 or (scale.ndim == 1 and -x.ndim <= axis < x.ndim and scale.size == x.shape[axis])
    if not fits or zero.size not in (1, scale.size) or given.get("block_size", 0):
        raise _refuse(node, f"has weights {list(x.shape)} with scales {list(scale.shape)}")
    if scale.size > 1:
        scale, zero = (a.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]) if a.size > 1 else a.ravel()
                       for a in (scale, zero))  # fmt: skip
    if node.op_type == "DequantizeLinear":
        y = ((x.astype(np.int64) - zero.astype(np.int64)) * scale.astype(np.float64)).astype(np.float32)
    elif zero.dtype in INTEGERS:
        y = np.round(x / scale) + zero.astype(np.int64)
        y = np.clip(y, *INTEGERS[zero.dtype]).astype(zero.dtype)
    else:
        raise _refuse(node, f"quantizes to {zero.dtype}")
    f.set_constant(node.output[0], y.reshape(x.shape))
    return []


def _quantize(f: Folded, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Rounding is left to hmdc; the limits stay, as they may stand for a Relu that the quantizer removed."""
    scale, zero, dtype = grid = _grid(f, node)
    if any(a.name in ("output_dtype", "block_size") and a.i for a in node.attribute):
        raise _refuse(node, "quantizes to another type than that of its zero point, or in blocks")
    low, high = (np.float32((q - zero) * scale) for q in INTEGERS[dtype])
    f.quantized[node.output[0]] = (REAL, grid)
    if f.opset < 11:
        return [helper.make_node("Clip", node.input[:1], node.output, node.name, min=low, max=high)]
    limits = [f.add_constant(f"{node.output[0]}/{k}", v) for k, v in (("low", low), ("high", high))]
    return [helper.make_node("Clip", [node.input[0], *limits], node.output, node.name)]


def _dequantize(f: Folded, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    marks = [f.quantized.get(v) for v in node.input if v]
    if marks[0] is None:
        raise _refuse(node, "reads integers that depend on the data and that no QuantizeLinear made")
    mine = [(REAL, marks[0][1]), (SCALE, marks[0][1]), (ZERO, marks[0][1])]
    if marks != mine and (marks[1:] != [None] * (len(marks) - 1) or marks[0] != (REAL, _grid(f, node))):
        raise _refuse(node, "has another scale or zero point than the QuantizeLinear before it")
    return [helper.make_node("Identity", node.input[:1], node.output, node.name)]


def _dynamic(f: Folded, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    key = f"{node.output[0]} of {node.input[0]}"
    f.quantized |= {v: (what, key) for v, what in zip(node.output, (REAL, SCALE, ZERO)) if v}
    for v, value in zip(node.output[1:], (np.float32(1), np.uint8(0))):
        if v:
            f.set_constant(v, np.asarray(value))
    return [helper.make_node("Identity", node.input, node.output[:1], node.name)]


def _product(f: Folded, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """MatMulInteger, ConvInteger: integers of the data times constant weights."""
    x, w, x_zero, w_zero = [*node.input, "", ""][:4]
    mark = f.quantized.get(x)
    if not mark or mark[0] != REAL or w not in f.constants or w in f.quantized:
        raise _refuse(node, "is no product of quantized data and constant weights")
    if f.quantized.get(x_zero) != (ZERO, mark[1]):
        raise _refuse(node, "takes another zero point than that of its data")
    zero = f.constants.get(w_zero, np.int64(0)) if w_zero else np.int64(0)
    weights = f.constants[w].astype(np.int64)
    if np.size(zero) > 1 and node.op_type == "ConvInteger":  # one for each output channel
        zero = zero.reshape(-1, *[1] * (weights.ndim - 1))
    zero = zero.reshape(()) if np.size(zero) == 1 else zero
    real = f.add_constant(f"{node.output[0]}/weights", (weights - zero).astype(np.float32))
    f.quantized[node.output[0]] = (SUMS, mark[1])
    plain = helper.make_node(node.op_type.removesuffix("Integer"), [x, real], node.output, node.name)
    plain.attribute.extend(node.attribute)
    return [plain]


def _lstm(f: Folded, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """com.microsoft DynamicQuantizeLSTM: W [D, I, 4H] and R [D, H, 4H] with scales [D] or [D, 4H]."""
    if node.domain != "com.microsoft":
        return [node]
    inputs = [*node.input, *[""] * (12 - len(node.input))]
    for i, (scale, zero) in {1: inputs[8:10], 2: inputs[10:12]}.items():
        arrays = [f.constants.get(v) for v in (inputs[i], scale, zero)]
        if any(a is None for a in arrays):
            raise _refuse(node, "its weights, their scales or zero points depend on the data")
        w, scale, zero = arrays
        if w.ndim != 3 or any(a.shape not in (w.shape[:1], (w.shape[0], w.shape[2])) for a in (scale, zero)):
            raise _refuse(node, f"has weights {list(w.shape)} with scales {list(scale.shape)}")
        scale, zero = (a.reshape(len(w), 1, -1) for a in (scale, zero))
        real = ((w.astype(np.int64) - zero) * scale.astype(np.float64)).transpose(0, 2, 1)
        inputs[i] = f.add_constant(f"{node.input[i]}/{node.output[0] or node.output[1]}", real.astype(np.float32))
    plain = helper.make_node("LSTM", inputs[:8], node.output, node.name)
    plain.attribute.extend(node.attribute)
    return [plain]


READERS: dict[str, Callable] = {
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "DynamicQuantizeLinear": _dynamic,
    "MatMulInteger": _product,
    "ConvInteger": _product,
    "DynamicQuantizeLSTM": _lstm,
}
