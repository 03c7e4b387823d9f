"""Linear maps: what a weight matrix becomes.  A closed algebra; every node lowers itself to kernel calls."""

from dataclasses import dataclass

import numpy as np

from ..kernels import Matmul
from ..program import View


class LinearMap:
    """shape: (rows, columns); dense(): the matrix it stands for; parameters(): numbers that are stored."""

    shape: tuple[int, int]

    def dense(self) -> np.ndarray:
        raise NotImplementedError

    def parameters(self) -> int:
        raise NotImplementedError

    def rows(self, start: int, stop: int) -> "LinearMap":
        """The map to those outputs only."""
        raise NotImplementedError

    def lower(self, b, name: str, x: View, y: View, **end) -> None:
        """Emit y = clip(self @ x + bias + add, low, high) on the builder b.

        end: bias [rows]; add: View of int32 partial sums on the grid of y; low, high: real bounds; each optional.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Dense(LinearMap):
    """I_p (x) w (x) I_q: multiplies the middle axis of x[p, k, q].  w: [r, k]."""

    w: np.ndarray
    p: int = 1
    q: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        r, k = self.w.shape
        return self.p * r * self.q, self.p * k * self.q

    def dense(self) -> np.ndarray:
        return np.kron(np.kron(np.eye(self.p), self.w), np.eye(self.q))

    def parameters(self) -> int:
        return self.w.size

    def rows(self, start, stop):
        assert self.p == self.q == 1
        return Dense(self.w[start:stop])

    def lower(self, b, name, x, y, **end):
        b.emit(Matmul(name, x, y, self.w, p=self.p, q=self.q, **end))
