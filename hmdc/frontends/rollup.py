"""Steps that a file writes out one by one become a recurrent layer again.

A chain of dense layers with the same weights, each of which depends on the one before, marks the steps.  One step is
taken as a function of x and the states; cells.py finds the weights with which a cell computes the same.  All of it is
believed only if the network with the cell in place of the steps gives the same outputs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from ..cells import CELLS
from ..layers import OPS
from ..model import Model, Node
from ..reference import evaluate, shapes
from ..rewrite import drop_dead, in_order
from .fit import Step, cells
from .initial import initial_states
from .lift import lift

AFFINE = ("dense", "affine", "reshape", "transpose", "pad")
ARRANGE = ("reshape", "concat")
TOLERANCE = 1e-5
SAMPLES = 8
MAX_PROBE = 1 << 23  # numbers of a sequence that probes how steps depend on x


def roll_up(model: Model) -> Model:
    """The model with every chain of known steps rolled up; others stay as they are."""
    while len({id(n) for c in _chains(model) for n in c}) > 2:
        model = drop_dead(model)
        model.shapes = shapes(model)
        rolled = _rolled_once(model) or _rolled_once(lift(model))
        if rolled is None:
            break
        model = rolled
    return model


def _rolled_once(model: Model) -> Model | None:
    model.shapes = model.shapes or shapes(model)
    return next((m for c in _chains(model) for m in _candidates(model, c) if _same(model, m)), None)


def _same(old: Model, new: Model) -> bool:
    """Whether both compute the same outputs of random inputs."""
    inputs = _random(old, 0)
    want, got = evaluate(old, inputs), evaluate(new, inputs)
    close = lambda a, b: a.shape == b.shape and np.abs(a - b).max() <= TOLERANCE * max(1.0, np.abs(a).max())
    return all(close(want[v], got[v]) for v in old.outputs)


def _random(model: Model, seed: int) -> dict[str, np.ndarray]:
    """Some samples of every input."""
    rng = np.random.default_rng(seed)
    sizes = {v: (SAMPLES, *s) for v, s in model.inputs.items()}
    normal = {v: rng.normal(size=s) for v, s in sizes.items() if v not in model.integers}
    return normal | {v: rng.integers(*limits, sizes[v], endpoint=True) for v, limits in model.integers.items()}


def _chains(model: Model) -> list[list[Node]]:
    groups: dict[tuple, list[Node]] = {}
    for n in model.nodes:
        if n.op == "dense":
            groups.setdefault((n.weights["w"].shape, n.weights["w"].tobytes()), []).append(n)
    chains = [g for group in groups.values() for g in (group, group[1:]) if len(g) > 2]  # the first may be folded
    return [g for g in chains if _in_a_row(g, _levels(model, g))]


def _in_a_row(chain: list[Node], level: dict[str, int]) -> bool:
    return [level[n.outputs[0]] for n in chain] == list(range(len(chain)))


def _levels(model: Model, chain: list[Node]) -> dict[str, int]:
    """value -> the last step that it depends on, -1 = none."""
    level, marks = dict.fromkeys(model.inputs, -1), {id(n) for n in chain}
    for n in model.nodes:
        most = max((level[v] for v in n.inputs if v), default=-1) + (id(n) in marks)
        level |= dict.fromkeys(n.outputs, most)
    return level


@dataclass
class Steps:
    """template: the nodes of one step.  maps: for each step, value of the template -> value of that step.

    states: values that the template reads of the step before, h first -> what it makes of them.
    outside: what else it reads.
    """

    template: list[Node]
    states: dict[str, str]
    outside: list[str]
    maps: list[dict[str, str]]


def _candidates(model: Model, chain: list[Node]) -> Iterator[Model]:
    steps = _steps(model, chain)
    found = steps and _source(model, steps)
    if not found:
        return
    source, total, starts = found
    size, stride = prod(model.shapes[source]) // total, starts[1] - starts[0]
    n = prod(model.shapes[next(iter(steps.states))])
    if (
        prod(model.shapes[source]) % total
        or any(prod(model.shapes[v]) != n for v in steps.states)
        or len(steps.states) > 2
        or (size + 1) * total * size > MAX_PROBE
    ):
        return
    folded = len(chain) == total - 1  # of a first step from a constant state, U h is a constant
    if starts != [*range(total)][::stride][folded:]:
        return
    outside = _affine(model, source, [*steps.outside], total, size, starts[1])
    step = Step(model, steps.template, steps.states, outside, size, n)
    for op, attrs, weights in cells(step):
        node = Node(op, op, (), (), {"hidden": n, "reverse": stride < 0} | attrs, weights, chain[0].source)
        if folded:
            values = evaluate(model, _random(model, 1))  # others than those that prove the result
            x = values[source].reshape(SAMPLES, total, size)[:, starts[0] - stride]
            first = (values[steps.maps[0][v]].reshape(SAMPLES, n) for v in steps.states)
            weights |= initial_states(node, x, dict(zip(CELLS[op].states, first)))
        yield _rolled(model, steps, node, source, (total, size, starts, folded))


def _steps(model: Model, chain: list[Node]) -> Steps | None:
    level, producers = _levels(model, chain), model.producers()
    needed, template = {_root(chain[2].inputs[0], producers, level)}, []
    for n in reversed(model.nodes):
        if needed & {*n.outputs} and level[n.outputs[0]] == 1:
            template.insert(0, n)
            needed |= {*n.inputs}
    while True:  # what only arranges a state, or takes a share of it, belongs to the step that reads it
        made = {v for n in template for v in n.outputs}
        read = list(dict.fromkeys(v for n in template for v in n.inputs if v not in made))
        before = [producers[v] for v in read if level[v] == 0 and v in producers]
        moved = [n for n in before if n.op in ARRANGE or n.op == "affine" and n.inputs[0] in read]
        if not moved:
            break
        template[:0] = moved
    consumers = model.consumers()
    maps = [_match(producers, consumers, template, chain[1], dense) for dense in chain]
    if any(m is None for m in maps):
        return None
    back = {v: t for t, v in maps[0].items() if t in made}
    states = {v: back.get(v) for v in read if level[v] == 0}
    h = _root(chain[1].inputs[0], producers, level)
    if None in states.values() or h not in states:
        return None
    states = {h: states[h]} | states
    if any(maps[k][v] != maps[k - 1][t] for k in range(1, len(maps)) for v, t in states.items()):
        return None
    return Steps(template, states, [v for v in read if level[v] < 0], maps)


def _root(value: str, producers: dict[str, Node], level: dict[str, int]) -> str:
    """The state that a reshape of it, or [x; h], comes from."""
    while value in producers and producers[value].op in ARRANGE:
        parts = [v for v in producers[value].inputs if level[v] == level[value]]
        if len(parts) != 1:
            break
        value = parts[0]
    return value


def _alike(a: Node, b: Node) -> bool:
    return (a.op, a.attrs, a.weights.keys()) == (b.op, b.attrs, b.weights.keys()) and all(
        np.array_equal(w, b.weights[k]) for k, w in a.weights.items()
    )


def _match(producers: dict, consumers: dict, template: list[Node], first: Node, dense: Node) -> dict[str, str] | None:
    """The values of another step that correspond to those of the template, found from its dense layer on."""
    made = {v: n for n in template for v in n.outputs}
    found: dict[str, str] = {}

    def unify(t: Node, other: Node) -> bool:
        if not _alike(t, other) or any(found.get(v, w) != w for v, w in zip(t.inputs, other.inputs)):
            return False
        found.update(zip(t.outputs, other.outputs))
        for v, w in zip(t.inputs, other.inputs):
            new = v not in found
            found[v] = w
            if new and v in made and not (w in producers and unify(made[v], producers[w])):
                return False
        return True

    if not unify(first, dense):
        return None
    for t in template:
        if t.outputs[0] in found:
            continue
        options = [m for v in t.inputs if v in found for m, _ in consumers.get(found[v], [])
                   if _alike(t, m) and all(found.get(a, b) == b for a, b in zip(t.inputs, m.inputs))]  # fmt: skip
        if options and not unify(t, options[0]):
            return None
    return found if all(t.outputs[0] in found for t in template) else None


def _source(model: Model, steps: Steps) -> tuple[str, int, list[int]] | None:
    """The sequence that the steps take x from, its length, and the index that each step takes."""
    producers, above = model.producers(), []
    found = [_slices(model, producers, [m[v] for v in steps.outside], len(steps.maps)) for m in steps.maps]
    if any(f is None or len({start for *_, start in f}) != 1 for f in found) or not found[0]:
        return None
    places = {frozenset((v, axis) for v, axis, _ in f) for f in found}
    if len(places) != 1:
        return None
    (sources,) = places
    for v, _ in sorted(sources):
        path = [v]
        while (n := producers.get(path[-1])) is not None and n.op in AFFINE:
            path.append(n.inputs[0])
            if n.op == "dense" and len(sources) == 1:
                break
        above.append(path)
    common = [v for v in above[0] if all(v in path for path in above)]
    if not common:
        return None
    v, axis = next(iter(sources))
    whole = common[-1] if len(sources) == 1 else common[0]
    return whole, model.shapes[v][axis], [next(iter(f))[2] for f in found]


def _slices(model: Model, producers: dict, values: list[str], least: int) -> set[tuple[str, int, int]] | None:
    """(sequence, axis, index) of the slices along time that the values are computed from, None if not by them alone."""
    todo, found = [*values], set()
    while todo:
        n = producers.get(todo.pop())
        if n is None or n.op not in (*AFFINE, "slice", "add"):
            return None
        if (
            n.op == "slice"
            and n.attrs["stop"] - n.attrs["start"] == 1
            and model.shapes[n.inputs[0]][n.attrs["axis"]] >= least
        ):
            found.add((n.inputs[0], n.attrs["axis"], n.attrs["start"]))
        else:
            todo += n.inputs
    return found


def _affine(model: Model, source: str, values: list[str], total: int, size: int, at: int) -> dict:
    """value -> (matrix [size, n], offset [n]) of how it depends on x of its step."""
    probe = np.zeros((size + 1, total, size))
    probe[1:, at] = np.eye(size)
    env = {source: probe.reshape(size + 1, *model.shapes[source])}
    for n in model.nodes:
        if n.inputs and all(v in env for v in n.inputs) and n.op in (*AFFINE, "slice", "add"):
            env |= dict(zip(n.outputs, OPS[n.op].reference(n, *(env[v] for v in n.inputs))))
    flat = {v: env[v].reshape(size + 1, -1) for v in values}
    return {v: (a[1:] - a[0], a[0], model.shapes[v]) for v, a in flat.items()}


def _rolled(model: Model, steps: Steps, node: Node, source: str, time: tuple) -> Model:
    """The model with the layer, and slices of its output where the steps were."""
    (total, size, starts, folded), n = time, node.attrs["hidden"]
    taken = {v for m in model.nodes for v in (*m.inputs, *m.outputs)} | {*model.inputs}
    prefix = "#rolled"
    while any(v.startswith(prefix) for v in taken):
        prefix += "+"
    x, y, names = f"{prefix}x", f"{prefix}y", list(steps.states)
    finals = [f"{prefix}{i}" for i in range(len(names))]
    reshape = lambda a, b, shape: Node("reshape", "reshape", (a,), (b,), {"shape": tuple(shape)}, {}, node.source)
    new, ports = [reshape(source, x, (total, 1, size))], [""] * len(names)
    if not folded:
        ports = [f"{prefix}in{i}" for i in range(len(names))]
        new += [reshape(steps.maps[0][v], p, (1, 1, n)) for v, p in zip(names, ports)]
    new.append(replace(node, inputs=(x, *ports), outputs=(y, *finals)))
    h, made = names[0], steps.states[names[0]]
    at = {m[made]: t for m, t in zip(steps.maps, starts)}
    if folded:
        at[steps.maps[0][h]] = starts[0] - (starts[1] - starts[0])
    for v, t in at.items():
        cut = {"axis": 0, "start": t, "stop": t + 1, "step": 1}
        new.append(Node("slice", "slice", (y,), (f"{v}{prefix}",), cut, {}, node.source))
        new.append(reshape(f"{v}{prefix}", v, model.shapes[v]))
    for v, final in zip(names[1:], finals[1:]):
        last = steps.maps[-1][steps.states[v]]
        at[last] = 0
        new.append(reshape(final, last, model.shapes[last]))
    rest = [m for m in model.nodes if not at.keys() & {*m.outputs}]
    order = [v for v, _ in sorted(((v, t) for v, t in list(at.items())[:total]), key=lambda p: p[1])]
    rest = [_whole(model, m, order, y) for m in rest]
    return drop_dead(replace(model, nodes=in_order([*new, *rest], model.inputs), shapes={}))


def _whole(model: Model, node: Node, order: list[str], y: str) -> Node:
    """A concatenation of every step along time is the layer's output."""
    producers = model.producers()

    def root(v: str) -> str:
        while v not in order and v in producers and producers[v].op == "reshape":
            v = producers[v].inputs[0]
        return v

    if node.op != "concat" or [root(v) for v in node.inputs] != order:
        return node
    shape = model.shapes[node.outputs[0]]
    if prod(shape[: node.attrs["axis"]]) != 1:
        return node
    return replace(node, op="reshape", name="reshape", inputs=(y,), attrs={"shape": shape})
