"""Model -> Program: kernel calls on named buffers, still in real numbers."""

from dataclasses import replace
from math import prod

import numpy as np

from .build import Builder
from .cells import CELLS
from .errors import HmdcError, NotStreamable
from .functions import function
from .layers import MEAN, NOW, OPS
from .layers.layout import Concat
from .linear import Dense, LinearMap
from .model import Model, Node
from .program import GATE, TOKEN, WIDE, Port, Program, View, frame_name
from .streaming import Frame, Roles, frame, newest, roles

MODES = ("auto", "stream", "sequence")


def joinable(model: Model, maps: dict[str, LinearMap]) -> tuple[str, ...]:
    """Recurrent layers whose dense W and U can be one matrix on [x; h]."""
    dense = lambda name: isinstance(maps.get(name), Dense) and maps[name].mixes  # noqa: E731
    return tuple(n.name for n in model.nodes if n.op in CELLS and all(dense(f"{n.name}.{k}") for k in "wu"))


def lower(model: Model, maps: dict[str, LinearMap], precision: str = "int8", mode: str = "auto",
          joint: tuple[str, ...] = (), time_block: int | None = None) -> Program:  # fmt: skip
    """maps: matrix name -> map, for every matrix of the model.  mode: which entries the C gets, one of MODES.

    joint: those of `joinable` whose gates take one sum over [x; h].
    time_block: layer after layer over the whole sequence, the input products of so many steps at once.
    Raises HmdcError when mode is stream and a layer needs the whole sequence.
    """
    maps = maps | {f"{n}.wu": Dense(np.hstack([maps[f"{n}.w"].w, maps[f"{n}.u"].w])) for n in joint}
    who = roles(model)
    try:
        step = frame(model, who)
    except NotStreamable as e:
        if mode == "stream":
            raise HmdcError(f"--mode stream is impossible: {e}; use --mode sequence") from e
        step = None
    step = step if time_block is None else None
    return Lowering(model, who, step, Builder(precision, maps, time_block or 1)).run(mode)


