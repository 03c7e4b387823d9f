"""Training with PyTorch: structured matrices as parameters, any Model as a torch module.  Needs the extra `torch`."""

from ..errors import HmdcError

try:
    import torch  # noqa: F401
except ImportError as e:
    raise HmdcError("training needs PyTorch: pip install 'hmdc[torch]'") from e

from .matrix import sparsify  # noqa: E402
from .modules import GRU, LSTM, RNN, FastGRNN, FastRNN, Linear  # noqa: E402

__all__ = ["GRU", "LSTM", "RNN", "FastGRNN", "FastRNN", "Linear", "sparsify"]
