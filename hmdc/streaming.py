"""How a network behaves along time: which inputs only set states, which outputs only read them, and its time step."""

from dataclasses import dataclass
from itertools import islice, product

from .cells import CELLS
from .errors import NotStreamable
from .layers import NOW, OPS
from .layers.base import Tag, with_attrs
from .model import Model, Node
from .program import frame_name

PICK = ("reshape", "transpose", "slice")
LAYOUT = (*PICK, "concat")
ATTEMPTS = 256  # ways to find the time axes of several inputs


@dataclass
class Roles:
    """setup: nodes that compute initial states from `states` (graph inputs) alone.

    getters: graph outputs that are final states -> the layout nodes in between.  main: every other live node.
    """

    states: list[str]
    setup: list[Node]
    getters: dict[str, list[Node]]
    main: list[Node]


def roles(model: Model) -> Roles:
    consumers, outputs = model.consumers(), set(model.outputs)
    only_state = {v for v in consumers if v not in outputs}
    while True:
        lost = {v for v in only_state if not all(_sets_state(n, i, only_state) for n, i in consumers[v])}
        made = {v for n in model.nodes for v in n.outputs if v in only_state and not set(n.inputs) <= only_state}
        if not lost | made:
            break
        only_state -= lost | made
    states = [v for v in model.inputs if v in only_state]
    setup = [n for n in model.nodes if all(v in only_state for v in n.outputs if v)]
    getters = {}
    for v in model.outputs[1:]:
        path = _path_to_state(model, v) if states else None
        if path is not None:
            getters[v] = path
    live = _ancestors(model, [v for v in model.outputs if v not in getters], setup)
    return Roles(states, setup, getters, live)


def _sets_state(node: Node, position: int, only_state: set[str]) -> bool:
    if node.op in CELLS:
        return 0 < position <= len(CELLS[node.op].states)
    return all(v in only_state for v in node.outputs if v)


def _path_to_state(model: Model, value: str) -> list[Node] | None:
    """The layout nodes between final states and `value`, or None when anything else is involved."""
    producers, path, todo = model.producers(), [], [value]
    while todo:
        v = todo.pop()
        node = producers.get(v)
        if node is not None and node.op in LAYOUT:
            path.append(node)
            todo += node.inputs
        elif node is None or node.op not in CELLS or node.outputs.index(v) == 0:
            return None
    return [n for n in model.nodes if n in path]


def _ancestors(model: Model, values: list[str], without: list[Node]) -> list[Node]:
    """Live nodes: what `values` need, and every recurrent layer, whose state goes on either way."""
    producers, seen = model.producers(), set()
    todo = list(values) + [n.outputs[0] or n.outputs[1] for n in model.nodes if n.op in CELLS]
    skip = {id(n) for n in without}
    while todo:
        node = producers.get(todo.pop())
        if node is not None and id(node) not in seen | skip:
            seen.add(id(node))
            todo += [v for v in node.inputs if v]
    return [n for n in model.nodes if id(n) in seen]


@dataclass
class Frame:
    """One time step of a network.

    nodes: with attributes for one step; tags: value -> where its time axis is; steps: of a sequence; rates: as in
    Program; stages: value -> how many of them are behind it.
    """

    nodes: list[Node]
    tags: dict[str, Tag]
    steps: int
    rates: tuple[tuple[int, int], ...]
    stages: dict[str, int]


def frame(model: Model, who: Roles) -> Frame:
    """The time step of a network; raises NotStreamable naming the layer that needs the whole sequence."""
    data = [v for v in model.inputs if v not in who.states]
    lengths = [model.steps]
    if any(n.op in CELLS for n in who.main):  # which tell whether an axis is time
        lengths += sorted({n for v in data for n in model.inputs[v]} - {model.steps})
    furthest, error = -1, NotStreamable("the network has no time axis")
    for n in lengths:
        axes = [[a for a, size in enumerate(model.inputs[v]) if size == n] + [NOW] for v in data]
        for tags in islice(product(*axes), ATTEMPTS):
            if any(isinstance(t, int) for t in tags):
                found, progress = _attempt(model, who, dict(zip(data, tags)), n)
                if isinstance(found, Frame):
                    return found
                if progress > furthest:
                    furthest, error = progress, found
    raise error


def _attempt(model: Model, who: Roles, tags: dict[str, Tag], n: int) -> tuple[Frame | NotStreamable, int]:
    """Propagate the tags of the inputs; on failure the reason, and how many nodes it came past."""
    nodes, rates = [], {v: () for v, tag in tags.items() if isinstance(tag, int)}
    for node in who.main:
        known = [v for v in node.inputs if v in tags]
        try:
            rate = _common(node, {rates[v] for v in known if v in rates})
            step, out = OPS[node.op].frame(node, [tags[v] for v in known], [model.shapes[v] for v in known])
        except NotStreamable as e:
            return e, len(nodes)
        if "rate" in step.attrs:
            step, rate = with_attrs(step, source=frame_name(len(rate))), (*rate, step.attrs["rate"])
        nodes.append(step)
        tags |= {v: out if i == 0 else NOW for i, v in enumerate(node.outputs) if v}
        rates |= {v: rate for v in node.outputs if v}
    try:
        slowest = _slowest(model, nodes, tags, rates)
    except NotStreamable as e:
        return e, len(nodes)
    return Frame(nodes, tags, n, slowest, {v: len(r) for v, r in rates.items()}), len(nodes)


def _common(node: Node, rates: set) -> tuple:
    """The rate at which the inputs of a node come; those that do not change over time fit any."""
    if len(rates) > 1:
        raise NotStreamable(f"{node.name} combines values that come at different rates")
    return rates.pop() if rates else ()


def _slowest(model: Model, nodes: list[Node], tags: dict[str, Tag], rates: dict[str, tuple]) -> tuple:
    """The rates of the network: those of its outputs, and of all that is not read step by step."""
    slowest = max(rates.values(), key=len)
    for rate in rates.values():
        if rate != slowest[: len(rate)]:
            raise NotStreamable(f"its layers work at rates of their own: {list(slowest)} and {list(rate)}")
    late = [v for n in nodes for v in n.inputs if v in tags and not isinstance(tags[v], int)]
    for v in [*model.outputs, *late]:
        if rates.get(v, slowest) != slowest:
            raise NotStreamable(f"{v} comes at another rate than the rest")
    return slowest


def newest(model: Model, nodes: list[Node]) -> list[Node]:
    """The nodes of a whole sequence; forward layers keep no more than the newest h if that is all that is read."""
    forward = [n for n in nodes if n.op in CELLS and not n.attrs["reverse"] and not n.attrs.get("length")]
    for layer in [n for n in forward if n.outputs[0]]:
        nodes = _newest(model, nodes, layer) or nodes
    return nodes


def _newest(model: Model, nodes: list[Node], layer: Node) -> list[Node] | None:
    """None where anything but layout comes before the newest h is picked."""
    tags, out = {layer.outputs[0]: 0}, []
    for node in nodes:
        read = [v for v in node.inputs if isinstance(tags.get(v), int)]
        if node is layer:
            node = with_attrs(node, newest=True)
        elif read and node.op not in PICK:
            return None
        elif read:
            try:
                node, tags[node.outputs[0]] = OPS[node.op].frame(node, [tags[read[0]]], [model.shapes[read[0]]])
            except NotStreamable:
                return None
        out.append(node)
    return None if any(isinstance(tags.get(v), int) for v in model.outputs) else out
