"""Constants and shapes of every value, node by node, with onnx's own evaluator and shape inference."""

import numpy as np
import onnx
from onnx import defs, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from ...errors import HmdcError
from .folded import MAX_CONSTANTS, MAX_VALUES, Folded, label, told
from .loops import write_out
from .quantized import as_float, check_outputs

# Pure functions of their inputs; control flow and random numbers are never evaluated.
FOLDABLE = frozenset(
    """Abs Add And Cast CastLike Ceil Clip Concat Constant ConstantOfShape CumSum Div Equal Exp Expand Flatten
    Floor Gather GatherND Gemm Greater GreaterOrEqual Identity LayerNormalization Less LessOrEqual Log
    LogSoftmax LpNormalization MatMul Max Min Mod Mul Neg Not Or Pad Pow Range Reciprocal ReduceL2 ReduceMax
    ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape ScatterND Shape Sigmoid Sign Size
    Slice Softmax Split Sqrt Squeeze Sub Sum Tanh Tile Transpose Unsqueeze Where""".split()
)
OLDEST = 7  # opset, as in ONNX Runtime
RECURRENT = ("LSTM", "GRU", "RNN")
OTHER = (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING, onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128)


def fold(model: onnx.ModelProto, input_shapes: dict[str, tuple[int, ...]]) -> Folded:
    """Bind every input to a shape and propagate.  Raises HmdcError naming the node whose shape stays unknown."""
    graph = model.graph
    opsets = {o.version for o in model.opset_import if o.domain in ("", "ai.onnx")} or {1}
    if len(opsets) > 1:
        raise HmdcError(f"the file imports the opsets {sorted(opsets)} of the same operators; export it again")
    (opset,) = opsets
    if opset < OLDEST:
        raise HmdcError(
            f"opset {opset} is not read, as its operators broadcast in another way; export with 11 or newer"
        )
    initializers = {t.name: t for t in graph.initializer}
    f = Folded(dict(input_shapes), [o.name for o in graph.output], [], opset, model.producer_name)
    for i in graph.input:
        if i.name not in initializers:
            f.shapes[i.name], f.types[i.name] = input_shapes[i.name], i.type.tensor_type.elem_type
            f.count(f"input {i.name!r}", f.shapes[i.name], MAX_VALUES)
    for name, t in initializers.items():
        f.set_constant(name, f.weights(t))
    f.known = {*f.shapes}
    for node in graph.node:
        _read(f, node)
    check_outputs(f)
    for name in f.outputs:
        if name not in f.known or f.outputs.count(name) > 1:
            raise HmdcError(f"output {name!r} is listed twice or computed by no node; export the network again")
    drop_dead(f)
    return f


def _read(f: Folded, node: onnx.NodeProto) -> None:
    with told(node):
        if node.op_type in ("Loop", "Scan") and node.domain == "":
            return write_out(f, node, lambda inner: _read(f, inner))
        _check_names(f, node)
        for plain in as_float(f, node):
            _visit(f, plain, f.opset)


def _check_names(f: Folded, node: onnx.NodeProto) -> None:
    """Every value is written once, and before it is read."""
    for v in node.input:
        if v and v not in f.known:
            raise HmdcError(f"{label(node)} reads {v!r}, which nothing before it computes; export the network again")
    for v in node.output:
        if v in f.known:
            raise HmdcError(f"{label(node)} writes {v!r}, which exists before it; export the network again")
        f.known |= {v} - {""}


