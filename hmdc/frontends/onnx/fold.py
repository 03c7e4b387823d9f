"""Constants and shapes of every value, node by node, with onnx's own evaluator and shape inference."""

from dataclasses import dataclass, field
from math import prod

import numpy as np
import onnx
from onnx import defs, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from ...errors import HmdcError

MAX_ELEMENTS = 1 << 26  # of one folded constant
# Pure functions of their inputs; control flow and random numbers are never evaluated.
FOLDABLE = frozenset(
    """Abs Add And Cast CastLike Ceil Clip Concat Constant ConstantOfShape CumSum Div Equal Exp Expand Flatten Floor
    Gather GatherND Gemm Greater GreaterOrEqual Identity Less LessOrEqual Log MatMul Max Min Mod Mul Neg Not Or
    Pad Pow Range Reciprocal ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape ScatterND Shape
    Sigmoid Sign Size Slice Softmax Split Sqrt Squeeze Sub Sum Tanh Tile Transpose Unsqueeze Where""".split()
)


@dataclass
class Folded:
    """A graph with static shapes.  nodes: those that depend on the inputs and lead to the outputs."""

    inputs: dict[str, tuple[int, ...]]
    outputs: list[str]
    nodes: list[onnx.NodeProto]
    opset: int
    producer: str
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)


def label(node: onnx.NodeProto) -> str:
    """What messages call a node."""
    op = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
    return f"node {node.name or node.output[0]!r} ({op})"


def fold(model: onnx.ModelProto, input_shapes: dict[str, tuple[int, ...]]) -> Folded:
    """Bind every input to a shape and propagate.  Raises HmdcError naming the node whose shape stays unknown."""
    graph = model.graph
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
    initializers = {t.name: t for t in graph.initializer}
    f = Folded(dict(input_shapes), [o.name for o in graph.output], [], opset, model.producer_name)
    for i in graph.input:
        if i.name not in initializers:
            f.shapes[i.name], f.types[i.name] = input_shapes[i.name], i.type.tensor_type.elem_type
    for name, t in initializers.items():
        _check_size(f"weights {name!r}", tuple(t.dims))
        _set_constant(f, name, numpy_helper.to_array(t))
    for node in graph.node:
        _visit(f, node, opset)
    _drop_dead(f)
    return f


def _set_constant(f: Folded, name: str, value: np.ndarray) -> None:
    f.constants[name] = value
    f.shapes[name] = value.shape
    f.types[name] = helper.np_dtype_to_tensor_dtype(value.dtype)


def _check_size(what: str, shape: tuple[int, ...]) -> None:
    if prod(shape) > MAX_ELEMENTS or min(shape, default=1) < 0:
        raise HmdcError(f"{what} would have shape {list(shape)}; the most is {MAX_ELEMENTS} elements")


def _visit(f: Folded, node: onnx.NodeProto, opset: int) -> None:
    inputs = [v for v in node.input if v]
    if node.op_type == "Shape" and node.domain == "" and inputs[0] in f.shapes:
        return _set_constant(f, node.output[0], _shape_op(node, f.shapes[inputs[0]]))
    constant = all(v in f.constants for v in inputs) and node.op_type in FOLDABLE and node.domain in ("", "ai.onnx")
    if constant and node.op_type == "Constant":
        return _set_constant(f, node.output[0], _evaluate(f, node, opset)[0])
    _infer(f, node, opset)
    if constant:
        for name in node.output:
            if name and name in f.shapes:
                _check_size(label(node), f.shapes[name])
            elif name and node.op_type not in ("Reshape", "Range", "Slice"):
                raise HmdcError(f"{label(node)}: the size of its result cannot be bounded")
        for name, value in zip(node.output, _evaluate(f, node, opset)):
            if name:
                _set_constant(f, name, np.asarray(value))
    else:
        f.nodes.append(node)


def _shape_op(node: onnx.NodeProto, shape: tuple[int, ...]) -> np.ndarray:
    a = {x.name: x.i for x in node.attribute}
    return np.array(shape[a.get("start", 0) : a.get("end", len(shape))], np.int64)


def _evaluate(f: Folded, node: onnx.NodeProto, opset: int) -> list[np.ndarray]:
    names = list(dict.fromkeys(v for v in node.input if v))
    graph = helper.make_graph(
        [node], "constant",
        [helper.make_tensor_value_info(v, f.types[v], f.shapes[v]) for v in names],
        [helper.make_empty_tensor_value_info(v) for v in node.output if v],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        with np.errstate(all="ignore"):
            results = iter(ReferenceEvaluator(model).run(None, {v: f.constants[v] for v in names}))
    except Exception as e:  # the evaluator raises whatever numpy does on malformed nodes
        raise HmdcError(f"{label(node)} cannot be evaluated: {(str(e).splitlines() or [''])[0][:120]}") from e
    return [next(results) if v else None for v in node.output]


def _infer(f: Folded, node: onnx.NodeProto, opset: int) -> None:
    """Shapes and types of the outputs, where onnx can tell them."""
    if (
        node.domain not in ("", "ai.onnx")
        or not defs.has(node.op_type)
        or any(v and v not in f.shapes for v in node.input)
    ):
        return
    types = {v: helper.make_tensor_type_proto(f.types[v], f.shapes[v]) for v in node.input if v}
    data = {
        v: numpy_helper.from_array(f.constants[v], v)
        for v in node.input
        if v in f.constants and f.constants[v].size < 64
    }
    try:
        schema = defs.get_schema(node.op_type, opset, "")
        found = shape_inference.infer_node_outputs(
            schema, node, types, data, opset_imports=[helper.make_opsetid("", opset)]
        )
    except Exception as e:
        raise HmdcError(f"{label(node)}: its shapes do not fit: {(str(e).splitlines() or [''])[0][:160]}") from e
    for name, t in found.items():
        f.types[name] = t.tensor_type.elem_type
        dims = t.tensor_type.shape.dim
        if t.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            f.shapes[name] = tuple(d.dim_value for d in dims)


def _drop_dead(f: Folded) -> None:
    needed, live = set(f.outputs), []
    for node in reversed(f.nodes):
        if needed & set(node.output):
            live.append(node)
            needed |= set(node.input)
    f.nodes = live[::-1]
