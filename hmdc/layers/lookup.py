"""Embedding: a row of a table for each token."""

import numpy as np

from ..errors import HmdcError
from ..kernels import Lookup as LookupKernel
from .base import Layer


class Lookup(Layer):
    """x: integers of any shape S, from -n to n - 1.  weights: table [n, d].  y: S + (d,)."""

    def reference(self, node, x):
        return (node.weights["table"][x.astype(np.int64)],)

    def lower(self, b, node, x):
        if not x.contiguous:
            raise HmdcError(f"{node.name} ({node.source}): reads tokens out of order; reorder after the embedding")
        table = node.weights["table"]
        y = b.output(node.outputs[0], (*x.shape, table.shape[1]), node.name)
        b.emit(LookupKernel(node.name, x, y, table))
        return (y,)