def _visit(f: Folded, node: onnx.NodeProto, opset: int) -> None:
    inputs = [v for v in node.input if v]
    if node.op_type == "Shape" and node.domain == "" and inputs[0] in f.shapes:
        return f.set_constant(node.output[0], _shape_op(node, f.shapes[inputs[0]]))
    constant = all(v in f.constants for v in inputs) and node.op_type in FOLDABLE and node.domain in ("", "ai.onnx")
    constant &= node.op_type != "Softmax" or opset >= 13  # onnx evaluates the older one as if it were the newer
    if constant and node.op_type == "Constant":
        return f.set_constant(node.output[0], _evaluate(f, node, opset)[0])
    _infer(f, node, opset)
    if constant:
        for name in filter(None, node.output):
            if f.types.get(name, onnx.TensorProto.UNDEFINED) in OTHER:
                raise HmdcError(f"{label(node)} gives text or nothing; export the network without it")
            if name in f.shapes:
                f.count(label(node), f.shapes[name], MAX_CONSTANTS)
            elif node.op_type not in ("Reshape", "Slice"):
                raise HmdcError(f"{label(node)}: the size of its result cannot be bounded; export with fixed shapes")
        for name, value in zip(node.output, _evaluate(f, node, opset)):
            if name:
                f.set_constant(name, np.asarray(value))
    else:
        f.nodes.append(node)
        for name in f.shapes.keys() & {*node.output}:
            f.count(f"{label(node)}: its result", f.shapes[name], MAX_VALUES)
            if 0 in f.shapes[name] and node.op_type != "Split":  # an empty part that nobody reads does no harm
                raise HmdcError(
                    f"{label(node)} gives nothing: its result has shape {list(f.shapes[name])}; take a longer sequence"
                )


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
        raise HmdcError(
            f"{label(node)} cannot be evaluated ({(str(e).splitlines() or [''])[0][:120]}); export the network again"
        ) from e
    return [next(results) if v else None for v in node.output]


def _before_onnx_aborts(f: Folded, node: onnx.NodeProto) -> None:
    """What takes the whole process down with it in onnx's shape inference."""
    if node.op_type == "Slice" and 0 in f.shapes[node.input[0]]:  # where a step is negative
        raise HmdcError(f"{label(node)} takes a part of nothing: its input has shape {list(f.shapes[node.input[0]])}; "
                        "export the network again")  # fmt: skip
    parts = next((a.i for a in node.attribute if a.name == "num_outputs"), len(node.output))
    if node.op_type == "Split" and parts != len(node.output):
        raise HmdcError(f"{label(node)} makes {parts} parts for {len(node.output)} outputs; export the network again")


def _infer(f: Folded, node: onnx.NodeProto, opset: int) -> None:
    """Shapes and types of the outputs, where onnx can tell them."""
    if (
        node.domain not in ("", "ai.onnx")
        or not defs.has(node.op_type)
        or any(a.HasField("g") or a.graphs for a in node.attribute)
        or any(v and v not in f.shapes for v in node.input)
    ):
        return
    _before_onnx_aborts(f, node)
    node = _with_hidden_size(f, node)
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
        reason = (str(e).splitlines() or [""])[0][:160]
        raise HmdcError(f"{label(node)}: its shapes do not fit ({reason}); export again, or correct --input-shape and "
                        "--steps") from e  # fmt: skip
    for name, t in found.items():
        f.types[name] = t.tensor_type.elem_type
        dims = t.tensor_type.shape.dim
        if t.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            f.shapes[name] = tuple(d.dim_value for d in dims)


def _with_hidden_size(f: Folded, node: onnx.NodeProto) -> onnx.NodeProto:
    """The attribute is optional, but shape inference wants it; the weights R say the same."""
    r = f.shapes.get(node.input[2]) if node.op_type in RECURRENT and len(node.input) > 2 else None
    if not r:
        return node
    given = [a.i for a in node.attribute if a.name == "hidden_size"]
    if any(n != r[-1] for n in given):
        raise HmdcError(f"{label(node)}: hidden_size is {given[0]} but R has shape {list(r)}; export the network again")
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.attribute.extend([] if given else [helper.make_attribute("hidden_size", r[-1])])
    return copy


def drop_dead(f: Folded) -> None:
    needed, live = set(f.outputs), []
    for node in reversed(f.nodes):
        if needed & set(node.output):
            live.append(node)
            needed |= set(node.input)
    f.nodes = live[::-1]
