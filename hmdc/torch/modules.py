"""Drop-in modules for training from scratch: torch.nn's recurrent layers and Linear, their matrices in any structure.

Names, arguments, shapes, results and state dicts are those of torch.nn; `hmdc compile` reads the state dicts.  Beside
the arguments each takes `structure`: a recipe without pattern, "kronecker(ratio=16)", or a name and its options as
keyword arguments.  Recurrent layers have one matrix [W U] for each gate, as recipes do.  FastRNN and FastGRNN (see
cells.fast) have the arguments of torch.nn.RNN without a nonlinearity.
"""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import recipe
from ..cells import CELLS
from ..errors import HmdcError
from ..model import Node
from ..recipe import Assignment, Recipe
from .cells import run
from .matrix import Matrix
from .start import drawn, uniform


class Structured(nn.Module):
    """Writes its matrices to state dicts as torch.nn does, beside their factors, which alone are read back."""

    def products(self) -> dict[str, Tensor]:
        """The matrices that are no parameters, by torch.nn's names."""
        raise NotImplementedError

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if not keep_vars:
            destination.update({prefix + name: w.detach() for name, w in self.products().items()})

    def _load_from_state_dict(self, state, prefix, *args):
        products = {prefix + name for name in self.products()}
        super()._load_from_state_dict({k: t for k, t in state.items() if k not in products}, prefix, *args)


