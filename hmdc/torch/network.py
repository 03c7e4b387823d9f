"""A Model as a torch module: the same layers as hmdc.layers, differentiable, on [samples, *shape]."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..cells import CELLS
from ..errors import HmdcError
from ..linear import LinearMap
from ..model import Model, Node
from ..recipe import Assignment, factors_of, matrix
from .cells import STEPS, run
from .functions import differentiable
from .matrix import Matrix
from .start import drawn

SCALARS = ("alpha", "beta", "zeta", "nu")  # attributes of cells that are trained
LAYERS: dict[str, Callable] = {}  # op -> layer(node, weights, *xs) -> outputs, or one output


class Network(nn.Module):
    """Trains every weight; the matrices of `assignments` through their factors.

    maps: what the assigned matrices are at first, as recipe.decompose gives them; others stay as they are in the model.
    """

    def __init__(self, model: Model, assignments: dict[str, Assignment] | None = None,
                 maps: dict[str, LinearMap] | None = None):  # fmt: skip
        super().__init__()
        unknown = [n for n in model.nodes if n.op not in LAYERS and n.op not in STEPS]
        if unknown:
            raise HmdcError(f"{unknown[0].name}: layers of kind {unknown[0].op} are not trained yet")
        self.model, self.assignments = model, assignments or {}
        self.matrices, self.others = nn.ModuleDict(), nn.ParameterDict()
        for name, a in self.assignments.items():
            if a.structure != "dense":
                whole, parts = matrix(a.node, name), maps[name].maps if a.gates else (maps[name],)
                for gate, m, w in zip(a.gates or ("",), parts, np.split(whole, len(parts))):
                    self.matrices[_key(name, gate)] = Matrix.of(a.structure, m, w)
        for node in model.nodes:
            for k, w in self._free(node).items():
                self.others[_key(node.name, k)] = nn.Parameter(torch.tensor(np.asarray(w, np.float32)))

    def draw(self, seed: int, kept: dict[str, np.ndarray]) -> None:
        """Random factors in the place of what was decomposed, entries as large as before.  kept: factors that stay."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for name, a in self.assignments.items():
                if a.structure != "dense" and not factors_of(kept, name):
                    gates = a.gates or ("",)
                    for gate, w in zip(gates, np.split(matrix(a.node, name), len(gates))):
                        self.matrices[_key(name, gate)] = drawn(a, w.shape, float(w.std()))

    def _free(self, node: Node) -> dict[str, np.ndarray]:
        """Weights of a layer that are no product of factors."""
        structured = {m.rpartition(".")[2] for m, a in self.assignments.items()
                      if a.node.name == node.name and a.structure != "dense"}  # fmt: skip
        taken = {"w", "u"} if "wu" in structured else {"w"} if node.name in structured else structured
        own = {k: w for k, w in node.weights.items() if k not in taken and "." not in k}
        return own | {k: node.attrs[k] for k in SCALARS if node.op in CELLS and k in node.attrs}

    def weights(self) -> dict[str, dict[str, Tensor]]:
        """Layer -> weight -> tensor, the matrices from their factors."""
        out: dict[str, dict[str, Tensor]] = {n.name: {} for n in self.model.nodes}
        for node in self.model.nodes:
            for k in self._free(node):
                out[node.name][k] = self.others[_key(node.name, k)]
        for name, a in self.assignments.items():
            if a.structure != "dense":
                w = torch.cat([self.matrices[_key(name, g)]() for g in a.gates or ("",)])
                layer, part = out[a.node.name], name.removeprefix(a.node.name).lstrip(".")
                if part == "wu":
                    n = a.node.weights["w"].shape[1]
                    layer |= {"w": w[:, :n], "u": w[:, n:]}
                else:
                    layer[part or "w"] = w
        return out

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """inputs: name -> [samples, *shape]; missing states are zeros.  Returns all values, and hidden(node)."""
        samples, weights = len(next(iter(inputs.values()))), self.weights()
        values = {v: inputs[v] if v in inputs else torch.zeros(samples, *s) for v, s in self.model.inputs.items()}
        for node in self.model.nodes:
            xs = [values[v] if v else None for v in node.inputs]
            found = (_recurrent if node.op in CELLS else LAYERS[node.op])(node, weights[node.name], *xs)
            found = found if isinstance(found, tuple) else (found,)
            values |= {v: y for v, y in zip(node.outputs, found) if v}
            if node.op in CELLS:
                values[hidden(node)] = found[0]
        return values

    def factors(self) -> dict[str, np.ndarray]:
        """Of all structured matrices, by the names that recipe.decompose takes."""
        out = {}
        for name, a in self.assignments.items():
            if a.structure != "dense":
                for gate in a.gates or ("",):
                    prefix = f"{name}.{gate}." if gate else f"{name}."
                    out |= {prefix + k: v for k, v in self.matrices[_key(name, gate)].arrays().items()}
        return out

    def trained(self) -> Model:
        """The model with the weights of now, dense."""
        weights, nodes = self.weights(), []
        for node in self.model.nodes:
            own = {k: t.detach().double().numpy() for k, t in weights[node.name].items()}
            scalars = {k: float(own.pop(k)) for k in SCALARS if k in own}
            nodes.append(Node(node.op, node.name, node.inputs, node.outputs, node.attrs | scalars, own, node.source))
        return Model(self.model.inputs, nodes, self.model.outputs, self.model.shapes, self.model.steps,
                     self.model.sha256, self.model.path, integers=self.model.integers)  # fmt: skip


