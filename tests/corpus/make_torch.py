"""Export the PyTorch corpus: small recurrent models as PyTorch's own two exporters write them.

    python tests/corpus/make_torch.py [NAME ...]

Writes torch/NAME.onnx for every case, torch/expected.npz (two input samples and ONNX Runtime's outputs for each model:
NAME/in/INPUT and NAME/out/OUTPUT, the samples on a new leading axis) and torch/cases.json (what the frontend is
expected to do with each model). A model whose name starts with ts_ comes from the TorchScript exporter, dyn_ from the
dynamo exporter. With names given, only those models are exported and checked, and the two tables are left alone.

Cases that could not be exported, and so are not here:
  * proj_size with TorchScript: the exporter raises ("LSTMs with projections" is unsupported).
  * packed sequences with dynamo: torch.export raises, since the batch size read from the packed data is a tensor.
"""

import json
import logging
import sys
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

import hmdc.torch as structured

HERE = Path(__file__).resolve().parent / "torch"
SAMPLES = 2
TOLERANCE = 1e-5


# What to take from a recurrent layer's (out, state), and the models made of it.


def last(out, _):
    return out[:, -1]


def last_time_first(out, _):
    return out[-1]


def steps(out, _):
    return out


def mean(out, _):
    return out.mean(1)


def flat(out, _):
    return out.flatten(1)


def last_and_mean(out, _):
    return torch.cat([out[:, -1], out.mean(1)], dim=1)


def hidden(_, state):
    """The last layer's final h."""
    return (state[0] if isinstance(state, tuple) else state)[-1]


def both_ends(_, state):
    """The last layer's final h of both directions: what bidirectional classifiers feed their head."""
    h = state[0] if isinstance(state, tuple) else state
    return torch.cat([h[-2], h[-1]], dim=1)


def at_length(out, state, lengths):
    """The last step of each sequence."""
    return out[torch.arange(out.shape[0]), lengths - 1]


def all_hidden(_, state):
    return state[0] if isinstance(state, tuple) else state


class Net(nn.Module):
    """before -> recurrent layer -> take -> head"""

    def __init__(self, rnn: nn.Module, take: Callable, head: nn.Module | None = None, before: nn.Module | None = None):
        super().__init__()
        self.before, self.rnn, self.head = before or nn.Identity(), rnn, head or nn.Identity()
        self.take = take

    def forward(self, x: Tensor):
        out, state = self.rnn(self.before(x))
        return self.head(self.take(out, state))


class States(nn.Module):
    """Everything the recurrent layer gives: y, h_n and, for an LSTM, c_n."""

    def __init__(self, rnn: nn.Module):
        super().__init__()
        self.rnn = rnn

    def forward(self, x: Tensor):
        return self.rnn(x)


class StreamLSTM(nn.Module):
    """A streaming model: the caller holds the state between calls."""

    def __init__(self, features: int, units: int, classes: int):
        super().__init__()
        self.rnn, self.head = nn.LSTM(features, units, batch_first=True), nn.Linear(units, classes)

    def forward(self, x: Tensor, h0: Tensor, c0: Tensor):
        out, (h, c) = self.rnn(x, (h0, c0))
        return self.head(out), h, c


class StreamGRU(nn.Module):
    def __init__(self, features: int, units: int, classes: int, layers: int = 1):
        super().__init__()
        self.rnn, self.head = nn.GRU(features, units, layers), nn.Linear(units, classes)

    def forward(self, x: Tensor, h0: Tensor):
        out, h = self.rnn(x, h0)
        return self.head(out), h


class LearnedState(nn.Module):
    """The initial state is a parameter, expanded to the batch size of the input."""

    def __init__(self, features: int, units: int):
        super().__init__()
        self.rnn = nn.LSTM(features, units, batch_first=True)
        self.h0, self.c0 = (nn.Parameter(torch.randn(1, 1, units) * 0.5) for _ in range(2))
        self.head = nn.Linear(units, 2)

    def forward(self, x: Tensor):
        state = self.h0.expand(-1, x.shape[0], -1).contiguous(), self.c0.expand(-1, x.shape[0], -1).contiguous()
        out, _ = self.rnn(x, state)
        return self.head(out[:, -1])


