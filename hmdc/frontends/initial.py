"""The constant state before the first step, of which a file may keep only what the first step makes of it."""

import numpy as np

from ..cells import CELLS
from ..model import Node

ITERATIONS = 40
DELTA = 1e-6  # of a state, for the derivatives
CLOSE = 1e-10  # what is left of a sum of squares that fits


def initial_states(node: Node, x: np.ndarray, wanted: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights h0, c0 with which one step of x [samples, size] comes nearest to `wanted`: state -> [samples, n].

    Levenberg-Marquardt from zeros; none where zeros fit.
    """
    cell, n = CELLS[node.op], node.attrs["hidden"]
    names = [s for s in cell.states if s in wanted]
    target = np.concatenate([wanted[s] for s in names], axis=1)

    def misses(points: np.ndarray) -> np.ndarray:
        """[points, states * n] -> [points, misses]"""
        rows = np.repeat(points, len(x), axis=0)
        state = dict(zip(names, np.split(rows, len(names), axis=1)))
        new = cell.reference(node, np.tile(x, (len(points), 1)), state)
        found = np.concatenate([new[s] for s in names], axis=1).reshape(len(points), *target.shape)
        return (found - target).reshape(len(points), -1)

    at, damping = np.zeros((1, len(names) * n)), 1e-3
    (miss,) = misses(at)
    for _ in range(ITERATIONS):
        if (miss**2).sum() < CLOSE**2:
            break
        slope = (misses(at + DELTA * np.eye(at.size)) - miss) / DELTA
        square = slope @ slope.T
        step = np.linalg.solve(square + damping * np.eye(at.size), slope @ miss)
        (now,) = misses(at - step)
        better = (now**2).sum() < (miss**2).sum()
        at, miss, damping = (at - step, now, damping / 10) if better else (at, miss, damping * 10)
    return {f"{s}0": v for s, v in zip(names, np.split(at[0], len(names))) if v.any()}
