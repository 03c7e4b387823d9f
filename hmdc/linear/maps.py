"""Linear maps: what a weight matrix becomes.  A closed algebra; every node lowers itself to kernel calls."""

from dataclasses import dataclass

import numpy as np

from ..kernels import Copy, Load, Settle
from ..program import SUM
from .leaves import BlockSparse, Dense, Exchange, LinearMap, Rank1Blocks, Sparse

__all__ = ["BlockSparse", "Chain", "Crop", "Dense", "Exchange", "LinearMap", "Rank1Blocks", "Rows", "Sparse", "Sum"]


class Composite(LinearMap):
    """A map made of the maps in its field `maps`."""

    maps: tuple[LinearMap, ...]

    @property
    def mixes(self):
        return all(m.mixes for m in self.maps)

    def factors(self):
        return [f for m in self.maps for f in m.factors()]

    def parameters(self):
        return sum(m.parameters() for m in self.maps)

    def nbytes(self):
        return sum(m.nbytes() for m in self.maps)

    def multipliers(self):
        return sum(m.multipliers() for m in self.maps)

    def macs(self):
        return sum(m.macs() for m in self.maps)


@dataclass(frozen=True)
class Chain(Composite):
    """f @ g @ ...: the last map is applied first."""

    maps: tuple[LinearMap, ...]

    def __post_init__(self):
        for f, g in zip(self.maps, self.maps[1:]):
            assert f.shape[1] == g.shape[0], f"chain of {[m.shape for m in self.maps]}"

    @property
    def mixes(self):
        return self.maps[-1].mixes

    @property
    def shape(self):
        return self.maps[0].shape[0], self.maps[-1].shape[1]

    def dense(self):
        out = self.maps[-1].dense()
        for m in self.maps[-2::-1]:
            out = m.apply(out)
        return out

    def apply(self, x):
        for m in self.maps[::-1]:
            x = m.apply(x)
        return x

    def rows(self, start, stop):
        return Chain((self.maps[0].rows(start, stop), *self.maps[1:]))

    def times(self, n):
        """A bias for each output has to be one for each row of the last matrix."""
        if n == 1:
            return self
        maps, last = [m.times(n) for m in self.maps], self.maps[0]
        return Chain(tuple(maps)) if all(maps) and isinstance(last, Dense) and last.p == last.q == 1 else None

    def lower(self, b, name, x, y, **end):
        for i, m in reversed(list(enumerate(self.maps))):
            if i == 0:
                m.lower(b, f"{name}.0", x, y, **end)
            else:
                t = b.buffer(f"{name}.t{i}", (m.shape[0],), b.inner)
                m.lower(b, f"{name}.{i}", x, t)
                x = t


@dataclass(frozen=True)
class Rows(Composite):
    """Outputs one below the other, all of the same input.  labels: what to call the parts, e.g. gates."""

    maps: tuple[LinearMap, ...]
    labels: tuple[str, ...] = ()

    @property
    def shape(self):
        return sum(m.shape[0] for m in self.maps), self.maps[0].shape[1]

    def dense(self):
        return np.vstack([m.dense() for m in self.maps])

    def apply(self, x):
        return np.vstack([m.apply(x) for m in self.maps])

    def _spans(self):
        at = 0
        for i, m in enumerate(self.maps):
            yield (self.labels[i] if self.labels else str(i)), m, at, at + m.shape[0]
            at += m.shape[0]

    def rows(self, start, stop):
        parts, labels = [], []
        for label, m, lo, hi in self._spans():
            a, z = max(start, lo), min(stop, hi)
            if a < z:
                parts.append(m if (a, z) == (lo, hi) else m.rows(a - lo, z - lo))
                labels.append(label)
        return parts[0] if len(parts) == 1 and not self.labels else Rows(tuple(parts), tuple(labels))

    def lower(self, b, name, x, y, bias=None, add=None, **clip):
        y = y.reshape(y.size)
        for label, m, lo, hi in self._spans():
            end = dict(clip)
            if bias is not None:
                end["bias"] = bias[lo:hi]
            if add is not None:
                end["add"] = add.reshape(add.size).slice(0, lo, hi)
            m.lower(b, f"{name}.{label}", x, y.slice(0, lo, hi), **end)


@dataclass(frozen=True)
class Sum(Composite):
    """f + g + ...: all but the last go into int32 partial sums on the grid of y."""

    maps: tuple[LinearMap, ...]

    @property
    def shape(self):
        return self.maps[0].shape

    def dense(self):
        return sum(m.dense() for m in self.maps)

    def apply(self, x):
        return sum(m.apply(x) for m in self.maps)

    def rows(self, start, stop):
        return Sum(tuple(m.rows(start, stop) for m in self.maps))

    def lower(self, b, name, x, y, bias=None, add=None, **clip):
        for i, m in enumerate(self.maps):
            end = {"add": add} if add is not None else {}
            if i == 0 and bias is not None:
                end["bias"] = bias
            if i == len(self.maps) - 1:
                m.lower(b, f"{name}.{i}", x, y, **end, **clip)
            else:
                add_next = b.buffer(f"{name}.sum{i}", y.shape, SUM)
                m.lower(b, f"{name}.{i}", x, add_next, **end)
                add = add_next


@dataclass(frozen=True)
class Crop(LinearMap):
    """The first rows and columns of a larger map: x is padded with zeros, the last outputs are dropped."""

    inner: LinearMap
    shape: tuple[int, int]

    @property
    def mixes(self):
        return self.inner.mixes and self.inner.shape[1] == self.shape[1]

    def dense(self):
        return self.inner.dense()[: self.shape[0], : self.shape[1]]

    def apply(self, x):
        padding = np.zeros((self.inner.shape[1] - self.shape[1], x.shape[1]))
        return self.inner.apply(np.vstack([x, padding]))[: self.shape[0]]

    def factors(self):
        return self.inner.factors()

    def parameters(self):
        return self.inner.parameters()

    def nbytes(self):
        return self.inner.nbytes()

    def multipliers(self):
        return self.inner.multipliers()

    def macs(self):
        return self.inner.macs()

    def lower(self, b, name, x, y, bias=None, add=None, **clip):
        (m, n), (rows, columns) = self.shape, self.inner.shape
        if columns > n:
            padded = b.buffer(f"{name}.padded", (columns,), b.fmt(x))
            b.emit(Copy(f"{name}.pad", x.reshape(n), padded.slice(0, 0, n)))
            b.emit(Load(f"{name}.zeros", padded.slice(0, n, columns), np.zeros(columns - n)))
            x = padded
        if rows == m:
            end = {k: v for k, v in (("bias", bias), ("add", add)) if v is not None}
            self.inner.lower(b, name, x, y, **end, **clip)
            return
        whole = b.buffer(f"{name}.whole", (rows,), SUM)
        end = {} if bias is None else {"bias": np.concatenate([bias, np.zeros(rows - m)])}
        self.inner.lower(b, name, x, whole, **end)
        b.emit(Settle(f"{name}.crop", whole.slice(0, 0, m), y.reshape(m), add, **clip))
