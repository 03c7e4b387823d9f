"""Packed sequences: what a network computes of their length becomes tables, such as 1 / length for a mean."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from ...errors import HmdcError
from .fold import FOLDABLE, RECURRENT, drop_dead
from .folded import Folded

SAME = ("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Expand")  # of one number
MAX_TABLE = 1 << 15  # numbers


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
        length = Length(f, source, most)
        length.picks()
        length.inverses()
        length.tables()
    drop_dead(f)


class Length:
    """An input that is the length of sequences of `most` steps; nodes: those that read nothing but it and constants."""

    def __init__(self, f: Folded, source: str, most: int):
        self.f, self.source, self.most, self.nodes = f, source, most, []
        self.values = {source}
        for n in f.nodes:
            read = [v for v in n.input if v and v not in f.constants]
            if read and self.values.issuperset(read) and n.op_type in FOLDABLE and n.domain == "":
                self.nodes.append(n)
                self.values |= {*n.output}

    def picks(self) -> None:
        """One step, chosen by the length, is the sum of all steps, each times 1 or 0."""
        nodes, self.f.nodes = self.f.nodes, []
        for n in nodes:
            at = self._picked(n) if n.op_type in ("Gather", "GatherElements") else None
            if at is None:
                self.f.nodes.append(n)
                continue
            (x, _), (y,), shapes = n.input, n.output, self.f.shapes
            steps = shapes[x][_axis(n)]
            row = (1, int(np.prod(shapes[x])) // steps)
            hot, flat, out = (
                self._value(f"{y}/{k}", s) for k, s in (("hot", (1, steps)), ("all", (steps, row[1])), ("one", row))
            )
            self.f.nodes += [
                *self._looked_up(np.eye(steps)[at], hot),
                helper.make_node("Reshape", [x], [flat]),
                helper.make_node("MatMul", [hot, flat], [out]),
                helper.make_node("Reshape", [out], [y]),
            ]

    def _picked(self, n: onnx.NodeProto) -> np.ndarray | None:
        """The step that all results come from, for each length; None where it is no step or there are several."""
        x, index = n.input
        if index not in self.values or x in self.values | {*self.f.constants}:
            return None
        shape, size = self.f.shapes[x], self.f.shapes[index]
        axis = _axis(n) % len(shape)
        whole = n.op_type == "Gather" or size == (*shape[:axis], 1, *shape[axis + 1 :])
        if np.prod(shape[:axis]) != 1 or not whole:
            return None
        at = np.array([a.ravel() for (a,) in self._evaluated([index])])
        inside = (at == at[:, :1]).all() and (-shape[axis] <= at).all() and (at < shape[axis]).all()
        return at[:, 0] if inside else None

    def inverses(self) -> None:
        """Data that are divided by a value of the length are multiplied by 1 / value."""
        for n in self.f.nodes:
            if n.op_type == "Div" and n.input[1] in self.values and n.input[0] not in self.values | {*self.f.constants}:
                inverse = self._value(f"{n.input[1]}/inverse", self.f.shapes[n.input[1]])
                self.nodes.append(helper.make_node("Reciprocal", [n.input[1]], [inverse]))
                n.op_type, n.input[1] = "Mul", inverse

    def tables(self) -> None:
        """Real numbers that other nodes read are looked up."""
        inside = {id(n) for n in self.nodes}
        rest = [n for n in self.f.nodes if id(n) not in inside]
        read = {v for n in rest for v in n.input} | {*self.f.outputs}
        values = [v for n in self.nodes for v in n.output if v in read and self.f.types[v] == TensorProto.FLOAT]
        if values:
            made = [n for v, *rows in zip(values, *self._evaluated(values)) for n in self._looked_up(np.stack(rows), v)]
            self.f.nodes = [*made, *(n for n in self.f.nodes if not {*values} & {*n.output})]

    def _value(self, like: str, shape: tuple[int, ...]) -> str:
        """The name of a new value."""
        while like in self.f.known:
            like += "+"
        self.f.known.add(like)
        self.f.shapes[like], self.f.types[like] = shape, TensorProto.FLOAT
        return like

    def _evaluated(self, values: list[str]) -> list[list[np.ndarray]]:
        """The values for the lengths 1, 2 and so on."""
        f, source = self.f, self.source
        if self.most >= MAX_TABLE:
            raise HmdcError(f"what is computed of the length {source!r} takes a table for {self.most} steps; "
                            f"the most is {MAX_TABLE} numbers: shorten the sequence")  # fmt: skip
        dtype, shape = helper.tensor_dtype_to_np_dtype(f.types[source]), f.shapes[source]
        used = {v for n in self.nodes for v in n.input if v in f.constants}
        graph = helper.make_graph(
            self.nodes, "lengths", [helper.make_tensor_value_info(source, f.types[source], shape)],
            [helper.make_empty_tensor_value_info(v) for v in values],
            [numpy_helper.from_array(f.constants[v], v) for v in sorted(used)],
        )  # fmt: skip
        run = ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", f.opset)])).run
        with np.errstate(all="ignore"):
            return [run(None, {source: np.full(shape, n, dtype)}) for n in range(1, self.most + 1)]

    def _looked_up(self, rows: np.ndarray, y: str) -> list[onnx.NodeProto]:
        """y = rows[length - 1]; what stands for the length 0 is that of 1."""
        table = np.concatenate([rows[:1], rows]).reshape(len(rows) + 1, -1).astype(np.float32)
        if table.size > MAX_TABLE:
            raise HmdcError(f"{y!r} depends on the length {self.source!r} and takes a table of {table.size} numbers; "
                            f"the most is {MAX_TABLE}: shorten the sequence")  # fmt: skip
        row = self._value(f"{y}/row", (*self.f.shapes[self.source], table.shape[1]))
        constant = self.f.add_constant(f"{y}/table", table)
        return [
            helper.make_node("Gather", [constant, self.source], [row], axis=0),
            helper.make_node("Reshape", [row], [y]),
        ]


def _axis(n: onnx.NodeProto) -> int:
    return next((a.i for a in n.attribute if a.name == "axis"), 0)
