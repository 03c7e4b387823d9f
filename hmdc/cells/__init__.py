"""The registry of cells: op -> Cell."""

from .base import Cell
from .fast import FastGrnn, FastRnn
from .gru import Gru
from .lstm import CoupledLstm, Lstm
from .rnn import Rnn

CELLS: dict[str, Cell] = {
    "lstm": Lstm(),
    "lstm_coupled": CoupledLstm(),
    "gru": Gru(),
    "rnn": Rnn(),
    "fastrnn": FastRnn(),
    "fastgrnn": FastGrnn(),
}

__all__ = ["CELLS", "Cell"]