class Normalize(nn.Module):
    def __init__(self, features: int):
        super().__init__()
        self.register_buffer("mean", torch.randn(features))
        self.register_buffer("std", torch.rand(features) + 0.5)

    def forward(self, x: Tensor):
        return (x - self.mean) / self.std


class Permute(nn.Module):
    def __init__(self, *axes: int):
        super().__init__()
        self.axes = axes

    def forward(self, x: Tensor):
        return x.permute(self.axes)


class Residual(nn.Module):
    def __init__(self, features: int):
        super().__init__()
        self.rnn, self.head = nn.GRU(features, features, batch_first=True), nn.Linear(features, 2)

    def forward(self, x: Tensor):
        out, _ = self.rnn(x)
        return self.head(out + x)


class GRUThenLSTM(nn.Module):
    def __init__(self, features: int, first: int, second: int):
        super().__init__()
        self.gru, self.lstm = nn.GRU(features, first, batch_first=True), nn.LSTM(first, second, batch_first=True)
        self.head = nn.Linear(second, 3)

    def forward(self, x: Tensor):
        return self.head(self.lstm(self.gru(x)[0])[0][:, -1])


class Packed(nn.Module):
    def __init__(self, features: int, units: int):
        super().__init__()
        self.rnn, self.head = nn.LSTM(features, units, batch_first=True), nn.Linear(2 * units, 2)

    def forward(self, x: Tensor, lengths: Tensor):
        packed, (h, _) = self.rnn(nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True))
        # TorchScript cannot export a packed sequence that is not padded again (an error in its peephole pass).
        out, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
        return self.head(torch.cat([h[-1], out.sum(1) / lengths.unsqueeze(1)], dim=1))


class PackedNet(nn.Module):
    """pack -> recurrent layer -> pad again to all steps -> take -> head"""

    def __init__(self, rnn: nn.Module, take: Callable, head: nn.Module):
        super().__init__()
        self.rnn, self.take, self.head = rnn, take, head

    def forward(self, x: Tensor, lengths: Tensor):
        first = self.rnn.batch_first
        packed, state = self.rnn(nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=first))
        steps = x.shape[1 if first else 0]
        out, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=first, total_length=steps)
        taken = self.take(out, state, lengths) if self.take is at_length else self.take(out, state)
        return self.head(taken), out


def layer_norm(features: int) -> nn.LayerNorm:
    """As training leaves it."""
    norm = nn.LayerNorm(features)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.uniform_(norm.bias, -0.5, 0.5)
    return norm


class UnitLength(nn.Module):
    def forward(self, x: Tensor):
        return nn.functional.normalize(x, dim=-1)


