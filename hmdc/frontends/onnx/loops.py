"""Loop and Scan with a constant number of steps, written out; frontends/rollup.py makes cells of the steps again."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper

from ...errors import HmdcError
from .folded import Folded, label

MAX_NODES = 1 << 14  # of all steps together
WAY_OUT = "keep the recurrent layer whole: nn.LSTM/GRU/RNN in PyTorch, a plain LSTM/GRU layer without masks in Keras"

Visit = Callable[[onnx.NodeProto], None]
Step = Callable[[list[str], int], list[str]]  # values that a step reads, its number -> values that it makes


def write_out(f: Folded, node: onnx.NodeProto, visit: Visit) -> None:
    """Visit the nodes of every step.  Raises HmdcError where their number depends on the data."""
    attrs = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    body = attrs["body"]
    if any(a.HasField("g") or a.graphs for n in body.node for a in n.attribute):
        raise _refuse(node, "holds further subgraphs")
    for t in body.initializer:
        if t.name in f.known:
            raise _refuse(node, f"hides {t.name!r} of the graph around it")
    own = {t.name: f.add_constant(f"{t.name}/{node.output[0]}", f.weights(t)) for t in body.initializer}
    step = lambda given, i: _step(f, node, body, own, given, i, visit)
    if node.op_type == "Loop":
        return _loop(f, node, step, visit)
    _scan(f, node, attrs, len(body.output), step, visit)


def _refuse(node: onnx.NodeProto, why: str) -> HmdcError:
    return HmdcError(f"{label(node)}: {why}; {WAY_OUT}")


def _step(f: Folded, node: onnx.NodeProto, body: onnx.GraphProto, own: dict[str, str], given: list[str], i: int,
          visit: Visit) -> list[str]:  # fmt: skip
    """The nodes of step i under names of their own; returns the names of its outputs.  own: constants of the body."""
    if len(body.input) != len(given) or len(body.output) < len(node.output) + (node.op_type == "Loop"):
        raise _refuse(node, f"its body takes {len(body.input)} values and gives {len(body.output)}, which does not fit")
    names = own | dict(zip((v.name for v in body.input), given))
    if (i + 1) * max(len(body.node), 1) > MAX_NODES:
        raise _refuse(node, f"runs {i + 1} steps of {len(body.node)} nodes or more; the most is {MAX_NODES} nodes")
    for inner in body.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(inner)
        del copy.input[:], copy.output[:]
        copy.input.extend(names.get(v, v) for v in inner.input)
        names |= {v: f"{v}/{node.name or node.output[0]}/{i}" for v in inner.output if v}
        copy.output.extend(names.get(v, v) for v in inner.output)
        visit(copy)
    return [names.get(v.name, v.name) for v in body.output]


def _loop(f: Folded, node: onnx.NodeProto, step: Step, visit: Visit) -> None:
    count, condition = [f.constants.get(v) if v else None for v in [*node.input, "", ""][:2]]
    if any(v and v not in f.constants for v in node.input[:2]):
        raise _refuse(node, "the number of its steps depends on the data")
    most = np.iinfo(np.int64).max if count is None else int(np.ravel(count)[0])
    go, states, rows, i = condition is None or bool(np.ravel(condition)[0]), [*node.input[2:]], [], 0
    while go and i < most:
        counter = f.add_constant(f"{node.output[0]}/step{i}", np.int64(i))
        held = f.add_constant(f"{node.output[0]}/go{i}", np.bool_(True))
        go, *out = step([counter, held, *states], i)
        if go not in f.constants:
            raise _refuse(node, "the number of its steps depends on the data")
        go, states, i = bool(np.ravel(f.constants[go])[0]), out[: len(states)], i + 1
        rows.append(out[len(states) :])
    _results(f, node, states, rows, visit)


def _scan(f: Folded, node: onnx.NodeProto, attrs: dict, results: int, step: Step, visit: Visit) -> None:
    """results: of the body."""
    n = attrs["num_scan_inputs"]
    if not 0 < n <= len(node.input):
        raise _refuse(node, f"scans {n} of its {len(node.input)} inputs")
    states, data = [*node.input[:-n]], [*node.input[-n:]]
    outputs = results - len(states)
    if f.opset < 9 or any(attrs.get("scan_output_axes", ())):
        raise _refuse(node, "has a batch axis of its own, or outputs along another axis than the first")
    axes = attrs.get("scan_input_axes", [0] * n)
    lengths = {f.shapes[v][axis] for v, axis in zip(data, axes)}
    if len(lengths) != 1:
        raise _refuse(node, f"its inputs have {sorted(lengths)} steps")
    (steps,) = lengths
    if steps > MAX_NODES:
        raise _refuse(node, f"runs {steps} steps; the most is {MAX_NODES}")
    rows: list = [None] * steps
    backward = attrs.get("scan_output_directions", [0] * outputs)
    for i in range(steps):
        now = []
        for v, axis, back in zip(data, axes, attrs.get("scan_input_directions", [0] * n)):
            index = f.add_constant(f"{v}/index{i}", np.int64(steps - 1 - i if back else i))
            now.append(f"{v}/{node.name or node.output[0]}/in{i}")
            visit(helper.make_node("Gather", [v, index], [now[-1]], node.name, axis=axis))
        out = step([*states, *now], i)
        states, rows[i] = out[: len(states)], out[len(states) :]
    columns = [c[::-1] if b else c for c, b in zip(zip(*rows), backward)]
    _results(f, node, states, list(zip(*columns)), visit)


def _results(f: Folded, node: onnx.NodeProto, states: list[str], rows: list, visit: Visit) -> None:
    """States are those after the last step; what every step gives is stacked along a new first axis."""
    if not rows:
        raise _refuse(node, "runs no step")
    for v, y in zip(states, node.output):
        if y:
            visit(helper.make_node("Identity", [v], [y], node.name))
    for column, y in zip(zip(*rows), node.output[len(states) :]):
        if not y:
            continue
        parts = [f"{y}/{i}" for i in range(len(column))]
        for v, part in zip(column, parts):
            shape = f.add_constant(f"{part}/shape", np.array((1, *f.shapes[v]), np.int64))
            visit(helper.make_node("Reshape", [v, shape], [part], node.name))
        visit(helper.make_node("Concat", parts, [y], node.name, axis=0))
