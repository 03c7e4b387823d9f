"""Train the two bundled example networks and write their ONNX files and data.

    python examples/train.py vowels       # GRU, speaker recognition from cepstra
    python examples/train.py exercises    # LSTM, shoulder exercises from a smartwatch

README.md states the packages needed, the accuracies and the licenses of the data.
"""

import argparse
import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

HERE = Path(__file__).resolve().parent

# The data ship inside these wheels; the packages themselves are never imported.
WHEELS = {
    "aeon": ("1.6.0", "d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409"),
    "seglearn": ("1.2.5", "ec6b952c85c9627050102854b372d85951563d3b990df677d7c55547e87413dd"),
}

VOWEL_STEPS = 29  # the longest utterance: 29 frames, one each 6.4 ms
VOWEL_VALIDATION = 5  # utterances held out of the 30 that each speaker has for training

WINDOW = 50  # 4 s at 12.5 Hz: one to two repetitions of an exercise
DECIMATION = 4  # 50 Hz -> 12.5 Hz
FULL_SCALE = np.array([4, 4, 4, 8, 8, 8])  # g for the accelerometer, rad/s for the gyroscope
# Reflection in the body's midline.  Rotation rates are pseudovectors, so they flip about the other two axes.
LEFT_TO_RIGHT = np.array([-1, 1, 1, 1, -1, -1])
TRAIN_SUBJECTS, VALIDATION_SUBJECTS, TEST_SUBJECTS = (1, 2, 3, 4, 5, 6), (7,), (8, 9, 10)
CALIBRATION_SAMPLES = 60


def wheel_file(package, member, cache):
    """Bytes of one file inside a wheel that pip fetches and whose checksum must match."""
    version, digest = WHEELS[package]
    path = cache / f"{package}-{version}-py3-none-any.whl"
    if not path.exists():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*pip, "--dest", str(cache), f"{package}=={version}"], check=True)
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise SystemExit(f"{path}: the checksum differs from the one in train.py; delete the file and try again")
    with zipfile.ZipFile(path) as wheel:
        return wheel.read(member)


def read_vowels(part, cache):
    """Utterances of (frames, 12) and labels 0..8; a line of the file is `c1 frames:c2 frames:...:label`."""
    text = wheel_file("aeon", f"aeon/datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts", cache).decode()
    rows = [line.split(":") for line in text.splitlines() if line and line[0] not in "#@"]
    series = [np.array([channel.split(",") for channel in row[:-1]], dtype=float).T for row in rows]
    return series, np.array([int(row[-1]) - 1 for row in rows])


def prepare_vowels(cache):
    """Splits of utterances, standardized per channel and left-padded to 29 steps.

    The coefficients shrink fivefold from the first to the last, and all share one input scale in an int8
    network: standardizing ahead of the network keeps the small ones from drowning in rounding.
    Padding with zeros (the mean frame) on the left lets the last step be the utterance's own end.
    """
    train, y_train = read_vowels("TRAIN", cache)
    test, y_test = read_vowels("TEST", cache)
    place = np.arange(len(train)) % 30  # the file holds 30 utterances of each speaker in turn
    held_out = place >= 30 - VOWEL_VALIDATION
    frames = np.concatenate([s for s, out in zip(train, held_out, strict=True) if not out])
    mean, std = frames.mean(0), frames.std(0)

    def pad(series):
        x = np.zeros((len(series), VOWEL_STEPS, 12), np.float32)
        for row, s in zip(x, series, strict=True):
            row[VOWEL_STEPS - len(s) :] = (s - mean) / std
        return np.round(x * 256) / 256  # 1/256 of a deviation is well below an int8 step (about 1/30)

    x = pad(train)
    kept, held = (x[~held_out], y_train[~held_out]), (x[held_out], y_train[held_out])
    return kept, held, (pad(test), y_test), {"mean": mean.astype(np.float32), "std": std.astype(np.float32)}


def vary_vowels(x):
    """A constant offset for each utterance and channel, as another session or microphone would add."""
    spoken = x.abs().sum(2, keepdim=True) > 0
    return x + 0.5 * torch.randn(len(x), 1, x.shape[2]) * spoken


def prepare_exercises(cache):
    """Splits of windows of 6 channels in fractions of the sensor's full scale, as right-wrist readings.

    Accelerometer and gyroscope reach the network on a common footing, as the counts of a 12-bit sensor do;
    the network itself subtracts the mean and divides by the deviation.  A watch knows which wrist wears it,
    so readings of the left one are reflected.
    """
    # Unpickling runs code: acceptable here only because the checksum pins these very bytes.
    raw = wheel_file("seglearn", "seglearn/data/watch_dataset.npy", cache)
    table = np.load(io.BytesIO(raw), allow_pickle=True).item()
    recordings = []
    for signal, side in zip(table["X"], table["side"], strict=True):
        signal = signal[: len(signal) // DECIMATION * DECIMATION]
        # Averaging is the low-pass filter that decimation needs.
        x = signal.reshape(-1, DECIMATION, 6).mean(1) / FULL_SCALE * (1 if side else LEFT_TO_RIGHT)
        recordings.append(np.clip(np.round(x * 2048) / 2048, -1, 1).astype(np.float32))

    def windows(subjects, stride=None, count=None):
        x, y = [], []
        for recording, label, subject in zip(recordings, table["y"], table["subject"], strict=True):
            if subject in subjects:
                last = len(recording) - WINDOW
                starts = range(0, last + 1, stride) if stride else np.linspace(0, last, count).astype(int)
                x += [recording[s : s + WINDOW] for s in starts]
                y += [int(label)] * len(starts)
        return np.stack(x), np.array(y)

    test = windows(TEST_SUBJECTS, count=7)  # of each of 42 recordings; those of the short ones overlap
    return windows(TRAIN_SUBJECTS, stride=5), windows(VALIDATION_SUBJECTS, stride=10), test, {}


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
