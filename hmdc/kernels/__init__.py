"""The registry of kernels.  Each has a numpy truth here and a C twin of the same name in runtime_c."""

from .accumulate import Accumulate
from .add import Add
from .base import Kernel, Quantizer
from .copy import Copy
from .gate import Gate
from .gru_update import GruUpdate
from .load import Load
from .lstm_update import LstmUpdate
from .matmul import Matmul
from .mul import Mul
from .rescale import Rescale
from .scale import Scale
from .softmax import Softmax
from .table import Table

KERNELS: tuple[type[Kernel], ...] = (
    Accumulate, Add, Copy, Gate, GruUpdate, Load, LstmUpdate, Matmul, Mul, Rescale, Scale, Softmax, Table,
)  # fmt: skip

__all__ = [k.__name__ for k in KERNELS] + ["KERNELS", "Kernel", "Quantizer"]
