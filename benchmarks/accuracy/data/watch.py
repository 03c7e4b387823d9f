"""Shoulder exercises from a smartwatch, the data of the example network."""

import numpy as np

from examples.prepare import prepare_exercises

from .fetch import cache
from .kept import kept
from .sets import Part, Splits

CLASSES = ("pendulum", "abduction", "forward elevation", "internal rotation", "external rotation",
           "lower trapezius row", "bent-over row")  # fmt: skip


@kept
def exercises() -> Splits:
    """4 s at 12.5 Hz of 3 accelerometer and 3 gyroscope axes; no subject of one part is in another."""
    parts = prepare_exercises(cache())[:3]
    return Splits(*(Part(x.astype(np.float32), y.astype(np.int64)) for x, y in parts), CLASSES)
