"""The registry of layers: op of a model's node -> Layer.  Every cell is a layer."""

from ..cells import CELLS
from .base import MEAN, NOW, Layer
from .conv import Conv
from .dense import Dense
from .dot import Dot, Repeat
from .elementwise import Activation, Affine, Binary
from .layout import Concat, Reshape, Slice, Transpose
from .lookup import Lookup
from .mean import Mean
from .normalize import Normalize
from .pad import Pad
from .pool import Pool
from .recurrent import Recurrent
from .softmax import LogSoftmax, Softmax

OPS: dict[str, Layer] = {
    "dense": Dense(),
    "conv": Conv(),
    "activation": Activation(),
    "affine": Affine(),
    "add": Binary("add"),
    "sub": Binary("sub", sign=-1),
    "mul": Binary("mul"),
    "repeat": Repeat(),
    "dot": Dot(),
    "lookup": Lookup(),
    "softmax": Softmax(),
    "log_softmax": LogSoftmax(),
    "normalize": Normalize(),
    "mean": Mean(),
    "pool": Pool(),
    "pad": Pad(),
    "reshape": Reshape(),
    "transpose": Transpose(),
    "slice": Slice(),
    "concat": Concat(),
} | {op: Recurrent() for op in CELLS}

__all__ = ["MEAN", "NOW", "OPS", "Layer"]
