"""The registry of layers: op of a model's node -> Layer.  Every cell is a layer."""

from ..cells import CELLS
from .base import MEAN, NOW, Layer
from .dense import Dense
from .elementwise import Activation, Affine, Binary
from .layout import Concat, Reshape, Slice, Transpose
from .mean import Mean
from .recurrent import Recurrent
from .softmax import Softmax

OPS: dict[str, Layer] = {
    "dense": Dense(),
    "activation": Activation(),
    "affine": Affine(),
    "add": Binary("add"),
    "sub": Binary("sub", sign=-1),
    "mul": Binary("mul"),
    "softmax": Softmax(),
    "mean": Mean(),
    "reshape": Reshape(),
    "transpose": Transpose(),
    "slice": Slice(),
    "concat": Concat(),
} | {op: Recurrent() for op in CELLS}

__all__ = ["MEAN", "NOW", "OPS", "Layer"]