def _key(*parts: str) -> str:
    """torch takes no dots in names."""
    return "/".join(p for p in parts if p).replace(".", "/")


def hidden(node: Node) -> str:
    """The name of all hidden states of a layer, which the model need not use."""
    return node.outputs[0] or f"{node.name}:hidden"


def _recurrent(node: Node, w, x, *initial):
    own, n = CELLS[node.op], node.attrs["hidden"]
    *initial, length = initial if node.attrs.get("length") else (*initial, None)
    state = {}
    for name, given in zip(own.states, (*initial, *[None] * len(own.states))):
        first = w.get(f"{name}0", torch.zeros(n)) if given is None else given.reshape(len(x), n)
        state[name] = first.expand(len(x), n)
    y, state = run(node, w, x[:, :, 0], state, length)
    return (y[:, :, None, None], *(state[s][:, None, None] for s in own.states))


def layer(*ops: str):
    def register(f):
        LAYERS.update(dict.fromkeys(ops, f))
        return f

    return register


@layer("dense")
def _dense(node, w, x):
    axis = node.attrs["axis"] + 1
    y = F.linear(x.movedim(axis, -1), w["w"], w.get("b")).movedim(-1, axis)
    return y.clamp(node.attrs["low"], node.attrs["high"])


@layer("conv")
def _conv(node, w, x):
    a, space = node.attrs, len(node.attrs["kernel"])
    kernel = w["w"].reshape(len(w["w"]), *a["kernel"], -1).movedim(-1, 1)
    ends = [e for i in reversed(range(space)) for e in (a["pads"][i], a["pads"][i + space])]
    x = F.pad(x[:, 0].movedim(-1, 1), ends)
    y = (F.conv1d, F.conv2d)[space - 1](x, kernel, w.get("b"), a["strides"], 0, a["dilations"], a["groups"])
    return y.movedim(1, -1)[:, None].clamp(a["low"], a["high"])


@layer("activation")
def _activation(node, w, x):
    return differentiable(node.attrs["function"])(x)


@layer("affine")
def _affine(node, w, x):
    return (x * w["scale"] + w["bias"]).clamp(node.attrs["low"], node.attrs["high"])


@layer("add", "sub", "mul")
def _binary(node, w, a, b):
    return {"add": torch.add, "sub": torch.sub, "mul": torch.mul}[node.op](a, b)


@layer("repeat")
def _repeat(node, w, x):
    return x.expand(len(x), *node.attrs["shape"])


@layer("dot")
def _dot(node, w, a, b):
    return a @ b


@layer("lookup")
def _lookup(node, w, x):
    return w["table"][x.long()]


@layer("softmax")
def _softmax(node, w, x):
    return x.softmax(node.attrs["axis"] + 1)


@layer("log_softmax")
def _log_softmax(node, w, x):
    return x.log_softmax(node.attrs["axis"] + 1)


@layer("normalize")
def _normalize(node, w, x):
    a, axis = node.attrs, node.attrs["axis"] + 1
    c = x - x.mean(axis, keepdim=True) if a["centered"] else x
    squares = c.square().mean(axis, keepdim=True) + a["epsilon"]
    return a["gain"] * c * squares.clamp(min=a["floor"]).rsqrt()


@layer("mean")
def _mean(node, w, x):
    return (torch.sum if node.attrs.get("sum") else torch.mean)(x, node.attrs["axis"] + 1, node.attrs["keep"])


@layer("pool")
def _pool(node, w, x):
    a, axis = node.attrs, node.attrs["axis"] + 1
    x = x.movedim(axis, -1)
    filling = {"max": -torch.inf, "min": torch.inf, "mean": 0.0}[a["kind"]]
    x = F.pad(x, a["pads"], value=filling)
    windows = x.unfold(-1, (a["size"] - 1) * a["dilation"] + 1, a["stride"])[..., :: a["dilation"]]
    return {"max": torch.amax, "min": torch.amin, "mean": torch.mean}[a["kind"]](windows, -1).movedim(-1, axis)


@layer("pad")
def _pad(node, w, x):
    a = node.attrs
    places = [np.pad(np.arange(n), ends, a["mode"]) if a["mode"] != "constant" else None
              for n, ends in zip(x.shape[1:], zip(a["before"], a["after"]))]  # fmt: skip
    if a["mode"] == "constant":
        ends = [e for before, after in list(zip(a["before"], a["after"]))[::-1] for e in (before, after)]
        return F.pad(x, ends, value=a["value"])
    for axis, at in enumerate(places):
        x = x.index_select(axis + 1, torch.tensor(at))
    return x


@layer("reshape")
def _reshape(node, w, x):
    return x.reshape(len(x), *node.attrs["shape"])


@layer("transpose")
def _transpose(node, w, x):
    return x.permute(0, *(a + 1 for a in node.attrs["perm"]))


@layer("slice")
def _slice(node, w, x):
    a = node.attrs
    return x.index_select(a["axis"] + 1, torch.tensor(list(range(a["start"], a["stop"], a["step"]))))


@layer("concat")
def _concat(node, w, *xs):
    return torch.cat(xs, node.attrs["axis"] + 1)
