"""What every step does to its own x alone is done to the whole sequence; the steps take slices of the result."""

from dataclasses import replace
from itertools import count
from math import prod

from ..model import Model, Node
from ..rewrite import drop_dead, in_order

LIFTED = ("reshape", "dense", "affine", "activation", "softmax", "add", "sub", "mul")


def lift(model: Model) -> Model:
    """The same network.  model.shapes is up to date; those of the result are empty."""
    taken = {*model.inputs} | {v for n in model.nodes for v in n.outputs}
    names = filter(lambda name: name not in taken, (f"#lifted{i}" for i in count()))
    new: list[Node] = []
    whole: dict[str, tuple[str, int]] = {}  # value of a step -> sequence [steps, *shape of the value], index
    for lanes in _slices(model):
        new += _in_front(model, lanes[0], len(lanes), names)
        whole |= {n.outputs[0]: (new[-1].outputs[0], t) for t, n in lanes.items()}
    steps, given = {y: sum(v == y for v, _ in whole.values()) for y, _ in whole.values()}, len(whole)
    while found := [g for (seqs, *_), g in _groups(model, whole).items() if len(g) == steps[seqs[0]]]:
        for lanes in found:
            first = lanes[0][0]
            y, inputs = next(names), tuple(whole[v][0] for v in first.inputs)
            new.append(replace(first, inputs=inputs, outputs=(y,), attrs=_attrs(model, first, len(lanes))))
            steps[y] = len(lanes)
            whole |= {n.outputs[0]: (y, t) for t, same in lanes.items() for n in same}
    cuts = []
    for v, (y, t) in [*whole.items()][given:]:
        cut, at = next(names), {"axis": 0, "start": t, "stop": t + 1, "step": 1}
        cuts.append(Node("slice", "slice", (y,), (cut,), at))
        cuts.append(Node("reshape", "reshape", (cut,), (v,), {"shape": model.shapes[v]}))
    made = {v for n in cuts for v in n.outputs}
    rest = [n for n in model.nodes if not made & {*n.outputs}]
    return drop_dead(replace(model, nodes=in_order([*new, *cuts, *rest], model.inputs), shapes={}))


def _slices(model: Model) -> list[dict[int, Node]]:
    """Of each sequence that is cut into all of its indices: index -> slice."""
    found: dict[tuple, dict[int, Node]] = {}
    for n in model.nodes:
        if n.op == "slice" and n.attrs["stop"] - n.attrs["start"] == 1:
            found.setdefault((n.inputs[0], n.attrs["axis"]), {}).setdefault(n.attrs["start"], n)
    return [lanes for (x, axis), lanes in found.items() if 1 < len(lanes) == model.shapes[x][axis]]


def _in_front(model: Model, cut: Node, steps: int, names) -> list[Node]:
    """The sequence with its time axis first."""
    x, axis, shape, nodes = cut.inputs[0], cut.attrs["axis"], model.shapes[cut.outputs[0]], []
    if prod(shape[:axis]) > 1:
        perm = (axis, *(a for a in range(len(shape)) if a != axis))
        nodes.append(Node("transpose", "transpose", (x,), (x := next(names),), {"perm": perm}, {}, cut.source))
    return [*nodes, Node("reshape", "reshape", (x,), (next(names),), {"shape": (steps, *shape)}, {}, cut.source)]


def _groups(model: Model, whole: dict[str, tuple[str, int]]) -> dict[tuple, dict[int, list[Node]]]:
    """(sequences, op, attrs, weights) -> index -> the nodes that are alike there."""
    groups: dict[tuple, dict[int, list[Node]]] = {}
    for n in model.nodes:
        if n.op not in LIFTED or n.outputs[0] in whole or not all(v in whole for v in n.inputs):
            continue
        at = {whole[v][1] for v in n.inputs}
        if len(at) == 1:
            weights = tuple((k, w.shape, w.tobytes()) for k, w in n.weights.items())
            key = tuple(whole[v][0] for v in n.inputs), n.op, tuple(n.attrs.items()), weights
            groups.setdefault(key, {}).setdefault(at.pop(), []).append(n)
    return groups


def _attrs(model: Model, node: Node, steps: int) -> dict:
    """Of the node on values that have one axis more, in front."""
    own = {"axis": node.attrs["axis"] + 1} if "axis" in node.attrs else {}
    return node.attrs | own | ({"shape": (steps, *node.attrs["shape"])} if "shape" in node.attrs else {})