class Linear(Structured):
    """torch.nn.Linear."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True, structure: str = "dense", **options):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        bound, chosen = in_features**-0.5, _recipe(structure, options)
        if chosen.structure == "dense":
            self.weight = uniform(bound, out_features, in_features)
        else:
            self.factors = _matrix(chosen, (out_features, in_features), bound)
        self.register_parameter("bias", uniform(bound, out_features) if bias else None)

    def products(self):
        return {"weight": self.factors()} if "factors" in self._modules else {}

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.products().get("weight", getattr(self, "weight", None)), self.bias)


class Recurrent(Structured):
    """Layers of one cell over time.  forward: input [steps, batch, values], or the like with batch_first or without a
    batch -> h of every step, and the last states."""

    op: str
    gates: tuple[str, ...]  # in PyTorch's order
    names = {"w": "weight_ih", "u": "weight_hh", "bw": "bias_ih", "bu": "bias_hh"}  # of weights of the cell
    scalars: dict[str, float] = {}  # at first

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 structure: str = "dense", **options):  # fmt: skip
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers, self.bias = input_size, hidden_size, num_layers, bias
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        self.ways, self.attrs = ("", "_reverse") if bidirectional else ("",), {"hidden": hidden_size}
        chosen, n, bound = _recipe(structure, options), hidden_size, hidden_size**-0.5
        self.factors = nn.ModuleDict()
        for end in self._ends():
            size = input_size if end.partition("_")[0] == "l0" else n * len(self.ways)
            if chosen.structure == "dense":
                for name, columns in (("weight_ih", size), ("weight_hh", n)):
                    self.register_parameter(f"{name}_{end}", uniform(bound, len(self.gates) * n, columns))
            else:
                matrices = {gate: _matrix(chosen, (n, size + n), bound) for gate in self.gates}
                self.factors[end] = nn.ModuleDict({"wu": nn.ModuleDict(matrices)})
            for name in list(self.names.values())[2:] if bias else ():
                self.register_parameter(f"{name}_{end}", self.first_bias(bound))
            for name, value in self.scalars.items():
                self.register_parameter(f"{name}_{end}", nn.Parameter(torch.tensor([value])))

    def first_bias(self, bound: float) -> nn.Parameter:
        return uniform(bound, len(self.gates) * self.hidden_size)

    def _ends(self) -> list[str]:
        """Of the names, one for each cell."""
        return [f"l{k}{way}" for k in range(self.num_layers) for way in self.ways]

    def _halves(self, end: str, gates: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        """W and U from their factors, gates in that order."""
        joined = torch.cat([self.factors[end]["wu"][gate]() for gate in gates])
        return joined[:, : -self.hidden_size], joined[:, -self.hidden_size :]

    def products(self):
        halves = {end: self._halves(end, self.gates) for end in self.factors}
        return {f"weight_{k}_{end}": w for end, pair in halves.items() for k, w in zip(("ih", "hh"), pair)}

    def _weights(self, end: str) -> dict[str, Tensor]:
        """As cells.STEPS takes them."""
        given, own, rows = dict(self.named_parameters(recurse=False)), CELLS[self.op].gates, range(len(self.gates))
        order = [self.gates.index(gate) for gate in own]

        def canonical(w: Tensor) -> Tensor:
            return w if order == [*rows] else torch.cat([w.chunk(len(order))[i] for i in order])

        weights = {k: canonical(given[f"{v}_{end}"]) for k, v in self.names.items() if f"{v}_{end}" in given}
        weights |= {k: given[f"{k}_{end}"] for k in self.scalars}
        if end in self.factors:
            weights |= dict(zip("wu", self._halves(end, own)))
        none = weights["u"].new_zeros(len(weights["u"]))
        return dict.fromkeys(self.names, none) | weights

    def forward(self, input: Tensor, hx=None):
        if not isinstance(input, Tensor) or input.dim() not in (2, 3) or input.shape[-1] != self.input_size:
            found = list(input.shape) if isinstance(input, Tensor) else type(input).__name__
            raise HmdcError(f"input is {found}: it has to be a tensor of 2 or 3 axes, the last of size "
                            f"{self.input_size}; pad packed sequences")  # fmt: skip
        turned = input.dim() == 3 and not self.batch_first
        x = input.transpose(0, 1) if turned else input if input.dim() == 3 else input[None]
        states, last = self._initial(hx, x, input.dim() == 3), []
        for k in range(self.num_layers):
            if k and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            ys = []
            for way in self.ways:
                node = Node(self.op, "", (), (), self.attrs | {"reverse": way != ""})
                first = {name: s[len(last)] for name, s in states.items()}
                y, state = run(node, self._weights(f"l{k}{way}"), x, first)
                ys.append(y)
                last.append(state)
            x = torch.cat(ys, -1) if len(ys) > 1 else y
        ends = tuple(torch.stack([state[name] for state in last]) for name in states)
        if input.dim() == 2:
            return x[0], (tuple(s[:, 0] for s in ends) if len(ends) > 1 else ends[0][:, 0])
        return x.transpose(0, 1) if turned else x, (ends if len(ends) > 1 else ends[0])

    def _initial(self, hx, x: Tensor, batched: bool) -> dict[str, Tensor]:
        """State -> [cells, samples, hidden]."""
        names, shape = CELLS[self.op].states, (len(self._ends()), len(x), self.hidden_size)
        if hx is None:
            return {name: x.new_zeros(shape) for name in names}
        given = dict(zip(names, hx if len(names) > 1 else (hx,)))
        for name, s in given.items():
            wanted = shape if batched else (shape[0], shape[2])
            if tuple(s.shape) != wanted:
                raise HmdcError(f"{name}0 is {list(s.shape)}; {list(wanted)} fits")
        return {name: s if batched else s[:, None] for name, s in given.items()}


class LSTM(Recurrent):
    """torch.nn.LSTM, without proj_size."""

    op, gates = "lstm", ("i", "f", "g", "o")


class GRU(Recurrent):
    """torch.nn.GRU."""

    op, gates = "gru", ("r", "z", "n")

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.attrs["linear_before_reset"] = True


class RNN(Recurrent):
    """torch.nn.RNN."""

    op, gates = "rnn", ("h",)

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", *args,
                 **options):  # fmt: skip
        if nonlinearity not in ("tanh", "relu"):
            raise HmdcError(f"nonlinearity is {nonlinearity!r}; it is tanh or relu")
        super().__init__(input_size, hidden_size, num_layers, *args, **options)
        self.nonlinearity = self.attrs["activation"] = nonlinearity


class Fast(Recurrent):
    gates = ("h",)

    def first_bias(self, bound):
        return nn.Parameter(torch.ones(self.hidden_size))


class FastRNN(Fast):
    """h = sigmoid(alpha) tanh(W x + U h + b) + sigmoid(beta) h."""

    op, scalars = "fastrnn", {"alpha": -3.0, "beta": 3.0}  # as in EdgeML
    names = {"w": "weight_ih", "u": "weight_hh", "b": "bias_update"}


class FastGRNN(Fast):
    """h = (sigmoid(zeta) (1 - z) + sigmoid(nu)) tanh(W x + U h + bh) + z h, z = sigmoid(W x + U h + bz)."""

    op, scalars = "fastgrnn", {"zeta": 1.0, "nu": -4.0}  # as in EdgeML
    names = {"w": "weight_ih", "u": "weight_hh", "bz": "bias_gate", "bh": "bias_update"}


def _recipe(structure: str, options: dict) -> Recipe:
    parsed = recipe.parse(structure)
    chosen = recipe.checked(None, parsed.structure, parsed.options | options, structure)
    if parsed.pattern is not None:
        raise HmdcError(f"structure {structure!r} is for this layer alone; leave {parsed.pattern}= out")
    if chosen.structure == "dense" and chosen.options:
        raise HmdcError(f"structure 'dense' takes no {', '.join(chosen.options)}; name a structure, or leave that out")
    for name in {"stacked", "weighted"} & {k for k, v in chosen.options.items() if v}:
        raise HmdcError(f"structure {structure!r}: {name}=True is for matrices that are decomposed; leave it out")
    return chosen


def _matrix(chosen: Recipe, shape: tuple[int, int], bound: float) -> Matrix:
    nameless = Assignment(f"structure {chosen.text!r}: a matrix", None, chosen.structure, chosen.options)
    return drawn(nameless, shape, bound / sqrt(3))
