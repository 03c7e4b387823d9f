"""The registry of cells: op -> Cell."""

from .base import Cell
from .gru import Gru
from .lstm import CoupledLstm, Lstm
from .rnn import Rnn

CELLS: dict[str, Cell] = {"lstm": Lstm(), "lstm_coupled": CoupledLstm(), "gru": Gru(), "rnn": Rnn()}

__all__ = ["CELLS", "Cell"]
