"""Any cell of cells.CELLS run over time."""

import numpy as np

from ..cells import CELLS
from ..errors import NotStreamable
from ..kernels import Copy, Load
from ..program import View
from .base import Layer


class Recurrent(Layer):
    """inputs: x [T, 1, I], then the initial states [1, 1, H] ('' = weights h0, c0 or zeros), in the order cell.states.

    outputs: every h [T, 1, 1, H], then the final states [1, 1, H].  attrs: hidden, reverse, and what the cell wants;
    newest: nobody asks for another h than the last one.  length: whether the last input is the number of steps [1],
    an integer from 1 to T: behind them every h is 0, the final states are those at the end of them, and a reverse
    layer begins there.
    """

    def reference(self, node, x, *initial):
        cell, n, length = CELLS[node.op], node.attrs["hidden"], np.full((len(x), 1), x.shape[1])
        if node.attrs.get("length"):
            *initial, length = initial
            length = length.reshape(len(x), 1)
        state = {}
        for name, given in zip(cell.states, (*initial, *[None] * len(cell.states))):
            given = node.weights.get(f"{name}0", np.zeros(n)) if given is None else given.reshape(len(x), n)
            state[name] = np.broadcast_to(given, (len(x), n))
        steps, ys = range(x.shape[1]), []
        for t in reversed(steps) if node.attrs["reverse"] else steps:
            new, runs = cell.reference(node, x[:, t, 0], state), t < length
            state = {name: np.where(runs, new[name], old) for name, old in state.items()}
            ys.append(np.where(runs, state["h"], 0.0))
        y = np.stack(ys[::-1] if node.attrs["reverse"] else ys, axis=1)[:, :, None, None]
        return (y, *(state[s][:, None, None] for s in cell.states))

    def lower(self, b, node, x, *initial):
        cell, n, steps, reverse = CELLS[node.op], node.attrs["hidden"], x.shape[0], node.attrs["reverse"]
        length, groups = "", b.groups(node.name, steps)
        if node.attrs.get("length"):
            *initial, given = initial
            length, groups = given.buf, [(0, steps, 1)]
        runs, rests = ("last", "before") if reverse else ("first", "behind")
        state = self._states(b, node, cell, x)
        for name, given in zip(cell.states, initial):
            if given is not None:
                self.set_state(b, node, name, given)
        h = state["feed"]
        y = self._all_steps(b, node, h, steps)
        made: list[View] = []
        for first, blocks, n_steps in groups:
            x_b, y_b = (v and v.walk(0, first, n_steps, reverse) for v in (x, y))
            with b.same_buffers(made), b.loop(blocks, length, runs):
                self._block(b, node, x_b, y_b, state)
        if length and y is not None:
            with b.loop(steps, length, rests):
                b.emit(Load(f"{node.name}.behind", y.walk(0, 0, 1, reverse), np.zeros(n)))
        final = [h if name == "h" else state[name] for name in cell.states]
        return (h.reshape(1, 1, 1, n) if y is None else y, *(v.reshape(1, 1, n) for v in final))

    def _block(self, b, node, x, y, state):
        """The steps of a block: their products of x all at once, the rest step after step."""
        name, n = node.name, x.shape[0]
        step = lambda v: v if n == 1 else v.step(0, node.attrs["reverse"])
        x = b.contiguous(f"{name}.x", x)
        if b.is_joined(name):
            b.join(f"{name}.join", x.reshape(x.size), state["x"])
        else:
            sums = step(CELLS[node.op].sums(b, node, x, n))
            state = state | {"sums": sums.reshape(sums.size)}
        with b.loop(n):
            CELLS[node.op].step(b, node, state)
            if y is not None and y.buf != state["feed"].buf:
                self._write(b, node, state["feed"], step(y))

    def _write(self, b, node, h, y):
        tied = b.fmt(y) == b.fmt(h) and node.outputs[0] not in b.shared
        h = h.reshape(*y.shape)
        b.emit(Copy(f"{node.name}.y", h, y)) if tied else b.move(f"{node.name}.y", h, y)

    def _states(self, b, node, cell, x):
        """State buffers with their initial values.

        h, c: what is carried; feed: h as the products and the next layers read it; with a joined matrix also xh, the
        buffer [x; feed], and x, its first part; without, each step adds sums, its W x + bias.
        """
        state, n = {}, node.attrs["hidden"]
        formats = cell.formats(b, node)
        first = {name: node.weights.get(f"{name}0", np.zeros(n)) for name in formats}
        if b.is_joined(node.name):
            state["xh"], state["x"], state["feed"] = b.joint(node.name, "xh", x, n, "state")
            b.initial(f"{node.name}.x", state["x"], None)
            b.initial(f"{node.name}.h", state["feed"], first["h"])
        elif b.narrow and formats["h"] != b.hidden:
            state["feed"] = b.state(f"{node.name}.feed", first["h"], n, b.hidden)
        for (name, fmt), value in zip(formats.items(), node.outputs[1:]):
            if name == "h" and "feed" in state and fmt == b.hidden:
                state["h"] = state["feed"]
            else:
                state[name] = b.state(f"{node.name}.{name}", first[name], n, fmt)
            b.carried[value] = state[name].reshape(1, 1, n)
        state.setdefault("feed", state["h"])
        b.states[node.name] = state
        return state

    def set_state(self, b, node, name, given):
        """Load a carried state, and what is derived from it."""
        state, label = b.states[node.name], f"{node.name}.{name}"
        b.move(f"{label}_set", given, state[name].reshape(*given.shape))
        if name == "h" and state["feed"] != state["h"]:
            b.move(f"{label}_set_feed", state["h"], state["feed"])

    def _all_steps(self, b, node, h, steps):
        """Where h of every step goes; None if the newest h is all there is to it."""
        value, n = node.outputs[0], node.attrs["hidden"]
        if not value or node.attrs.get("newest") or (steps == 1 and value not in b.targets and value not in b.outputs):
            return None
        return b.output(value, (steps, 1, 1, n), f"{node.name}.y", b.fmt(h))

    def frame(self, node, tags, shapes):
        if node.attrs.get("length"):
            raise NotStreamable(f"{node.name} takes the length of its sequence")
        if len(tags) > 1:
            raise NotStreamable(f"the initial state of {node.name} depends on the sequence")
        if tags[0] != 0:
            raise NotStreamable(f"{node.name} does not read its input step by step")
        if node.attrs["reverse"] and shapes[0][0] > 1:
            raise NotStreamable(f"{node.name} reads the sequence backward")
        return node, 0
