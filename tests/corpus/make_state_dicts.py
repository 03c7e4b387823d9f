"""Save small networks as torch.save and safetensors do, with two samples and PyTorch's own results.

    python tests/corpus/make_state_dicts.py

Writes dicts/NAME.pt for every case, some as NAME.safetensors too, and dicts/expected.npz (NAME/x, NAME/y).
Made with Python 3.11, torch 2.13.0 (CPU), safetensors 0.8.0, numpy 2.4.6.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).resolve().parent / "dicts"
STEPS, FEATURES, UNITS, CLASSES = 7, 4, 6, 3


class Net(nn.Module):
    """A stack, what is taken of it, and a dense layer."""

    def __init__(self, kind: str, take: str = "last", norm: bool = False, layer_norm: bool = False, **options):
        super().__init__()
        self.take = take
        self.rnn = getattr(nn, kind)(FEATURES, UNITS, batch_first=True, **options)
        width = (options.get("proj_size") or UNITS) * (1 + options.get("bidirectional", False))
        if norm:
            self.bn = nn.BatchNorm1d(width)
            self.bn.running_mean.uniform_(-1, 1)
            self.bn.running_var.uniform_(0.5, 2)
            self.bn.weight.data.uniform_(0.5, 2)
        self.ln = nn.LayerNorm(width) if layer_norm else nn.Identity()
        if layer_norm:
            self.ln.weight.data.uniform_(0.5, 2)
            self.ln.bias.data.uniform_(-1, 1)
        self.fc = nn.Linear(width, CLASSES)

    def forward(self, x):
        out, states = self.rnn(x)
        if self.take == "final":
            h = states[0] if isinstance(states, tuple) else states
            y = torch.cat(list(h[-2:]), dim=1) if self.rnn.bidirectional else h[-1]
        else:
            y = {"last": out[:, -1], "mean": out.mean(1), "all": out}[self.take]
        return self.fc(self.bn(y) if hasattr(self, "bn") else self.ln(y))


class Cells(nn.Module):
    """Two kinds of cells in a loop, with a dense layer and an activation in front."""

    def __init__(self):
        super().__init__()
        self.front = nn.Linear(FEATURES, 5)
        self.gru, self.lstm = nn.GRUCell(5, UNITS), nn.LSTMCell(UNITS, UNITS)

    def forward(self, x):
        a, b = torch.zeros(len(x), UNITS), (torch.zeros(len(x), UNITS), torch.zeros(len(x), UNITS))
        for t in range(x.shape[1]):
            a = self.gru(torch.relu(self.front(x[:, t])), a)
            b = self.lstm(a, b)
        return b[0]


CASES = {
    "lstm": lambda: Net("LSTM"),
    "gru": lambda: Net("GRU", num_layers=2),
    "rnn": lambda: Net("RNN"),
    "rnn_relu": lambda: Net("RNN", nonlinearity="relu"),
    "no_bias": lambda: Net("GRU", bias=False),
    "norm": lambda: Net("LSTM", norm=True),
    "both_last": lambda: Net("LSTM", bidirectional=True, num_layers=2),
    "both_final": lambda: Net("GRU", "final", bidirectional=True, num_layers=2),
    "mean": lambda: Net("LSTM", "mean", bidirectional=True),
    "all": lambda: Net("GRU", "all"),
    "projected": lambda: Net("LSTM", proj_size=3, num_layers=2),
    "projected_both": lambda: Net("LSTM", "final", proj_size=2, bidirectional=True),
    "cells": Cells,
    "layer_norm": lambda: Net("GRU", layer_norm=True),
}


def main() -> None:
    HERE.mkdir(exist_ok=True)
    expected = {}
    for seed, (name, make) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        net = make().eval()
        x = torch.randn(2, STEPS, FEATURES)
        expected |= {f"{name}/x": x.numpy(), f"{name}/y": net(x).detach().numpy()}
        torch.save(net.state_dict(), HERE / f"{name}.pt")
        if name in ("lstm", "both_last"):
            save_file(net.state_dict(), HERE / f"{name}.safetensors")
    torch.manual_seed(0)
    net = CASES["lstm"]()
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(2, STEPS, FEATURES)).sum().backward()
    optimizer.step()
    state = {"epoch": 3, "model_state": nn.DataParallel(net).state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, HERE / "checkpoint.pt")
    torch.save(nn.LSTM(FEATURES, UNITS).bfloat16().state_dict(), HERE / "bfloat16.pt")
    torch.save(net, HERE / "module.pt")
    torch.save(net.state_dict(), HERE / "legacy.pt", _use_new_zipfile_serialization=False)
    np.savez_compressed(HERE / "expected.npz", **expected)


if __name__ == "__main__":
    main()
