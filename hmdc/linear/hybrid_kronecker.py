"""Hybrid Kronecker product (HKP: Thakker et al., arXiv 1906.02876): W = [A'; A (x) B].

The upper r rows A' [r, n] are free, the lower ones a Kronecker product: r n + m1 n1 + m2 n2 parameters.
"""

import numpy as np

from .base import whole_number
from .kronecker import Kronecker, awkward
from .network import order_cost


class HybridKronecker(Kronecker):
    """rows: how many stay free.  left: shape of the left factor of the rows below; balanced when not given."""

    name = "hybrid_kronecker"
    prefix = "hkp"

    def decompose(self, w, *, moment=None, rows: int, left=None):
        rows = whole_number(self, "rows", rows, 1, w.shape[0] - 1, f"for {w.shape[0]} rows")
        return self.fit_pairs(w, self._lower(w.shape, rows, left), rows, moment)

    def _lower(self, shape, rows, left):
        """Shapes of the factors below; rows are never padded, another rich row does as well."""
        lower = (shape[0] - rows, shape[1])
        return self.pairs(lower, left) if left is not None else self.default(lower, pad=False, rich=False)[1]

    def tiers(self, shape, ratio, left=None):
        """By the number of rich rows, primes below last; a given left factor must divide the rows below."""
        if left is not None:
            self.check_left(left)
        given = {} if left is None else {"left": left}
        counts = [r for r in range(1, shape[0]) if left is None or (shape[0] - r) % left[0] == 0]
        sized = [(r, r * shape[1] + sum(a * b for a, b in self._lower(shape, r, left))) for r in counts]
        yield [({"rows": r, **given}, stored) for r, stored in sized if not awkward(shape[0] - r)]
        yield [({"rows": r, **given}, stored) for r, stored in sized]

    def rank_tie(self, shape, options):
        return (self.macs(shape, options),)

    def macs(self, shape, options):
        pairs = self._lower(shape, **({"left": None} | options))
        blank = {str(k): np.zeros(p) for k, p in enumerate(pairs)}
        return options["rows"] * shape[1] + order_cost(self.terms(blank)[0])
