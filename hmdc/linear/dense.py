"""The matrix as it is: m n parameters and MACs."""

from .base import Structure, expect, take
from .maps import Dense


class DenseStructure(Structure):
    """y = W x."""

    name = prefix = "dense"
    weighted = True  # no error at all

    def decompose(self, w, *, moment=None):
        return Dense(w)

    def tiers(self, shape, ratio):
        yield [({}, shape[0] * shape[1])]

    def factors(self, m):
        return {"dense.w": m.w}

    def from_factors(self, factors, shape):
        (w,) = take(self, factors, ["w"])
        expect(self, "w", w, shape)
        return Dense(w)
