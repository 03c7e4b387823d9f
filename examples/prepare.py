"""Fetch and prepare the data of the two examples; README.md describes both."""

import hashlib
import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np

# The data ship inside these wheels; the packages themselves are never imported.
AEON = ("aeon-1.6.0-py3-none-any.whl", "d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409")
SEGLEARN = ("seglearn-1.2.5-py3-none-any.whl", "ec6b952c85c9627050102854b372d85951563d3b990df677d7c55547e87413dd")

VOWEL_STEPS = 29  # the longest utterance: 29 frames, one each 6.4 ms
VOWEL_VALIDATION = 5  # utterances held out of the 30 that each speaker has for training

WINDOW = 50  # 4 s at 12.5 Hz: one to two repetitions of an exercise
DECIMATION = 4  # 50 Hz -> 12.5 Hz
FULL_SCALE = np.array([4, 4, 4, 8, 8, 8])  # g for the accelerometer, rad/s for the gyroscope
# Reflection in the body's midline.  Rotation rates are pseudovectors, so they flip about the other two axes.
LEFT_TO_RIGHT = np.array([-1, 1, 1, 1, -1, -1])
TRAIN_SUBJECTS, VALIDATION_SUBJECTS, TEST_SUBJECTS = (1, 2, 3, 4, 5, 6), (7,), (8, 9, 10)


def fetched(path: Path, digest: str, *command: str) -> bytes:
    """The file's bytes, whose SHA-256 must match; command is run where there is no such file."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"fetching {path.name}", file=sys.stderr)
        if not shutil.which(command[0]):
            raise SystemExit(f"{command[0]}, which fetches {path.name}, is not installed")
        if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
            raise SystemExit(f"{path.name} could not be fetched; failed: {' '.join(command)}")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise SystemExit(f"{path}: its SHA-256 is not {digest}; delete the file and try again")
    return content


def wheel_file(wheel: tuple[str, str], member: str, cache: Path) -> bytes:
    """Bytes of one file inside a wheel, given by name and checksum, that pip fetches."""
    name, digest = wheel
    package, version, python, abi, platforms = name.removesuffix(".whl").split("-")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(cache)]
    if platforms != "any":  # the same file, whatever this machine is
        pip += ["--python-version", python.removeprefix("cp"), "--implementation", "cp", "--abi", abi]
        pip += [option for platform in platforms.split(".") for option in ("--platform", platform)]
    content = fetched(cache / name, digest, *pip, f"{package}=={version}")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(member)


def read_vowels(part, cache):
    """Utterances of (frames, 12) and labels 0..8; a line of the file is `c1 frames:c2 frames:...:label`."""
    text = wheel_file(AEON, f"aeon/datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts", cache).decode()
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


def prepare_exercises(cache):
    """Splits of windows of 6 channels in fractions of the sensor's full scale, as right-wrist readings.

    Accelerometer and gyroscope reach the network on a common footing, as the counts of a 12-bit sensor do;
    the network itself subtracts the mean and divides by the deviation.  A watch knows which wrist wears it,
    so readings of the left one are reflected.
    """
    # Unpickling runs code: acceptable here only because the checksum pins these very bytes.
    raw = wheel_file(SEGLEARN, "seglearn/data/watch_dataset.npy", cache)
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