class LayerNormLSTM(nn.Module):
    """A Python loop of steps: the gates' pre-activations and c are normalized."""

    def __init__(self, features: int, units: int):
        super().__init__()
        self.w, self.u = nn.Linear(features, 4 * units, bias=False), nn.Linear(units, 4 * units, bias=False)
        self.of_x, self.of_h, self.of_c = layer_norm(4 * units), layer_norm(4 * units), layer_norm(units)
        self.head = nn.Linear(units, 2)

    def forward(self, x: Tensor):
        h = c = torch.zeros(1, self.u.in_features)
        for t in range(x.shape[1]):
            i, f, g, o = (self.of_x(self.w(x[:, t])) + self.of_h(self.u(h))).chunk(4, dim=-1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * self.of_c(c).tanh()
        return self.head(h)


def batch_norm(features: int) -> nn.BatchNorm1d:
    """A BatchNorm as training leaves it: a fresh one is the identity and would hide mistakes."""
    norm = nn.BatchNorm1d(features)
    for tensor, low, high in (
        (norm.running_mean, -1, 1),
        (norm.running_var, 0.5, 2),
        (norm.weight, 0.5, 1.5),
        (norm.bias, -0.5, 0.5),
    ):
        nn.init.uniform_(tensor, low, high)
    return norm


def fast_grnn(features: int, units: int) -> nn.Module:
    """As training leaves it: two biases."""
    cell = structured.FastGRNN(features, units, batch_first=True, structure="lowrank(rank=2)")
    nn.init.uniform_(cell.bias_gate_l0, 0.5, 1.5)
    nn.init.uniform_(cell.bias_update_l0, 0.5, 1.5)
    return cell


# The table.


@dataclass
class Ints:
    """An integer input: values from low up to, not including, high."""

    shape: tuple[int, ...]
    low: int
    high: int


@dataclass
class Case:
    name: str
    note: str
    make: Callable[[], nn.Module]
    inputs: dict[str, tuple[int, ...] | Ints]
    outputs: tuple[str, ...] = ("y",)
    exporters: tuple[str, ...] = ("ts", "dyn")
    expect: str = "ok"  # ok: compiles; later: a feature not there yet; refuse: never, the file itself is wrong
    expect_dyn: str = ""  # where the dynamo export differs
    dynamic: dict[str, dict[int, str]] = field(default_factory=dict)  # input -> axis -> name
    samples: dict[str, tuple[int, ...]] = field(default_factory=dict)  # shapes of the samples, where not the exported
    options: dict = field(default_factory=dict)  # of torch.onnx.export


X = "x"
TS, DYN = {"exporters": ("ts",)}, {"exporters": ("dyn",)}
FIRST = {"batch_first": True}


# Where only the glue after or before the layer matters, and both exporters write that alike, one of them is enough.
CASES = [
    # One layer: cells, layouts, what is taken.
    Case(
        "lstm_last",
        "LSTM, batch first, out[:, -1], Linear",
        lambda: Net(nn.LSTM(3, 5, **FIRST), last, nn.Linear(5, 2)),
        {X: (1, 6, 3)},
    ),
    Case(
        "lstm_last_time_first",
        "LSTM, time first, out[-1], no head",
        lambda: Net(nn.LSTM(2, 7), last_time_first),
        {X: (5, 1, 2)},
    ),
    Case(
        "gru_hn",
        "GRU, batch first, h_n[-1], Linear",
        lambda: Net(nn.GRU(4, 7, **FIRST), hidden, nn.Linear(7, 3)),
        {X: (1, 6, 4)},
    ),
    Case(
        "lstm_steps_head",
        "LSTM, time first, Linear on all steps",
        lambda: Net(nn.LSTM(3, 6), steps, nn.Linear(6, 2)),
        {X: (7, 1, 3)},
    ),
    Case(
        "gru_steps_head_tanh",
        "GRU, batch first, Linear and tanh on all steps",
        lambda: Net(nn.GRU(3, 5, **FIRST), steps, nn.Sequential(nn.Linear(5, 3), nn.Tanh())),
        {X: (1, 5, 3)},
        **TS,
    ),
    Case(
        "gru_mean_sigmoid",
        "GRU, out.mean(1), Linear, sigmoid",
        lambda: Net(nn.GRU(2, 9, **FIRST), mean, nn.Sequential(nn.Linear(9, 1), nn.Sigmoid())),
        {X: (1, 8, 2)},
    ),
    Case(
        "gru_mlp_softmax",
        "GRU, last step, Linear, ReLU, Linear, softmax",
        lambda: Net(
            nn.GRU(3, 8, **FIRST),
            last,
            nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 4), nn.Softmax(dim=-1)),
        ),
        {X: (1, 6, 3)},
        **DYN,
    ),
    Case(
        "lstm_nobias",
        "LSTM and Linear without biases",
        lambda: Net(nn.LSTM(3, 4, bias=False, **FIRST), last, nn.Linear(4, 2, bias=False)),
        {X: (1, 6, 3)},
    ),
    Case(
        "gru_nobias",
        "GRU without biases, all steps, no head",
        lambda: Net(nn.GRU(3, 4, bias=False, **FIRST), steps),
        {X: (1, 6, 3)},
    ),
    Case(
        "rnn_tanh",
        "RNN with tanh, last step (dynamo unrolls it)",
        lambda: Net(nn.RNN(3, 5, **FIRST), last, nn.Linear(5, 2)),
        {X: (1, 5, 3)},
    ),
    Case(
        "rnn_relu",
        "RNN with ReLU, Linear on all steps (dynamo unrolls it)",
        lambda: Net(nn.RNN(3, 5, nonlinearity="relu", **FIRST), steps, nn.Linear(5, 2)),
        {X: (1, 5, 3)},
    ),
    # Bidirectional and stacked.
    Case(
        "bilstm_steps",
        "bidirectional LSTM, Linear on all steps",
        lambda: Net(nn.LSTM(3, 4, bidirectional=True, **FIRST), steps, nn.Linear(8, 2)),
        {X: (1, 6, 3)},
    ),
    Case(
        "bigru_ends",
        "bidirectional GRU, cat(h[-2], h[-1])",
        lambda: Net(nn.GRU(3, 5, bidirectional=True, **FIRST), both_ends, nn.Linear(10, 2)),
        {X: (1, 6, 3)},
    ),
    Case(
        "lstm_stacked",
        "LSTM of 2 layers with dropout between and before the head (eval)",
        lambda: Net(nn.LSTM(3, 5, 2, dropout=0.3, **FIRST), last, nn.Sequential(nn.Dropout(0.5), nn.Linear(5, 2))),
        {X: (1, 6, 3)},
    ),
    Case(
        "gru_stacked_bi",
        "bidirectional GRU of 2 layers, all steps",
        lambda: Net(nn.GRU(2, 3, 2, bidirectional=True, **FIRST), steps, nn.Linear(6, 2)),
        {X: (1, 6, 2)},
    ),
    Case(
        "lstm_stacked_bi_ends",
        "bidirectional LSTM of 2 layers, cat(h[-2], h[-1])",
        lambda: Net(nn.LSTM(2, 3, 2, bidirectional=True, **FIRST), both_ends, nn.Linear(6, 2)),
        {X: (1, 6, 2)},
        **DYN,
    ),
    Case(
        "lstm_stacked_hn",
        "LSTM of 2 layers, h_n of both returned",
        lambda: Net(nn.LSTM(3, 5, 2, **FIRST), all_hidden),
        {X: (1, 6, 3)},
        ("hn",),
    ),
    Case(
        "gru_lstm",
        "a GRU and then an LSTM",
        lambda: GRUThenLSTM(3, 6, 5),
        {X: (1, 6, 3)},
        **TS,
    ),
    # States.
    Case(
        "gru_states",
        "GRU: y and h_n returned",
        lambda: States(nn.GRU(3, 5, **FIRST)),
        {X: (1, 6, 3)},
        ("y", "hn"),
    ),
    Case(
        "lstm_states",
        "LSTM: y, h_n and c_n returned",
        lambda: States(nn.LSTM(3, 5, **FIRST)),
        {X: (1, 6, 3)},
        ("y", "hn", "cn"),
    ),
    Case(
        "lstm_stream_t1",
        "one streaming LSTM step: state in and out",
        lambda: StreamLSTM(3, 6, 2),
        {X: (1, 1, 3), "h0": (1, 1, 6), "c0": (1, 1, 6)},
        ("y", "hn", "cn"),
    ),
    Case(
        "lstm_stream_t6",
        "LSTM over chunks of 6 steps: state in and out",
        lambda: StreamLSTM(3, 6, 2),
        {X: (1, 6, 3), "h0": (1, 1, 6), "c0": (1, 1, 6)},
        ("y", "hn", "cn"),
        **DYN,
    ),
    Case(
        "gru_stream_stacked",
        "one streaming step of a GRU of 2 layers, time first: state in and out",
        lambda: StreamGRU(3, 5, 2, 2),
        {X: (1, 1, 3), "h0": (2, 1, 5)},
        ("y", "hn"),
    ),
    Case(
        "lstm_learned_state",
        "LSTM with its initial state as parameters, expanded to the batch",
        lambda: LearnedState(3, 5),
        {X: (1, 6, 3)},
    ),
    Case(
        "lstm_learned_state_batch",
        "the same with a dynamic batch",
        lambda: LearnedState(3, 5),
        {X: (2, 6, 3)},
        dynamic={X: {0: "batch"}},
        samples={X: (1, 6, 3)},
    ),
    # Dynamic axes. Exported with two rows, since torch.export takes a dimension of 1 for a constant.
    Case(
        "lstm_batch",
        "LSTM, last step, dynamic batch",
        lambda: Net(nn.LSTM(3, 5, **FIRST), last, nn.Linear(5, 2)),
        {X: (2, 6, 3)},
        dynamic={X: {0: "batch"}},
        samples={X: (1, 6, 3)},
    ),
    Case(
        "gru_batch_time",
        "GRU, Linear on all steps, dynamic batch and time",
        lambda: Net(nn.GRU(3, 5, **FIRST), steps, nn.Linear(5, 2)),
        {X: (2, 7, 3)},
        dynamic={X: {0: "batch", 1: "time"}},
        samples={X: (1, 5, 3)},
    ),
    Case(
        "bilstm_batch_time",
        "bidirectional LSTM, last step of all steps, dynamic batch and time",
        lambda: Net(nn.LSTM(3, 4, bidirectional=True, **FIRST), last, nn.Linear(8, 2)),
        {X: (2, 7, 3)},
        dynamic={X: {0: "batch", 1: "time"}},
        samples={X: (1, 5, 3)},
    ),
    Case(
        "gru_stacked_batch",
        "GRU of 2 layers, h_n[-1], dynamic batch",
        lambda: Net(nn.GRU(3, 4, 2, **FIRST), hidden, nn.Linear(4, 2)),
        {X: (2, 6, 3)},
        dynamic={X: {0: "batch"}},
        samples={X: (1, 6, 3)},
    ),
    # Glue around the layer.
    Case(
        "lstm_flatten",
        "LSTM, all steps flattened into a Linear",
        lambda: Net(nn.LSTM(3, 4, **FIRST), flat, nn.Linear(20, 3)),
        {X: (1, 5, 3)},
    ),
    Case(
        "lstm_flatten_batch",
        "the same with a dynamic batch",
        lambda: Net(nn.LSTM(3, 4, **FIRST), flat, nn.Linear(20, 3)),
        {X: (2, 5, 3)},
        dynamic={X: {0: "batch"}},
        samples={X: (1, 5, 3)},
        **DYN,
    ),
    Case(
        "gru_batchnorm",
        "BatchNorm1d on [B, C, T], GRU, last step, BatchNorm1d, Linear",
        lambda: Net(
            nn.GRU(3, 5, **FIRST),
            last,
            nn.Sequential(batch_norm(5), nn.Linear(5, 2)),
            nn.Sequential(batch_norm(3), Permute(0, 2, 1)),
        ),
        {X: (1, 3, 6)},
    ),
    Case(
        "lstm_batchnorm_steps",
        "LSTM, BatchNorm1d over the channels of all steps, Linear",
        lambda: Net(
            nn.LSTM(3, 5, **FIRST),
            steps,
            nn.Sequential(Permute(0, 2, 1), batch_norm(5), Permute(0, 2, 1), nn.Linear(5, 2)),
        ),
        {X: (1, 6, 3)},
        **TS,
    ),
    Case(
        "lstm_permute",
        "input [B, C, T], permuted inside",
        lambda: Net(nn.LSTM(3, 5, **FIRST), last, nn.Linear(5, 2), Permute(0, 2, 1)),
        {X: (1, 3, 6)},
    ),
    Case(
        "gru_normalize",
        "(x - mean) / std by constants, GRU, last step",
        lambda: Net(nn.GRU(3, 5, **FIRST), last, nn.Linear(5, 2), Normalize(3)),
        {X: (1, 6, 3)},
        **DYN,
    ),
    Case(
        "gru_linear_before",
        "Linear and ReLU on all steps before the GRU",
        lambda: Net(nn.GRU(6, 5, **FIRST), last, nn.Linear(5, 2), nn.Sequential(nn.Linear(3, 6), nn.ReLU())),
        {X: (1, 6, 3)},
        **DYN,
    ),
    Case(
        "gru_residual",
        "GRU, out + x, Linear on all steps",
        lambda: Residual(5),
        {X: (1, 6, 5)},
        **DYN,
    ),
    Case(
        "lstm_last_mean",
        "LSTM, cat(out[:, -1], out.mean(1)), Linear",
        lambda: Net(nn.LSTM(3, 5, **FIRST), last_and_mean, nn.Linear(10, 2)),
        {X: (1, 6, 3)},
    ),
    Case(
        "lstm_unbatched",
        "LSTM without a batch axis, out[-1], Linear",
        lambda: Net(nn.LSTM(3, 5), last_time_first, nn.Linear(5, 2)),
        {X: (6, 3)},
    ),
    # Exporter options.
    Case(
        "gru_opset11",
        "opset 11: axes as attributes",
        lambda: Net(nn.GRU(3, 5, 2, **FIRST), last_and_mean, nn.Linear(10, 2)),
        {X: (1, 6, 3)},
        options={"opset_version": 11},
        **TS,
    ),
    Case(
        "gru_opset17",
        "opset 17: axes of ReduceMean still an attribute",
        lambda: Net(nn.GRU(3, 5, 2, **FIRST), last_and_mean, nn.Linear(10, 2)),
        {X: (1, 6, 3)},
        options={"opset_version": 17},
        **TS,
    ),
    Case(
        "gru_h56",
        "R beyond dynamo's constant folding (8192 elements): Slice, Concat, Unsqueeze",
        lambda: Net(nn.GRU(3, 56, **FIRST), last, nn.Linear(56, 2)),
        {X: (1, 5, 3)},
        **DYN,
    ),
    Case(
        "lstm_h48_external",
        "computed R again, weights in an external data file",
        lambda: Net(nn.LSTM(3, 48, **FIRST), last, nn.Linear(48, 2)),
        {X: (1, 5, 3)},
        options={"external_data": True},
        **DYN,
    ),
    # Normalizations.
    Case(
        "gru_log_softmax",
        "log_softmax at the end",
        lambda: Net(nn.GRU(3, 5, **FIRST), last, nn.Sequential(nn.Linear(5, 3), nn.LogSoftmax(dim=-1))),
        {X: (1, 6, 3)},
        **TS,
    ),
    Case(
        "gru_layer_norm",
        "LayerNorm after the layer",
        lambda: Net(nn.GRU(3, 5, **FIRST), last, nn.Sequential(nn.LayerNorm(5), nn.Linear(5, 2))),
        {X: (1, 6, 3)},
        **DYN,
    ),
    Case(
        "lstm_norms",
        "opset 13: LayerNorm, Linear, functional.normalize, Linear, log_softmax on all steps",
        lambda: Net(
            nn.LSTM(3, 6, **FIRST),
            steps,
            nn.Sequential(layer_norm(6), nn.Linear(6, 5), UnitLength(), nn.Linear(5, 3), nn.LogSoftmax(dim=-1)),
        ),
        {X: (1, 6, 3)},
        options={"opset_version": 13},
        **TS,
    ),
    Case(
        "layer_norm_lstm",
        "LSTM with LayerNorm inside, steps in a Python loop",
        lambda: LayerNormLSTM(3, 5),
        {X: (1, 4, 3)},
    ),
    # Not yet, or never.
    Case(
        "gru_conv",
        "Conv1d in front",
        lambda: Net(
            nn.GRU(4, 5, **FIRST),
            last,
            nn.Linear(5, 2),
            nn.Sequential(nn.Conv1d(3, 4, 3, padding=1), nn.ReLU(), Permute(0, 2, 1)),
        ),
        {X: (1, 3, 8)},
        **DYN,
    ),
    Case(
        "lstm_embedding",
        "Embedding in front",
        lambda: Net(nn.LSTM(4, 5, **FIRST), last, nn.Linear(5, 2), nn.Embedding(11, 4)),
        {X: Ints((1, 6), 0, 11)},
        **TS,
    ),
    Case(
        "lstm_packed",
        "packed sequence: sequence_lens; h_n[-1] and the mean over the real steps",
        lambda: Packed(3, 5),
        {X: (1, 7, 3), "lengths": Ints((1,), 3, 8)},
        **TS,
    ),
    Case(
        "gru_packed_stacked_bi",
        "packed sequence: bidirectional GRU of 2 layers, cat(h[-2], h[-1]), all steps returned",
        lambda: PackedNet(nn.GRU(3, 4, 2, bidirectional=True, **FIRST), both_ends, nn.Linear(8, 2)),
        {X: (1, 7, 3), "lengths": Ints((1,), 1, 8)},
        ("y", "out"),
        **TS,
    ),
    Case(
        "gru_packed_at_length",
        "packed sequence: bidirectional GRU, out[arange, lengths - 1], all steps returned",
        lambda: PackedNet(nn.GRU(3, 4, bidirectional=True, **FIRST), at_length, nn.Linear(8, 2)),
        {X: (1, 7, 3), "lengths": Ints((1,), 1, 8)},
        ("y", "out"),
        **TS,
    ),
    Case(
        "rnn_packed_steps",
        "packed sequence: RNN, time first, dynamic time, Linear on all steps",
        lambda: PackedNet(nn.RNN(3, 5), steps, nn.Linear(5, 2)),
        {X: (7, 1, 3), "lengths": Ints((1,), 1, 6)},
        ("y", "out"),
        dynamic={X: {0: "time"}},
        samples={X: (5, 1, 3)},
        **TS,
    ),
    Case(
        "lstm_proj",
        "proj_size: an invalid LSTM, hidden_size 4 with an initial_c of 6 and a part of the weights dropped",
        lambda: Net(nn.LSTM(3, 6, proj_size=4, **FIRST), last, nn.Linear(4, 2)),
        {X: (1, 6, 3)},
        expect="refuse",
        **DYN,
    ),
    # The modules of hmdc.torch.
    Case(
        "hmdc_gru",
        "hmdc.torch: GRU of Kronecker products, Linear",
        lambda: Net(structured.GRU(4, 8, **FIRST, structure="kronecker(ratio=3)"), last, structured.Linear(8, 3)),
        {X: (1, 8, 4)},
    ),
    Case(
        "hmdc_fastgrnn",
        "hmdc.torch: FastGRNN of low rank, written out step by step",
        lambda: Net(fast_grnn(3, 6), last, nn.Linear(6, 2)),
        {X: (1, 8, 3)},
    ),
]


