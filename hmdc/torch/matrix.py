"""Structured matrices as torch parameters: the factors are trained, the matrix is their product."""

from math import prod

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..linear import STRUCTURES, LinearMap
from ..linear.kronecker import Kronecker
from ..linear.modes import Modes
from .product import product

FIXED = ("block_pruned.block",)  # what is stored but not trained
SPARSE = ("pruned.w", "block_pruned.w", "doped.sparse")


class Matrix(nn.Module):
    """A matrix [m, n] of one structure.  Parameters: its factors, by the names of docs/compression.md.

    Of a sparse factor a mask keeps some entries; its state is the factor with zeros.
    """

    def __init__(self, structure: str, factors: dict[str, np.ndarray], shape: tuple[int, int]):
        super().__init__()
        self.structure, self.shape = structure, tuple(shape)
        self.fixed = {k: v for k, v in factors.items() if k in FIXED}
        for k, v in factors.items():
            if k not in FIXED:  # torch takes no dots in names
                self.register_parameter(k.replace(".", "/"), nn.Parameter(torch.tensor(np.asarray(v, np.float32))))
        self.sparse = next((k for k in factors if k in SPARSE), None)
        if self.sparse:
            self.register_buffer("mask", self._pieces(self._sparse()).ne(0).float(), persistent=False)
            self.kept = int(self.mask.sum())

    @classmethod
    def of(cls, structure: str, m: LinearMap, whole: np.ndarray | None = None) -> "Matrix":
        """whole: the matrix that m comes from, which `sparsify` starts with."""
        own = cls(structure, STRUCTURES[structure].factors(m) if structure != "dense" else {"w": m.dense()}, m.shape)
        if own.sparse and whole is not None:
            rest = whole - m.dense() + STRUCTURES[structure].factors(m)[own.sparse]
            own._sparse().data = torch.tensor(rest, dtype=torch.float32)
        return own

    @classmethod
    def random(cls, structure: str, options: dict, shape: tuple[int, int], deviation: float,
               rng: np.random.Generator) -> "Matrix":  # fmt: skip
        """Of a structure of modes, from normal factors of equal deviation, for a matrix too large to be decomposed.

        An entry sums, for each term, as many products as its bonds have indices.
        """
        own = STRUCTURES[structure]
        terms, factors = own.terms({k: np.zeros(s) for k, s in own.shapes(**options).items()}), {}
        for cores in terms:
            bonds = {a: s for c in cores for a, s in zip(c.labels, c.array.shape) if a and a[0] not in "mn"}
            each = (deviation**2 / len(terms) / prod(bonds.values())) ** (0.5 / len(cores))
            factors |= {f"{own.prefix}.{c.name}": each * rng.standard_normal(c.array.shape) for c in cores}
        return cls(structure, factors, shape)

    def sparsify(self, t: float) -> None:
        """Keep the largest entries, or blocks: all at t = 0, those of the recipe at 1, fewer and fewer in between.

        The share that is gone grows with 1 - (1 - t)^3 (Zhu and Gupta, arXiv 1710.01878), and what is gone stays so.
        """
        if not self.sparse:
            return
        if t == 0:
            self.mask.fill_(1)
            return
        count = self.mask.numel() - round((self.mask.numel() - self.kept) * (1 - (1 - min(t, 1.0)) ** 3))
        size = self._pieces(self.named()[self.sparse].detach().square())
        largest = torch.zeros_like(self.mask).flatten().index_fill(0, size.flatten().topk(count).indices, 1.0)
        self.mask.mul_(largest.reshape(self.mask.shape))

    def _sparse(self) -> nn.Parameter:
        return getattr(self, self.sparse.replace(".", "/"))

    def _block(self) -> tuple[int, int]:
        return tuple(int(b) for b in self.fixed.get("block_pruned.block", (1, 1)))

    def _pieces(self, a: Tensor) -> Tensor:
        """Sums of what stays or goes together."""
        (r, k), (m, n) = self._block(), self.shape
        return F.pad(a.abs(), (0, -n % k, 0, -m % r)).unfold(0, r, r).unfold(1, k, k).sum((-2, -1))

    def named(self) -> dict[str, Tensor]:
        """Factor name -> tensor, pruned entries zero."""
        out = {k.replace("/", "."): p for k, p in self.named_parameters()}
        if self.sparse:
            (r, k), (m, n) = self._block(), self.shape
            mask = self.mask.repeat_interleave(r, 0).repeat_interleave(k, 1)[:m, :n]
            out[self.sparse] = out[self.sparse] * mask
        return out

    def forward(self) -> Tensor:
        w = dense(self.structure, self.named(), self.shape)
        if torch.jit.is_tracing() and torch.onnx.is_in_onnx_export():  # a file has the matrix, not how to compute it
            return torch.from_numpy(w.detach().cpu().numpy())
        return w

    def times(self, x: Tensor, start: int = 0) -> Tensor:
        """x [samples, k], what stands in columns start.. -> its product [samples, m], as if all other columns were 0.

        A structure of modes multiplies its factors with x one after the other, which a matrix too large to be built
        needs; the others build theirs.
        """
        own, stop = STRUCTURES[self.structure], start + x.shape[1]
        if not isinstance(own, Modes):
            return x @ self()[:, start:stop].T
        rich, terms = _parts(own, self.named())
        upper = [] if rich is None else [x @ rich[:, start:stop].T]
        lower = sum(product(cores, x, start) for cores in terms)
        return torch.cat([*upper, lower], 1)[:, : self.shape[0]]

    def arrays(self) -> dict[str, np.ndarray]:
        """The factors as numpy arrays, as Structure.from_factors takes them."""
        return {k: t.detach().cpu().double().numpy() for k, t in self.named().items()} | self.fixed

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        if keep_vars:  # exporters look for the parameters themselves
            return super()._save_to_state_dict(destination, prefix, keep_vars)
        fixed = {k: torch.tensor(np.asarray(v, np.float32)) for k, v in self.fixed.items()}
        destination.update({prefix + k: t.detach() for k, t in (self.named() | fixed).items()})

    def _load_from_state_dict(self, state, prefix, *args):
        own = {k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)}
        super()._load_from_state_dict(
            {prefix + k.replace(".", "/"): t for k, t in own.items() if k not in FIXED}, prefix, *args
        )
        if self.sparse in own:
            self.mask.copy_(self._pieces(self._sparse().detach()).ne(0))


