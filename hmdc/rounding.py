"""Weights rounded by what they multiply: errors of one column are made good by those that are still to be rounded.

GPTQ (Frantar et al., arXiv 2210.17323): the integers nearest in the output, not the nearest ones.
"""

from hashlib import sha256

import numpy as np

from .intmath import limits, round_half_up
from .kernels import Kernel, Matmul
from .program import Env, Program
from .simulate import simulate

DAMPING = 0.1  # of the mean moment: calibration is a sample, and integer inputs have noise of their own
WIDEST = 1024  # columns of a matrix that is rounded like this: the work grows with their cube
BLOCK = 64  # columns whose errors reach the others in one product

Moments = dict[str, tuple[np.ndarray, int]]  # matrix -> sum of x x^T, number of vectors x


class Rounding:
    """(weights, steps) -> integers; each pair is rounded once.

    moments: from `moments`; matrices that it does not know take the nearest integers.  None: all integers are known.
    """

    def __init__(self, moments: Moments | None, known: dict[str, np.ndarray] | None = None):
        self.moments, self.known = moments, dict(known or {})

    def __call__(self, w: np.ndarray, ratio: np.ndarray | float, step: np.ndarray) -> np.ndarray:
        """int8 [rows, columns] for w * ratio.  w: [rows, columns]; ratio: of every column; step: [rows] or [1].

        Raises KeyError for weights that are not among the known ones.
        """
        key = _key(w * ratio, step)
        if key in self.known:
            return self.known[key]
        if self.moments is None:
            raise KeyError("weights that were not rounded")
        moment, vectors = self.moments.get(_key(w), (None, 0))
        if moment is not None:
            moment = moment / np.outer(ratio, ratio) if np.ndim(ratio) else moment
            moment = moment / vectors
        self.known[key] = round_rows(w * ratio, step, moment, vectors)
        return self.known[key]


def _key(*arrays: np.ndarray) -> str:
    """Of these very numbers: what a call is named differs from one time block to another."""
    shape = str([a.shape for a in arrays]).encode()
    return sha256(shape + b"".join(np.ascontiguousarray(a, np.float64).tobytes() for a in arrays)).hexdigest()[:32]


def moments(program: Program, inputs: dict[str, np.ndarray]) -> Moments:
    """Of the matrices of a float program that are not too wide, on calibration data (see simulate)."""
    found: Moments = {}
    chosen = [call for call in program.calls() if isinstance(call, Matmul) and call.w.shape[1] <= WIDEST]
    keys = {call.name: _key(call.w) for call in chosen}

    def watch(call: Kernel, env: Env) -> None:
        if call.name in keys:
            x = np.moveaxis(call.operand(env), 2, -1).reshape(-1, call.w.shape[1])
            total, n = found.get(keys[call.name], (0.0, 0))
            found[keys[call.name]] = total + x.T @ x, n + len(x)

    simulate(program, inputs, watch=watch)
    return found


def round_rows(w: np.ndarray, step: np.ndarray, moment: np.ndarray | None, vectors: int) -> np.ndarray:
    """int8 [rows, columns].  w: [rows, columns]; step: [rows] or [1]; moment: [columns, columns], the mean of x x^T
    over so many vectors, or None.

    The fewer vectors per column, the more damping, until every weight takes the nearest integer.
    """
    w = w / step[:, None]
    if moment is None or not (mean := np.trace(moment) / len(moment)) > 0:
        return _nearest(w)
    n = len(moment)
    order = np.argsort(-np.diag(moment), kind="stable")  # the strongest inputs first: most is left to help them
    damped = moment[np.ix_(order, order)] + (DAMPING + n / vectors) * mean * np.eye(n)
    w, integers = w[:, order], np.empty(w.shape, np.int8)
    spread = np.linalg.cholesky(np.linalg.inv(damped)).T  # row i: how the error of column i reaches the later ones
    for lo in range(0, n, BLOCK):
        hi = min(lo + BLOCK, n)
        errors = np.empty((len(w), hi - lo))
        for i in range(lo, hi):
            integers[:, order[i]] = rounded = _nearest(w[:, i])
            errors[:, i - lo] = (w[:, i] - rounded) / spread[i, i]
            w[:, i:hi] -= np.outer(errors[:, i - lo], spread[i, i:hi])
        w[:, hi:] -= errors @ spread[lo:hi, hi:]
    return integers


def _nearest(w: np.ndarray) -> np.ndarray:
    most = limits(8)[1]
    return np.clip(round_half_up(w), -most, most).astype(np.int8)
