"""Save networks with convolutions, pooling and embeddings as torch.save does, with two samples and PyTorch's results.

    python tests/corpus/make_windows.py

Writes windows/NAME.pt for every case and windows/expected.npz (NAME/x, NAME/y).
Made with Python 3.11, torch 2.13.0 (CPU), numpy 2.4.6.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).resolve().parent / "windows"
STEPS, FEATURES, UNITS, CLASSES, TOKENS = 12, 4, 6, 3, 9


class Conv1(nn.Module):
    """Convolutions along time, normalization, pooling, a recurrent layer."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv1d(FEATURES, 6, 3, padding=1)
        self.bn = nn.BatchNorm1d(6)
        self.conv2 = nn.Conv1d(6, 8, 2, dilation=2, groups=2, bias=False)
        self.gru = nn.GRU(8, UNITS, batch_first=True)
        self.fc = nn.Linear(UNITS, CLASSES)

    def forward(self, x):
        y = torch.max_pool1d(torch.relu(self.bn(self.conv1(x.transpose(1, 2)))), 2)
        y, _ = self.gru(torch.tanh(self.conv2(y)).transpose(1, 2))
        return self.fc(y[:, -1])


class Conv2(nn.Module):
    """Convolutions over time and values, pooling of both, a recurrent layer on channels and values."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 3, (5, 1))
        self.conv2 = nn.Conv2d(3, 4, 3, stride=(2, 1), padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.lstm = nn.LSTM(8, UNITS, batch_first=True)

    def forward(self, x):
        y = torch.relu(self.conv2(torch.relu(self.conv1(x[:, None]))))
        y = nn.functional.avg_pool2d(self.bn(y), (1, 2))
        y, _ = self.lstm(y.permute(0, 2, 1, 3).flatten(2))
        return y.mean(1)


class Tokens(nn.Module):
    """An embedding, a causal convolution, the largest value of each channel."""

    def __init__(self, size: int = 5, conv: bool = True):
        super().__init__()
        self.emb = nn.Embedding(TOKENS, size)
        if conv:
            self.conv = nn.Conv1d(size, size, 3)
        self.rnn = nn.LSTM(size, UNITS, batch_first=True)
        self.fc = nn.Linear(UNITS, CLASSES)

    def forward(self, x):
        y = self.emb(x)
        if hasattr(self, "conv"):
            y = torch.relu(self.conv(nn.functional.pad(y.transpose(1, 2), (2, 0)))).transpose(1, 2)
        y, _ = self.rnn(y)
        return self.fc(y.amax(1) if hasattr(self, "conv") else y[:, -1])


CASES = {
    "conv1": Conv1,
    "conv2": Conv2,
    "tokens": Tokens,
    "tokens_last": lambda: Tokens(conv=False),
    "tokens_square": lambda: Tokens(TOKENS, conv=False),
}


def main() -> None:
    expected = {}
    for seed, (name, make) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        net = make().eval()
        for norm in (m for m in net.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))):
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
            norm.weight.data.uniform_(0.5, 2)
        shape = (2, STEPS)
        x = torch.randint(0, TOKENS, shape) if "tokens" in name else torch.randn(*shape, FEATURES)
        with torch.no_grad():
            expected |= {f"{name}/x": x.numpy(), f"{name}/y": net(x).numpy()}
        torch.save(net.state_dict(), HERE / f"{name}.pt")
    np.savez_compressed(HERE / "expected.npz", **expected)


if __name__ == "__main__":
    main()
