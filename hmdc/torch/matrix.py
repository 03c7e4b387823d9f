"""Structured matrices as torch parameters: the factors are trained, the matrix is their product."""

from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from ..linear import STRUCTURES, LinearMap
from ..linear.kronecker import Kronecker
from ..linear.modes import Modes

FIXED = ("block_pruned.block",)  # what is stored but not trained


class Matrix(nn.Module):
    """A matrix [m, n] of one structure.  Parameters: its factors, by the names of docs/compression.md."""

    def __init__(self, structure: str, factors: dict[str, np.ndarray], shape: tuple[int, int]):
        super().__init__()
        self.structure, self.shape = structure, tuple(shape)
        self.fixed = {k: v for k, v in factors.items() if k in FIXED}
        self.factors = nn.ParameterDict({k.replace(".", "/"): nn.Parameter(torch.tensor(np.asarray(v, np.float32)))
                                         for k, v in factors.items() if k not in FIXED})  # fmt: skip
        for name, p in self.factors.items():
            if _is_sparse(structure, name.replace("/", ".")):
                self.register_buffer(f"mask_{name.replace('/', '_')}", (p != 0).float())

    @classmethod
    def of(cls, structure: str, m: LinearMap) -> "Matrix":
        return cls(structure, STRUCTURES[structure].factors(m) if structure != "dense" else {"w": m.dense()}, m.shape)

    def named(self) -> dict[str, Tensor]:
        """Factor name -> tensor, pruned entries zero."""
        out = {}
        for name, p in self.factors.items():
            mask = getattr(self, f"mask_{name.replace('/', '_')}", None)
            out[name.replace("/", ".")] = p if mask is None else p * mask
        return out

    def forward(self) -> Tensor:
        return dense(self.structure, self.named(), self.shape)

    def arrays(self) -> dict[str, np.ndarray]:
        """The factors as numpy arrays, as Structure.from_factors takes them."""
        return {k: t.detach().double().numpy() for k, t in self.named().items()} | self.fixed


def _is_sparse(structure: str, factor: str) -> bool:
    return factor in ("pruned.w", "block_pruned.w", "doped.sparse")


def dense(structure: str, factors: dict[str, Tensor], shape: tuple[int, int]) -> Tensor:
    """The matrix that factors stand for, differentiable in each of them; see Structure.from_factors."""
    own = STRUCTURES[structure]
    if structure == "dense":
        return factors["w"]
    if structure in ("pruned", "block_pruned"):
        return factors[f"{structure}.w"]
    if structure == "lowrank":
        return factors["lowrank.0"] @ factors["lowrank.1"]
    if structure == "hmd":
        b, d, c, e = (factors[f"hmd.{k}"] for k in "bdce")
        return torch.cat([factors["hmd.rich"], torch.cat([torch.outer(b, c), torch.outer(d, e)], 1)])
    if structure == "doped_kronecker":
        product = {k.replace("doped", "kron"): t for k, t in factors.items() if k != "doped.sparse"}
        return dense(Kronecker.name, product, shape) + factors["doped.sparse"]
    assert isinstance(own, Modes)
    named = {k.removeprefix(f"{own.prefix}."): t for k, t in factors.items()}
    rich = named.pop("rich", None)
    rows = shape[0] - (0 if rich is None else len(rich))
    product = sum(_contracted(cores) for cores in own.terms(named))[:rows, : shape[1]]
    return product if rich is None else torch.cat([rich, product])


def _contracted(cores) -> Tensor:
    """A tensor network, [m0 m1 ..., n0 n1 ...]."""
    ids, operands, sizes = {}, [], {}
    for array, labels in (c.bare() for c in cores):
        operands += [array, [ids.setdefault(a, len(ids)) for a in labels]]
        sizes |= dict(zip(labels, array.shape))
    out = sorted(a for a in ids if a[0] in "mn")
    t = torch.einsum(*operands, [ids[a] for a in out])
    return t.reshape(prod(sizes[a] for a in out if a[0] == "m"), -1)