def draw(case: Case, sampling: bool) -> dict[str, Tensor]:
    """Random inputs, in the shapes for sampling or for exporting."""
    tensors = {}
    for name, spec in case.inputs.items():
        if isinstance(spec, Ints):
            tensors[name] = torch.randint(spec.low, spec.high, spec.shape)
        else:
            tensors[name] = torch.randn(case.samples.get(name, spec) if sampling else spec)
    return tensors


def flatten(result) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else [tensor for item in result for tensor in flatten(item)]


def strip(message) -> None:
    """Drop metadata and doc strings at every level: dynamo leaves stack traces with the exporting machine's paths."""
    for descriptor, value in message.ListFields():
        if descriptor.name in ("metadata_props", "doc_string"):
            message.ClearField(descriptor.name)
        elif descriptor.type == descriptor.TYPE_MESSAGE:
            for item in [value] if hasattr(value, "ListFields") else value:
                strip(item)


def export(case: Case, exporter: str, module: nn.Module, path: Path) -> None:
    options = {"input_names": list(case.inputs), "output_names": list(case.outputs), **case.options}
    if exporter == "ts":
        options["dynamic_axes"] = case.dynamic
    else:
        options = {"external_data": False, "verbose": False, **options}
        if case.dynamic:
            options["dynamic_shapes"] = {
                name: {axis: torch.export.Dim(label) for axis, label in axes.items()}
                for name, axes in case.dynamic.items()
            }
    arguments = tuple(draw(case, sampling=False).values())
    torch.onnx.export(module, arguments, str(path), dynamo=exporter == "dyn", **options)
    model = onnx.load(path, load_external_data=False)
    strip(model)
    onnx.save(model, path)


