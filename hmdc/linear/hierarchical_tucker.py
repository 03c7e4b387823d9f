"""Hierarchical Tucker (Grasedyck, 2010; for all gates of an LSTM at once: FDHT-LSTM, arXiv 2104.05758).

Over a balanced binary tree of the modes k: leaves U_k [m_k, n_k, r_k], inner nodes B_t [r_left, r_right, r_t], the root
[r_left, r_right].  sum(m_k n_k r_k) + sum(r_left r_right r_t) parameters; MACs by the cheapest order over the tree.
Leaves-to-root truncation: an SVD for each leaf, then for each node on what the leaves keep; within sqrt(2d - 3) of the
best error.
"""

from functools import lru_cache
from math import prod

import numpy as np

from .base import svd, whole_number
from .modes import Modes, tensor
from .network import Core

Node = tuple[int, int]  # the modes first..last below it


class HierarchicalTucker(Modes):
    """m, n: row and column modes.  rank: of every node, less where less is possible.  rich: upper rows left dense."""

    name = "hierarchical_tucker"
    prefix = "ht"

    def decompose(self, w, *, moment=None, m: tuple = None, n: tuple = None, rank: int, rich: int = 0):
        m, n, rich = self.modes(w.shape, m, n, rich)
        ranks = _ranks([a * b for a, b in zip(m, n)], whole_number(self, "rank", rank, 1))
        return self.fit(w, m, n, rich, lambda full: _truncate(tensor(full, m, n), ranks, m, n))

    def shapes(self, m, n, rank):
        ranks = _ranks([a * b for a, b in zip(m, n)], whole_number(self, "rank", rank, 1))
        leaves = {f"leaf.{k}": (a, b, ranks[k, k]) for k, (a, b) in enumerate(zip(m, n))}
        inner = {
            _name(t, len(m)): tuple(ranks[k] for k in (*kids, t) if k != (0, len(m) - 1)) for t, kids in _tree(len(m))
        }
        return leaves | inner

    def checked_shapes(self, named):
        d = max(2, sum(k.startswith("leaf.") for k in named))
        ranks = {}
        expected = {f"leaf.{k}": (None, None, None) for k in range(d)}
        for k in range(d):
            leaf = named.get(f"leaf.{k}")
            ranks[k, k] = leaf.shape[-1] if leaf is not None and leaf.ndim else None
        for t, (left, right) in _tree(d):
            root = t == (0, d - 1)
            node = named.get(_name(t, d))
            ranks[t] = None if root or node is None or not node.ndim else node.shape[-1]
            expected[_name(t, d)] = (ranks[left], ranks[right]) if root else (ranks[left], ranks[right], None)
        return expected

    def terms(self, named):
        d = sum(k.startswith("leaf.") for k in named)
        bond = {t: ("r", i) for i, t in enumerate([*((k, k) for k in range(d)), *(t for t, _ in _tree(d))])}
        labels = {f"leaf.{k}": (("m", k), ("n", k), bond[k, k]) for k in range(d)}
        for t, kids in _tree(d):
            labels[_name(t, d)] = tuple(bond[k] for k in (*kids, t) if k != (0, d - 1))
        return [[Core(name, array, labels[name]) for name, array in named.items()]]


@lru_cache(maxsize=64)
def _tree(d: int, first: int = 0, last: int | None = None) -> tuple[tuple[Node, tuple[Node, Node]], ...]:
    """(node, its two children), children before parents, the root last."""
    last = d - 1 if last is None else last
    if first == last:
        return ()
    middle = (first + last) // 2
    below = _tree(d, first, middle) + _tree(d, middle + 1, last)
    return (*below, ((first, last), ((first, middle), (middle + 1, last))))


def _name(t: Node, d: int) -> str:
    return "root" if t == (0, d - 1) else f"node.{t[0]}-{t[1]}"


def _ranks(s: list[int], rank: int) -> dict[Node, int]:
    """The rank of every node: at most its size, the size of the rest, and what its neighbors in the tree allow."""
    whole = prod(s)
    nodes = [*((k, k) for k in range(len(s))), *(t for t, _ in _tree(len(s)))]
    sizes = {(a, b): prod(s[a : b + 1]) for a, b in nodes}
    r = {t: min(rank, sizes[t], whole // sizes[t]) for t in nodes}
    before = None
    while before != r:
        before = dict(r)
        for t, (left, right) in _tree(len(s)):
            r[t] = min(r[t], r[left] * r[right])
            r[left] = min(r[left], r[right] * r[t])
            r[right] = min(r[right], r[left] * r[t])
    return r


def _truncate(t: np.ndarray, ranks, m, n) -> dict[str, np.ndarray]:
    d, named = len(m), {}
    at = [(k, k) for k in range(d)]  # the tree node of each axis of t
    for k in range(d):
        basis, t = _keep(t, k, k + 1, ranks[k, k])
        named[f"leaf.{k}"] = basis.reshape(m[k], n[k], -1)
    for node, kids in _tree(d)[:-1]:
        i = at.index(kids[0])
        pair = t.shape[i : i + 2]
        basis, t = _keep(t, i, i + 2, ranks[node])
        named[_name(node, d)] = basis.reshape(*pair, -1)
        at[i : i + 2] = [node]
    return named | {"root": t}


def _keep(t: np.ndarray, first: int, stop: int, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """The leading directions of axes first..stop taken together, and t in those directions."""
    before, middle, after = t.shape[:first], t.shape[first:stop], t.shape[stop:]
    flat = t.reshape(prod(before), prod(middle), prod(after))
    unfolded = flat.transpose(1, 0, 2).reshape(prod(middle), -1)
    basis = svd(unfolded)[0][:, :rank]
    return basis, np.einsum("kr,pkq->prq", basis, flat).reshape(*before, basis.shape[1], *after)
