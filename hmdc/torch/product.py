"""A tensor network times many vectors, differentiable, without the matrix that it stands for."""

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from ..linear.network import Core, Labels

SAMPLE = ("sample", 0)  # the label of an axis
ENTRY = 256  # multiplications that take as long as an entry of a temporary, written and read on the way back too


def product(cores: Sequence[Core], x: Tensor, start: int = 0) -> Tensor:
    """x [samples, k] stands in columns start.., zeros in all others -> [samples, m].  cores: of torch tensors.

    Unlike on a device, cores may be multiplied with each other first, which pays for many samples.
    """
    arrays, labels = zip(*(c.bare() for c in cores))
    sizes = {a: s for own, array in zip(labels, arrays) for a, s in zip(own, array.shape)}
    first, *others = (a for a in sorted(sizes) if a[0] == "n")
    block = prod(sizes[a] for a in others)
    used = slice(start // block, -(-(start + x.shape[1]) // block))  # of the first mode: the rest meets zeros
    x = F.pad(x, (start - used.start * block, used.stop * block - start - x.shape[1]))
    x = x.reshape(len(x), -1, *(sizes[a] for a in others))
    parts = [x, *(a[tuple(used if v == first else slice(None) for v in own)] for a, own in zip(arrays, labels))]
    names = ((SAMPLE, first, *others), *labels)
    out = (SAMPLE, *(a for a in sorted(sizes) if a[0] == "m"))
    for i, j, kept in order(names, tuple(tuple(a.shape) for a in parts), out):
        parts.append(_pair(parts[i], names[i], parts[j], names[j], kept))
        names = (*names, kept)
    return parts[-1].flatten(1)


def _pair(a: Tensor, in_a: Labels, b: Tensor, in_b: Labels, out: Labels) -> Tensor:
    ids = {label: i for i, label in enumerate(dict.fromkeys((*in_a, *in_b)))}
    return torch.einsum(a, [ids[v] for v in in_a], b, [ids[v] for v in in_b], [ids[v] for v in out])


@lru_cache(maxsize=256)
def order(labels: tuple[Labels, ...], shapes: tuple[tuple[int, ...], ...], out: Labels) -> list[tuple]:
    """Steps (i, j, labels of their product), which gets the next number: the cheapest of all orders in pairs.

    The sets of arrays are numbers, whose bits are their members.
    """
    sizes = {a: s for own, shape in zip(labels, shapes) for a, s in zip(own, shape)}
    everything, steps = (1 << len(labels)) - 1, []

    @cache
    def left(members: int) -> Labels:
        """Of the product of these arrays, the axes that are still needed."""
        if members == everything:
            return out
        inner, outer = ([a for i, own in enumerate(labels) if bits >> i & 1 for a in own]
                        for bits in (members, everything ^ members))  # fmt: skip
        return tuple(a for a in dict.fromkeys(inner) if a in outer or a in out)

    size = lambda axes: prod(sizes[a] for a in axes)

    @cache
    def best(members: int) -> tuple[int, int]:
        """The cost, and one of the two sets to multiply last."""
        if members & (members - 1) == 0:
            return 0, 0
        macs = lambda a: size({*left(a), *left(members ^ a)})
        cost, half = min((best(a)[0] + best(members ^ a)[0] + macs(a), a) for a in _halves(members))
        return cost + ENTRY * size(left(members)), half

    def walk(members: int) -> int:
        if members & (members - 1) == 0:
            return members.bit_length() - 1
        half = best(members)[1]
        i, j = walk(half), walk(members ^ half)
        steps.append((i, j, left(members)))
        return len(labels) + len(steps) - 1

    walk(everything)
    return steps


def _halves(members: int) -> Iterator[int]:
    """Of every way to split a set in two, the part without its last member."""
    last = 1 << members.bit_length() - 1
    half = rest = members ^ last
    while half:
        yield half
        half = (half - 1) & rest