def sparsify(network: nn.Module, t: float) -> bool:
    """Matrix.sparsify of all matrices; whether there is one that it concerns."""
    sparse = [m for m in network.modules() if isinstance(m, Matrix) and m.sparse]
    for m in sparse:
        m.sparsify(t)
    return bool(sparse)


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
    rich, terms = _parts(own, factors)
    upper = [] if rich is None else [rich]
    lower = sum(_contracted(cores) for cores in terms)[:, : shape[1]]
    return torch.cat([*upper, lower])[: shape[0]]


def _parts(own: Modes, factors: dict[str, Tensor]) -> tuple[Tensor | None, list]:
    """Rich rows, and the tensor networks whose sum stands below them."""
    named = {k.removeprefix(f"{own.prefix}."): t for k, t in factors.items()}
    return named.pop("rich", None), own.terms(named)


def _contracted(cores) -> Tensor:
    """A tensor network, [m0 m1 ..., n0 n1 ...]."""
    ids, operands, sizes = {}, [], {}
    for array, labels in (c.bare() for c in cores):
        operands += [array, [ids.setdefault(a, len(ids)) for a in labels]]
        sizes |= dict(zip(labels, array.shape))
    out = sorted(a for a in ids if a[0] in "mn")
    t = torch.einsum(*operands, [ids[a] for a in out])
    return t.reshape(prod(sizes[a] for a in out if a[0] == "m"), -1)
