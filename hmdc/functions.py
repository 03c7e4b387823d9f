"""Scalar functions: numpy definition, whether the values stay within [-1, 1], and the C name for float32 mode."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Function:
    """name: as in ONNX, lower case.  c: a float -> float function of runtime_c/float_math.h.

    bounds: range of the values, None = unbounded; saturating: constant to 2**-12 outside +-8.
    """

    name: str
    f: Callable[[np.ndarray], np.ndarray]
    c: str
    bounds: tuple[float, float] | None = None
    saturating: bool = False

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.f(np.asarray(x, np.float64))

    @property
    def bounded(self) -> bool:
        return self.bounds is not None


def _sigmoid(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


def _relu(x):
    return np.maximum(x, 0.0)


SIGMOID = Function("sigmoid", _sigmoid, "hmdc_sigmoidf", (0.0, 1.0), saturating=True)
TANH = Function("tanh", np.tanh, "hmdc_tanhf", (-1.0, 1.0), saturating=True)
RELU = Function("relu", _relu, "hmdc_reluf")
SQRT = Function("sqrt", lambda x: np.sqrt(np.maximum(x, 0.0)), "hmdc_sqrtf")

FUNCTIONS: dict[str, Function] = {f.name: f for f in (SIGMOID, TANH, RELU, SQRT)}
