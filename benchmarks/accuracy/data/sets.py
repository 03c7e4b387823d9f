"""What a data set is, and how one without parts of its own is split."""

from typing import NamedTuple

import numpy as np

PARTS = ("train", "validation", "test")


class Part(NamedTuple):
    x: np.ndarray  # float32 [samples, steps, channels]
    y: np.ndarray  # int64 [samples], from 0


class Splits(NamedTuple):
    train: Part
    validation: Part
    test: Part
    classes: tuple[str, ...]


def split(samples: int, seed: int = 0) -> list[np.ndarray]:
    """Indices of the three parts: 70, 10 and 20 % at random."""
    order = np.random.default_rng(seed).permutation(samples)
    return np.split(order, [samples * 7 // 10, samples * 8 // 10])


def shared_out(x: np.ndarray, y: np.ndarray, classes: tuple[str, ...]) -> Splits:
    """Samples x [samples, steps, channels] of classes y, split at random."""
    x, y = x.astype(np.float32), y.astype(np.int64)
    return Splits(*(Part(x[chosen], y[chosen]) for chosen in split(len(x))), classes)
