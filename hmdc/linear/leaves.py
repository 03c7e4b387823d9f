"""The linear maps that are one kernel each; maps.py combines them."""

from dataclasses import dataclass, replace

import numpy as np

from ..errors import HmdcError
from ..kernels import BlockSpmv, Matmul, Rank1, Spmv, Swap
from ..kernels.spmv import PER_ROW
from ..program import WIDE, View


class LinearMap:
    """shape: (rows, columns); dense(): the matrix it stands for; factors(): arrays that are stored, by name."""

    shape: tuple[int, int]

    def dense(self) -> np.ndarray:
        raise NotImplementedError

    def apply(self, x: np.ndarray) -> np.ndarray:
        """The product with x [columns, k], without the matrix where that would be large."""
        return self.dense() @ x

    def factors(self) -> list[np.ndarray]:
        raise NotImplementedError

    def parameters(self) -> int:
        """Numbers that are stored, without indices."""
        return int(sum(np.count_nonzero(f) if self.sparse else f.size for f in self.factors()))

    sparse = False
    mixes = False  # whether x may consist of parts of different scales

    def nbytes(self) -> int:
        """Bytes in int8, indices included, multipliers not."""
        return self.parameters()

    def multipliers(self) -> int:
        """Scales that the integers take, 4 bytes each."""
        return 1

    def macs(self) -> int:
        """Multiply-accumulates of one product."""
        raise NotImplementedError

    def rows(self, start: int, stop: int) -> "LinearMap":
        """The map to those outputs only.  Raises HmdcError where the structure cannot be cut there."""
        raise HmdcError(f"a {type(self).__name__} map of {self.shape[0]} rows cannot be cut at {start}..{stop}")

    def times(self, n: int) -> "LinearMap | None":
        """The map of n vectors at once, one behind the other; None where its kernels take one vector."""
        return self if n == 1 else None

    def lower(self, b, name: str, x: View, y: View, **end) -> None:
        """Emit y = clip(self @ x + bias + add, low, high) on the builder b.  x, y: one piece of memory each.

        end: bias [rows]; add: View of int32 partial sums on the grid of y; low, high: real bounds; each optional.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Dense(LinearMap):
    """I_p (x) w (x) I_q: multiplies the middle axis of x[p, k, q].  w: [r, k].

    per_row: a scale for each row once quantized; small factors share one, a multiplier costs 4 bytes.
    """

    w: np.ndarray
    p: int = 1
    q: int = 1
    per_row: bool = True

    @property
    def shape(self) -> tuple[int, int]:
        r, k = self.w.shape
        return self.p * r * self.q, self.p * k * self.q

    def dense(self):
        return np.kron(np.kron(np.eye(self.p), self.w), np.eye(self.q))

    def apply(self, x):
        middle = x.reshape(self.p, self.w.shape[1], self.q * x.shape[1])
        return np.matmul(self.w, middle).reshape(self.shape[0], x.shape[1])

    def factors(self):
        return [self.w]

    def multipliers(self):
        return len(self.w) if self.per_row else 1

    def macs(self):
        return self.w.size * self.p * self.q

    @property
    def mixes(self):
        return self.p == self.q == 1

    def rows(self, start, stop):
        if self.q > 1 and self.p == 1 and start % self.q == stop % self.q == 0:
            return replace(self, w=self.w[start // self.q : stop // self.q])
        if self.p > 1 or self.q > 1:
            return super().rows(start, stop)
        return replace(self, w=self.w[start:stop])

    def times(self, n):
        return replace(self, p=n * self.p)

    def lower(self, b, name, x, y, **end):
        bias = end.get("bias")
        if bias is not None and len(bias) > len(self.w):  # one for every output, not for every row of w
            end["bias"] = bias.reshape(self.p, len(self.w), self.q)
        b.emit(Matmul(name, x, y, self.w, p=self.p, q=self.q, per_row=self.per_row, **end))


@dataclass(frozen=True)
class Sparse(LinearMap):
    """Kept entries only; w: [r, k] with zeros elsewhere."""

    w: np.ndarray
    sparse = True
    mixes = True

    @property
    def shape(self):
        return self.w.shape

    def dense(self):
        return self.w

    def factors(self):
        return [self.w]

    def nbytes(self):
        return 2 * self.parameters() + 2 * len(self.w)  # a gap beside every entry, a count for every row

    def multipliers(self):
        return len(self.w) if self.macs() >= PER_ROW * len(self.w) else 1

    def macs(self):
        return int(np.count_nonzero(self.w))

    def rows(self, start, stop):
        return replace(self, w=self.w[start:stop])

    def lower(self, b, name, x, y, **end):
        b.emit(Spmv(name, x, y, self.w, **end))


@dataclass(frozen=True)
class BlockSparse(Sparse):
    """Kept blocks of `block` = (rows, columns) only; the grid of blocks starts at 0, 0."""

    block: tuple[int, int] = (4, 4)

    def macs(self):
        (m, n), (r, k) = self.w.shape, self.block
        kept = [(i, j) for i in range(0, m, r) for j in range(0, n, k) if self.w[i : i + r, j : j + k].any()]
        return sum(min(r, m - i) * min(k, n - j) for i, j in kept)

    def multipliers(self):
        return len(self.w)

    def nbytes(self):
        kept = self.macs()  # whole blocks are stored, zeros inside included
        return kept + 2 * (kept // (self.block[0] * self.block[1])) + 2 * -(-len(self.w) // self.block[0])

    def rows(self, start, stop):
        if start % self.block[0]:
            return LinearMap.rows(self, start, stop)
        return super().rows(start, stop)

    def lower(self, b, name, x, y, **end):
        b.emit(BlockSpmv(name, x, y, self.w, self.block, **end))


@dataclass(frozen=True)
class Rank1Blocks(LinearMap):
    """y = b (c . x1) + d (e . x2), x1 and x2 the halves of x: the lower rows of HMD.  b, d: [r]; c, e: [k/2]-ish."""

    b: np.ndarray
    d: np.ndarray
    c: np.ndarray
    e: np.ndarray
    mixes = True

    @property
    def shape(self):
        return len(self.b), len(self.c) + len(self.e)

    def dense(self):
        return np.hstack([np.outer(self.b, self.c), np.outer(self.d, self.e)])

    def factors(self):
        return [self.b, self.d, self.c, self.e]

    def multipliers(self):
        return 3

    def macs(self):
        return 2 * len(self.b) + len(self.c) + len(self.e)

    def rows(self, start, stop):
        return replace(self, b=self.b[start:stop], d=self.d[start:stop])

    def lower(self, b, name, x, y, **end):
        t = b.buffer(f"{name}.t", (2,), WIDE)
        b.emit(Rank1(name, x, t, y, self.b, self.d, self.c, self.e, **end))


@dataclass(frozen=True)
class Exchange(LinearMap):
    """y[p, b, a, q] = x[p, a, b, q]; only inside a Chain, never last."""

    p: int
    a: int
    b: int
    q: int

    @property
    def shape(self):
        n = self.p * self.a * self.b * self.q
        return n, n

    def dense(self):
        n = self.shape[0]
        return np.eye(n).reshape(self.p, self.a, self.b, self.q, n).transpose(0, 2, 1, 3, 4).reshape(n, n)

    def apply(self, x):
        axes = x.reshape(self.p, self.a, self.b, self.q, x.shape[1]).transpose(0, 2, 1, 3, 4)
        return axes.reshape(x.shape)

    def factors(self):
        return []

    def multipliers(self):
        return 0

    def macs(self):
        return 0

    def times(self, n):
        return replace(self, p=n * self.p)

    def lower(self, b, name, x, y, **end):
        assert not end, "an exchange of axes takes no bias"
        b.emit(Swap(name, x, y, self.p, self.a, self.b, self.q))
