"""Save small networks as Keras does, with two samples and Keras' own results.

    python tests/corpus/make_keras_files.py [FILE ...]    # these alone; the others stay as they are

Writes dicts/NAME.keras or .h5 and dicts/keras.npz (NAME/x, NAME/y).
Made with Python 3.11, keras 3.15.1 (TensorFlow), h5py 3.16.0, numpy 2.4.6.
"""

import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
from keras import layers

HERE = Path(__file__).resolve().parent / "dicts"
STEPS, FEATURES = 7, 4


def deep():
    return [layers.BatchNormalization(), layers.Bidirectional(layers.GRU(3, return_sequences=True)),
            layers.Dropout(0.1), layers.LSTM(6), layers.Dense(5, activation="relu"),
            layers.Dense(3, activation="softmax")]  # fmt: skip


CASES = {
    "deep.keras": deep,
    "before.keras": lambda: [layers.GRU(4, reset_after=False, return_sequences=True), layers.GlobalAveragePooling1D()],
    "backward.h5": lambda: [layers.SimpleRNN(5, go_backwards=True), layers.Dense(2)],
    "ends.keras": lambda: [layers.Bidirectional(layers.LSTM(3, use_bias=False)), layers.Dense(2)],
    "windows.keras": lambda: [
        layers.Conv1D(6, 3, strides=2, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.Conv1D(4, 2, dilation_rate=2, groups=2, padding="causal", use_bias=False),
        layers.AveragePooling1D(2, 1),
        layers.LSTM(5, return_sequences=True),
        layers.MaxPooling1D(3, 1, "same"),
        layers.GlobalMaxPooling1D(),
        layers.Dense(2),
    ],
    "tokens.h5": lambda: [layers.Embedding(9, 3), layers.GRU(4), layers.Dense(2)],
}


def pack(path: Path) -> None:
    """The same archive, compressed: most of an HDF5 file is zeros."""
    with zipfile.ZipFile(path) as z:
        members = {m: z.read(m) for m in z.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for member, content in members.items():
            z.writestr(member, content)


def main() -> None:
    only, rng = sys.argv[1:], np.random.default_rng(0)
    expected = dict(np.load(HERE / "keras.npz")) if only else {}
    for seed, (file, make) in enumerate(CASES.items()):
        if only and file not in only:
            continue
        keras.utils.set_random_seed(seed)
        tokens = "tokens" in file
        net = keras.Sequential([layers.Input((STEPS,) if tokens else (STEPS, FEATURES)), *make()])
        if "ends" in file:  # the same as a Functional model, with an open time axis
            x = layers.Input((None, FEATURES), name="signal")
            y = x
            for layer in make():
                y = layer(y)
            net = keras.Model(x, y)
        positive = lambda w: w + rng.uniform(0, 0.3, w.shape)
        net.set_weights([positive(w) for w in net.get_weights()])
        x = rng.normal(size=(2, STEPS, FEATURES)).astype(np.float32)
        x = rng.integers(0, 9, (2, STEPS)) if tokens else x
        expected |= {f"{file}/x": x, f"{file}/y": np.asarray(net(x))}
        net.save(HERE / file)
        if file.endswith(".keras"):
            pack(HERE / file)
    np.savez_compressed(HERE / "keras.npz", **expected)


if __name__ == "__main__":
    main()
