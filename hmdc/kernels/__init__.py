"""The registry of kernels.  Each has a numpy truth here and a C twin of the same name in runtime_c."""

from .accumulate import Accumulate
from .add import Add
from .base import Kernel, Quantizer
from .block_spmv import BlockSpmv
from .copy import Copy
from .fastgrnn_update import FastgrnnUpdate
from .gate import Gate
from .gru_update import GruUpdate
from .load import Load
from .log_softmax import LogSoftmax
from .lookup import Lookup
from .lstm_update import LstmUpdate
from .matmul import Matmul
from .mul import Mul
from .normalize import Normalize
from .pool import Pool
from .rank1 import Rank1
from .rescale import Rescale
from .scale import Scale
from .settle import Settle
from .shift import Shift
from .softmax import Softmax
from .spmv import Spmv
from .swap import Swap
from .table import Table

KERNELS: tuple[type[Kernel], ...] = (
    Accumulate, Add, BlockSpmv, Copy, FastgrnnUpdate, Gate, GruUpdate, Load, LogSoftmax, Lookup, LstmUpdate, Matmul,
    Mul, Normalize, Pool, Rank1, Rescale, Scale, Settle, Shift, Softmax, Spmv, Swap, Table,
)  # fmt: skip

__all__ = [k.__name__ for k in KERNELS] + ["KERNELS", "Kernel", "Quantizer"]
