"""One step of every cell of hmdc.cells, differentiable.  The definitions and their sources are there."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..cells import CELLS
from ..model import Node
from .functions import differentiable

States = dict[str, Tensor]
STEPS: dict[str, Callable] = {}  # op -> step(node, weights, functions, W x [samples, gates*H], states) -> states


def cell(*ops: str):
    def register(f):
        STEPS.update(dict.fromkeys(ops, f))
        return f

    return register


def activations(node: Node) -> list[Callable[[Tensor], Tensor]]:
    own = CELLS[node.op]
    given = (node.attrs["activation"],) if "activation" in node.attrs else own.functions
    found = [differentiable(text) for text in node.attrs.get("activations", given)]
    limit = node.attrs.get("clip")
    clip = lambda f: lambda x: f(x.clamp(-limit, limit))
    return [clip(f) if limit and i != own.unclipped else f for i, f in enumerate(found)]


def fused(node: Node, w: States) -> str:
    """The kernel of PyTorch that computes this cell, "" where none does."""
    a, own = node.attrs, CELLS[node.op].functions
    usual = tuple(a.get("activations", own)) == own and "clip" not in a and "p" not in w
    if node.op == "rnn":
        kind = a.get("activation", a.get("activations", own)[0])
        return f"rnn_{kind}" if kind in ("tanh", "relu") and "clip" not in a else ""
    return node.op if usual and (node.op == "lstm" or node.op == "gru" and a["linear_before_reset"]) else ""


def run(node: Node, w: States, x: Tensor, state: States, length: Tensor | None = None) -> tuple[Tensor, States]:
    """x: [samples, steps, I], state: [samples, H] each -> h of every step [samples, steps, H], the last states.

    length: [samples], steps of each sample; behind them the state stays and h is 0.
    """
    if length is None and (kind := fused(node, w)):
        return _whole(node, w, x, state, kind)
    step, functions = STEPS[node.op], activations(node)
    sums, ys = x @ w["w"].T, []
    for t in range(sums.shape[1])[:: -1 if node.attrs["reverse"] else 1]:
        new = step(node, w, functions, sums[:, t], state)
        if length is None:
            ys.append(new["h"])
        else:
            runs = t < length.reshape(-1, 1)
            new = {k: torch.where(runs, new[k], state[k]) for k in state}
            ys.append(new["h"] * runs)
        state = new
    return torch.stack(ys[::-1] if node.attrs["reverse"] else ys, 1), state


def _whole(node: Node, w: States, x: Tensor, state: States, kind: str) -> tuple[Tensor, States]:
    """All steps at once in PyTorch's own kernel, several times as fast."""
    turn = lambda v: v.flip(1) if node.attrs["reverse"] else v
    order = {"gru": (1, 0, 2)}.get(node.op, range(len(CELLS[node.op].gates)))  # PyTorch has r, z, n
    weights = [torch.cat([w[k].chunk(len(order))[g] for g in order]) for k in ("w", "u", "bw", "bu")]
    first = [state[s][None].contiguous() for s in CELLS[node.op].states]
    kernel, start = getattr(torch._VF, kind), first if len(first) > 1 else first[0]
    y, *final = kernel(turn(x), start, weights, True, 1, 0.0, True, False, True)
    return turn(y), dict(zip(CELLS[node.op].states, (h[0] for h in final)))


@cell("rnn")
def _rnn(node, w, functions, x, state):
    return {"h": functions[0](x + w["bw"] + state["h"] @ w["u"].T + w["bu"])}


@cell("lstm", "lstm_coupled")
def _lstm(node, w, functions, x, state):
    (of_gate, of_candidate, of_state), own = functions, CELLS[node.op]
    sums = x + w["bw"] + state["h"] @ w["u"].T + w["bu"]
    z = dict(zip(own.gates, sums.chunk(len(own.gates), -1)))
    seeing = [k for k in own.gates if k != "g"]
    p = dict(zip(seeing, w["p"].chunk(len(seeing)))) if "p" in w else dict.fromkeys(seeing, 0.0)
    i = of_gate(z["i"] + p["i"] * state["c"])
    f = of_gate(z["f"] + p["f"] * state["c"]) if "f" in z else 1 - i
    c = f * state["c"] + i * of_candidate(z["g"])
    return {"h": of_gate(z["o"] + p["o"] * c) * of_state(c), "c": c}


@cell("gru")
def _gru(node, w, functions, x, state):
    (of_gate, of_candidate), h = functions, state["h"]
    xz, xr, xn = (x + w["bw"]).chunk(3, -1)
    if node.attrs["linear_before_reset"]:
        hz, hr, hn = (h @ w["u"].T + w["bu"]).chunk(3, -1)
        z, r = of_gate(xz + hz), of_gate(xr + hr)
        n = of_candidate(xn + r * hn)
    else:
        (uz, ur, un), (bz, br, bn) = w["u"].chunk(3), w["bu"].chunk(3)
        z, r = of_gate(xz + h @ uz.T + bz), of_gate(xr + h @ ur.T + br)
        n = of_candidate(xn + (r * h) @ un.T + bn)
    return {"h": z * h + (1 - z) * n}


@cell("fastrnn")
def _fastrnn(node, w, functions, x, state):
    z = x + state["h"] @ w["u"].T + _biases(w, "b")
    return {"h": torch.sigmoid(w["alpha"]) * functions[0](z) + torch.sigmoid(w["beta"]) * state["h"]}


@cell("fastgrnn")
def _fastgrnn(node, w, functions, x, state):
    (of_gate, of_candidate), h = functions, state["h"]
    z = x + h @ w["u"].T + _biases(w, "bz")
    n, z = of_candidate(z + w["bh"] - w["bz"]), of_gate(z)
    return {"h": (torch.sigmoid(w["zeta"]) * (1 - z) + torch.sigmoid(w["nu"])) * n + z * h}


def _biases(w, offset: str) -> Tensor:
    return sum(w[k] for k in (offset, "bw", "bu") if k in w)
