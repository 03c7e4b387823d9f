"""Packed sequences: what a network computes of their length, such as 1 / length for a mean, becomes tables."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from ...errors import HmdcError
from .fold import FOLDABLE, RECURRENT, drop_dead
from .folded import Folded

SAME = ("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Expand")  # of one number
MAX_TABLE = 1 << 16  # numbers


def origin(f: Folded, value: str) -> str | None:
    """The integer input that `value` is, in whatever shape."""
    producers = {v: n for n in f.nodes for v in n.output}
    while (n := producers.get(value)) is not None and n.op_type in SAME:
        value = n.input[0]
    one = value in f.inputs and np.prod(f.shapes[value]) == 1
    return value if one and f.types[value] in (TensorProto.INT32, TensorProto.INT64) else None


def tabulate(f: Folded) -> None:
    """Real numbers that depend on a length alone become rows of a table.  Raises HmdcError where it gets too large."""
    steps = {}
    for n in f.nodes:
        if n.op_type in RECURRENT and len(n.input) > 4 and n.input[4] and (source := origin(f, n.input[4])):
            batch_first = any(a.name == "layout" and a.i for a in n.attribute)
            steps[source] = f.shapes[n.input[0]][int(batch_first)]
    for source, most in steps.items():
        nodes = _functions(f, source)
        nodes += _inverses(f, {v for n in nodes for v in n.output})
        inside = {id(n) for n in nodes}
        read = {v for n in f.nodes if id(n) not in inside for v in n.input} | {*f.outputs}
        values = [v for n in nodes for v in n.output if v in read and f.types[v] == TensorProto.FLOAT]
        if values:
            rest = [n for n in f.nodes if not {*values} & {*n.output}]
            f.nodes = [*_tables(f, source, most, nodes, values), *rest]
    drop_dead(f)


def _functions(f: Folded, source: str) -> list[onnx.NodeProto]:
    """The nodes that read nothing but the length and constants."""
    known, nodes = {source}, []
    for n in f.nodes:
        read = [v for v in n.input if v and v not in f.constants]
        if read and known.issuperset(read) and n.op_type in FOLDABLE and n.domain == "":
            nodes.append(n)
            known |= {*n.output}
    return nodes


def _inverses(f: Folded, values: set[str]) -> list[onnx.NodeProto]:
    """Data are multiplied by 1 / value where they are divided by one of the values; the nodes that compute it."""
    made = []
    for n in f.nodes:
        if n.op_type == "Div" and n.input[1] in values and n.input[0] not in values | {*f.constants}:
            inverse = _value(f, f"{n.input[1]}/inverse", f.shapes[n.input[1]])
            made.append(helper.make_node("Reciprocal", [n.input[1]], [inverse]))
            n.op_type, n.input[1] = "Mul", inverse
    return made


def _value(f: Folded, like: str, shape: tuple[int, ...]) -> str:
    """The name of a new value."""
    while like in f.known:
        like += "+"
    f.known.add(like)
    f.shapes[like], f.types[like] = shape, TensorProto.FLOAT
    return like


def _tables(f: Folded, source: str, most: int, nodes: list, values: list[str]) -> list[onnx.NodeProto]:
    """The nodes that look the values up: row n is for the length n, row 0 is that of 1."""
    total = sum(int(np.prod(f.shapes[v])) for v in values) * (most + 1)
    if total > MAX_TABLE:
        raise HmdcError(f"what is computed of the length {source!r} takes tables of {total} numbers; "
                        f"the most is {MAX_TABLE}: shorten the sequence")  # fmt: skip
    dtype, shape = helper.tensor_dtype_to_np_dtype(f.types[source]), f.shapes[source]
    used = {v for n in nodes for v in n.input if v in f.constants}
    graph = helper.make_graph(
        nodes, "lengths", [helper.make_tensor_value_info(source, f.types[source], shape)],
        [helper.make_empty_tensor_value_info(v) for v in values],
        [numpy_helper.from_array(f.constants[v], v) for v in sorted(used)],
    )  # fmt: skip
    run = ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", f.opset)])).run
    with np.errstate(all="ignore"):
        rows = [run(None, {source: np.full(shape, n, dtype)}) for n in range(1, most + 1)]
    made = []
    for v, column in zip(values, zip(*rows)):
        table = np.stack([a.ravel() for a in (column[0], *column)]).astype(np.float32)
        row = _value(f, f"{v}/row", (*shape, table.shape[1]))
        made.append(helper.make_node("Gather", [f.add_constant(f"{v}/table", table), source], [row], axis=0))
        made.append(helper.make_node("Reshape", [row], [v]))
    return made