def check(case: Case, module: nn.Module, path: Path) -> dict[str, np.ndarray]:
    """The samples and what ONNX Runtime makes of them, which must be what PyTorch makes of them."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    arrays = {}
    for _ in range(SAMPLES):
        inputs = draw(case, sampling=True)
        with torch.no_grad():
            wanted = [tensor.numpy() for tensor in flatten(module(*inputs.values()))]
        feeds = {name: tensor.numpy() for name, tensor in inputs.items()}
        found = session.run(list(case.outputs), feeds)
        for name, want, got in zip(case.outputs, wanted, found, strict=True):
            if want.shape != got.shape or not np.allclose(want, got, rtol=0, atol=TOLERANCE):
                raise AssertionError(f"{path.stem}: ONNX Runtime and PyTorch disagree on {name}")
            arrays.setdefault(f"out/{name}", []).append(got)
        for name, array in feeds.items():
            arrays.setdefault(f"in/{name}", []).append(array)
    return {key: np.stack(values) for key, values in arrays.items()}


def describe_inputs(path: Path) -> dict:
    """The graph inputs as the file declares them."""
    described = {}
    for value in onnx.load(path, load_external_data=False).graph.input:
        tensor = value.type.tensor_type
        described[value.name] = {
            "dtype": onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name,
            "shape": [dim.dim_param or dim.dim_value for dim in tensor.shape.dim],
        }
    return described


def main(only: list[str]) -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    onnxruntime.set_default_logger_severity(4)
    HERE.mkdir(exist_ok=True)
    expected, table = {}, {}
    for case in CASES:
        for exporter in case.exporters:
            name = f"{exporter}_{case.name}"
            if only and name not in only:
                continue
            # Seeded by the case, so that adding one leaves the others as they are and both exporters see one model.
            torch.manual_seed(zlib.crc32(case.name.encode()))
            module = case.make().eval()
            path = HERE / f"{name}.onnx"
            path.with_suffix(".onnx.data").unlink(missing_ok=True)
            export(case, exporter, module, path)
            expect = (exporter == "dyn" and case.expect_dyn) or case.expect
            try:
                arrays = check(case, module, path)
            except Exception:
                if expect != "refuse":
                    raise
                arrays = {}
            else:
                if expect == "refuse":
                    raise AssertionError(f"{name} is expected to be an invalid file, but it works")
            expected.update({f"{name}/{key}": value for key, value in arrays.items()})
            table[name] = {
                "expect": expect,
                "exporter": {"ts": "ts", "dyn": "dynamo"}[exporter],
                "note": case.note,
                "inputs": describe_inputs(path),
                "outputs": list(case.outputs),
            }
            print(name, path.stat().st_size)
    if not only:
        np.savez_compressed(HERE / "expected.npz", **expected)
        lines = [f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in table.items()]
        (HERE / "cases.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