class Lowering:
    """One use of a Builder: the inputs, the layers, the outputs, then the functions that set and read states."""

    def __init__(self, model: Model, who: Roles, step: Frame | None, b: Builder):
        self.model, self.who, self.frame, self.b = model, who, step, b
        self.views: dict[str, View] = {}
        self.nodes = step.nodes if step else newest(model, who.main)

    def run(self, mode: str) -> Program:
        b, program = self.b, self.b.program
        program.steps = self.frame.steps if self.frame else self.model.steps
        program.rates = self.frame.rates if self.frame else ()
        for f in ("reset", *program.frames, "tail") if self.frame else ("reset", "run"):
            program.functions[f] = []
        self._wishes()
        for v, shape in self.model.inputs.items():
            if v not in self.who.states:
                self._input(v, shape)
        for node in self.nodes:
            with b.function(self._where(node)):
                self._layer(node)
        for v in self.model.outputs:
            if v not in self.who.getters:
                self._output(v)
        self._setters()
        self._getters()
        if self.frame and MEAN in self.frame.tags.values():
            self._check_mean()
            program.period = list(program.frames.values())[-1]
        entries = {"auto": ("step", "run"), "stream": ("step",), "sequence": ("run",)}[mode]
        program.entries = tuple(e for e in entries if self.frame or e == "run")
        for name, blocks in program.functions.items():
            program.functions[name] = [block for block in blocks if block.calls]
        return program

    def _where(self, node: Node) -> str:
        if not self.frame:
            return "run"
        tags = [self.frame.tags[v] for v in node.inputs if v in self.frame.tags]
        timed = any(isinstance(t, int) for t in tags)
        return self._frame(node.outputs[0] or node.outputs[1]) if timed else "tail"

    def _frame(self, value: str) -> str:
        return frame_name(self.frame.stages[value])

    def _tag(self, value: str):
        return self.frame.tags[value] if self.frame else NOW

    def _wishes(self) -> None:
        """What consumers ask of the values they read: a finer format, or a place in a concatenation."""
        b, consumers, producers = self.b, self.model.consumers(), self.model.producers()
        b.outputs = {v: v for v in self.model.outputs if v not in self.who.getters}
        for node in reversed(self.nodes):
            if node.op == "reshape" and node.inputs[0] not in b.outputs:
                x, y = node.inputs[0], node.outputs[0]
                alone = len(consumers[x]) == 1
                if alone and y in b.outputs:
                    b.outputs[x] = b.outputs[y]
                if alone and y in b.formats:
                    b.formats[x] = b.formats[y]
            for v in node.inputs:
                wanted = {_wanted(n, producers.get(v)) for n, _ in consumers.get(v, [])}
                if len(wanted) == 1 and None not in wanted and v not in b.outputs:
                    b.formats[v] = wanted.pop()
            if isinstance(OPS[node.op], Concat) and not self.frame:
                self._write_in_place(node)

    def _write_in_place(self, node: Node) -> None:
        """Recurrent layers write every h straight into a concatenation of directions."""
        producers = self.model.producers()
        direct = [
            v for v in node.inputs if v in producers and producers[v].op in CELLS and producers[v].outputs[0] == v
        ]
        if direct:
            parts = OPS["concat"].parts(self.b, node, [self.model.shapes[v] for v in node.inputs])
            for v, part in zip(node.inputs, parts):
                if v in direct and v not in self.b.targets and v not in self.b.outputs:
                    self.b.targets[v] = part
                    self.b.shared.add(v)

    def _input(self, value: str, shape: tuple[int, ...]) -> None:
        tag = self._tag(value)
        time = tag if isinstance(tag, int) else None
        if time is not None:
            shape = (*shape[:time], 1, *shape[time + 1 :])
        fmt = TOKEN if value in self.model.integers else self.b.activation
        v = self.b.buffer(value, shape, fmt, "input")
        self.views[value] = v
        self.b.program.inputs.append(Port(value, v.buf, self.model.inputs[value], prod(shape), time))

    def _layer(self, node: Node) -> None:
        views = [self.views.get(v) if v else None for v in node.inputs]
        for v, view in zip(node.outputs, OPS[node.op].lower(self.b, node, *views)):
            if v:
                self.views[v] = view

    def _output(self, value: str, kind: str = "stream") -> None:
        b, view, tag = self.b, self.views[value], self._tag(value) if kind == "stream" else NOW
        time = tag if isinstance(tag, int) else None
        taken = {p.buf for p in b.program.outputs}
        buffer = b.program.buffers[view.buf]
        if buffer.role != "output" or buffer.size != view.size or view.buf in taken or not view.contiguous:
            fmt = replace(b.fmt(view), clip=False) if buffer.bits < 32 else b.activation
            y = b.buffer(value, view.shape, fmt if kind == "state" else b.activation_of(fmt), "output")
            where = (
                "get_" + value
                if kind == "state"
                else (self._frame(value) if time is not None else "tail" if self.frame else "run")
            )
            with b.function(where):
                b.move(f"{value}.out", view, y)
            view = y
        b.program.outputs.append(Port(value, view.buf, self.model.shapes[value], view.size, time, kind))

    def _setters(self) -> None:
        """set_NAME: from a graph input to the states that it alone decides."""
        b, consumers = self.b, self.model.consumers()
        b.exact = True
        reach: dict[str, set[str]] = {v: {v} for v in self.who.states}
        for node in self.who.setup:
            for v in node.outputs:
                reach[v] = set().union(*(reach[x] for x in node.inputs if x))
        for name in self.who.states:
            ports = [(v, n, i) for v, r in reach.items() if name in r for n, i in consumers[v] if n.op in CELLS]
            mixed = next((n for v, n, _ in ports if len(reach[v]) > 1), None)
            if mixed or not ports:
                raise HmdcError(
                    f"the initial state of {mixed.name} mixes the inputs {sorted(reach[name])}; make them one"
                )
            self._setter(name, ports, [n for n in self.who.setup if name in reach[n.outputs[0]]])

    def _setter(self, name: str, ports: list[tuple[str, Node, int]], nodes: list[Node]) -> None:
        b, shape = self.b, self.model.inputs[name]
        _, first, position = ports[0]
        state = b.states[first.name][CELLS[first.op].states[position - 1]]
        with b.function(f"set_{name}"):
            v = b.buffer(name, shape, replace(b.fmt(state), clip=False), "input")
            self.views[name] = v
            for node in nodes:
                self._layer(node)
            for value, node, i in ports:
                OPS[node.op].set_state(b, node, CELLS[node.op].states[i - 1], self.views[value])
        b.program.inputs.append(Port(name, v.buf, shape, v.size, None, "state"))

    def _getters(self) -> None:
        b, order = self.b, list(self.model.outputs)
        for value, path in self.who.getters.items():
            views = self.views | b.carried
            with b.function(f"get_{value}"):
                for node in path:
                    sources = [views[v] for v in node.inputs]
                    b.formats[node.outputs[0]] = b.fmt(sources[0])
                    views[node.outputs[0]] = OPS[node.op].lower(b, node, *sources)[0]
            self.views[value] = views[value]
            self._output(value, "state")
        b.program.outputs.sort(key=lambda p: order.index(p.name))

    def _check_mean(self) -> None:
        for p in self.b.program.outputs:
            if p.time is not None:
                raise HmdcError(f"{p.name} has every time step while another output is a mean over time; "
                                "use --mode sequence with a network that has one of the two")  # fmt: skip


def _wanted(node: Node, producer: Node | None):
    """The format in which a layer likes to read its input, or None."""
    if node.op == "affine" and producer is not None and producer.op == "normalize":
        return WIDE  # the two are one layer, rounded once
    if node.op in ("softmax", "log_softmax", "normalize"):
        return WIDE
    if node.op == "activation" and function(node.attrs["function"]).saturating:
        return GATE
    return None
