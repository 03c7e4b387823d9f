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
    (xz, xr, xn), (bz, br, bn) = (x + w["bw"]).chunk(3, -1), w["bu"].chunk(3)
    uz, ur, un = w["u"].chunk(3)
    z, r = of_gate(xz + h @ uz.T + bz), of_gate(xr + h @ ur.T + br)
    n = of_candidate(xn + (r * (h @ un.T + bn) if node.attrs["linear_before_reset"] else (r * h) @ un.T + bn))
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
