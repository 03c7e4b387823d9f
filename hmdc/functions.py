"""Scalar functions: numpy definition, range, and the C of float32 mode.  Integers know them as tables only.

A model names a function by text: `tanh`, or with parameters of its own `leakyrelu(0.1)`, `hardsigmoid(,0.4)`;
those left out have the defaults of ONNX.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import erf, pi

import numpy as np

from .errors import HmdcError

TEXT = re.compile(r"(\w+)(?:\(([^()]*)\))?")
SATURATED = 2.0**-11  # what may still change beyond the ends of Q3.12


@dataclass(frozen=True)
class Function:
    """name: as in ONNX, lower case, with the parameters.  c: a float -> float function of the generated C.

    bounds: (0, 1) or (-1, 1) where the values stay within, else None.  saturating: all but constant outside +-8.
    source: definitions in C, one a paragraph; "" if c is in runtime_c/float_math.h.
    """

    name: str
    f: Callable[[np.ndarray], np.ndarray]
    c: str
    bounds: tuple[float, float] | None = None
    saturating: bool = False
    source: str = ""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.f(np.asarray(x, np.float64))

    @property
    def bounded(self) -> bool:
        return self.bounds is not None

    @property
    def gates(self) -> bool:
        """Whether a Q3.12 pre-activation and a Q0.15 value do it justice."""
        return self.bounded and self.saturating


def _sigmoid(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


def _relu(x):
    return np.maximum(x, 0.0)


def _erf(x):
    return np.frompyfunc(erf, 1, 1)(x).astype(np.float64)


def _gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / pi) * (x + 0.044715 * x**3)))


SIGMOID = Function("sigmoid", _sigmoid, "hmdc_sigmoidf", (0.0, 1.0), saturating=True)
TANH = Function("tanh", np.tanh, "hmdc_tanhf", (-1.0, 1.0), saturating=True)
RELU = Function("relu", _relu, "hmdc_reluf")
SQRT = Function("sqrt", lambda x: np.sqrt(np.maximum(x, 0.0)), "hmdc_sqrtf")
SOFTSIGN = Function("softsign", lambda x: x / (1 + np.abs(x)), "hmdc_softsignf", (-1.0, 1.0))
SOFTPLUS = Function("softplus", lambda x: np.logaddexp(0.0, x), "hmdc_softplusf")

OTHERS = (
    Function("abs", np.abs, "hmdc_absf"),
    Function("cos", np.cos, "hmdc_cosf", (-1.0, 1.0)),
    Function("erf", _erf, "hmdc_erff", (-1.0, 1.0), saturating=True),
    Function("exp", lambda x: np.exp(np.minimum(x, 80.0)), "hmdc_expf"),
    Function("gelu", lambda x: 0.5 * x * (1 + _erf(x / np.sqrt(2))), "hmdc_geluf"),
    Function("gelu_tanh", _gelu_tanh, "hmdc_gelu_tanhf"),
    Function("hardswish", lambda x: x * np.clip(x / 6 + 0.5, 0, 1), "hmdc_hardswishf"),
    Function("log", lambda x: np.log(np.maximum(x, 1e-30)), "hmdc_logf"),
    Function("mish", lambda x: x * np.tanh(np.logaddexp(0.0, x)), "hmdc_mishf"),
    Function("sin", np.sin, "hmdc_sinf", (-1.0, 1.0)),
)

FUNCTIONS: dict[str, Function] = {f.name: f for f in (SIGMOID, TANH, RELU, SQRT, SOFTSIGN, SOFTPLUS, *OTHERS)}

# name -> (f(x, *parameters), default parameters as far as ONNX has some, range of the values); C: hmdc_NAMEf(x, ...)
FAMILIES = {
    "affine": (lambda x, a, b: a * x + b, (None, 0.0), lambda a, b: None),
    "celu": (lambda x, a: np.where(x > 0, x, a * np.expm1(np.minimum(x, 0.0) / a)), (1.0,), lambda a: None),
    "elu": (lambda x, a: np.where(x > 0, x, a * np.expm1(np.minimum(x, 0.0))), (1.0,), lambda a: None),
    "hardsigmoid": (lambda x, a, b: np.clip(a * x + b, 0.0, 1.0), (0.2, 0.5), lambda a, b: (0.0, 1.0)),
    "leakyrelu": (lambda x, a: np.where(x < 0, a * x, x), (0.01,), lambda a: None),
    "scaledtanh": (lambda x, a, b: a * np.tanh(b * x), (None, None), lambda a, b: (-1.0, 1.0) if abs(a) <= 1 else None),
    "selu": (
        lambda x, a, b: b * np.where(x > 0, x, a * np.expm1(np.minimum(x, 0.0))),
        (1.6732632, 1.0507010),
        lambda a, b: None,
    ),
    "swish": (lambda x, a: x * _sigmoid(a * x), (1.0,), lambda a: None),
    "thresholdedrelu": (lambda x, a: np.where(x > a, x, 0.0), (1.0,), lambda a: None),
}


@cache
def function(text: str) -> Function:
    """The function of that name.  Raises HmdcError when there is none, or when its parameters are no numbers."""
    if text in FUNCTIONS:
        return FUNCTIONS[text]
    match = TEXT.fullmatch(text)
    name = match[1] if match else text
    if name not in FAMILIES:
        raise HmdcError(f"there is no function {text!r}; known are {', '.join(sorted({*FUNCTIONS, *FAMILIES}))}")
    f, defaults, bounds = FAMILIES[name]
    given = (match[2] or "").split(",")
    try:
        own = [float(np.float32(v)) if v.strip() else default for v, default in zip(given, defaults)]
    except ValueError:
        own = [None]
    parameters = (*own, *defaults[len(own) :])
    if None in parameters or len(given) > len(defaults) or not np.isfinite(parameters).all():
        raise HmdcError(f"the function {text!r} needs numbers for its parameters; it takes {len(defaults)}")
    label = f"{name}({','.join(map(_shortest, parameters))})"
    return _derived(label, lambda x: f(x, *parameters), f"hmdc_{name}f(x, {_c(*parameters)})", bounds(*parameters))


@cache
def clipped(f: Function, limit: float) -> Function:
    """f of its argument limited to +-limit."""
    limit = float(np.float32(limit))
    inside = f"hmdc_clampf(x, {_c(-limit)}, {_c(limit)})"
    name, of_clipped = f"{f.name} within {_shortest(limit)}", lambda x: f.f(np.clip(x, -limit, limit))
    return _derived(name, of_clipped, f"{f.c}({inside})", f.bounds, f.source)


def _derived(name: str, f, expression: str, bounds, source: str = "") -> Function:
    """A function with C of its own: of x, the expression.  source: what that calls."""
    c = "hmdc_" + re.sub(r"\W+", "_", name.replace("-", "m").replace(".", "p").replace("+", "")).strip("_") + "f"
    with np.errstate(over="ignore"):
        ends, beyond = f(np.array([-8.0, 8.0])), f(np.array([-1e9, 1e9]))
    saturating = bool((np.abs(ends - beyond) <= SATURATED).all())
    return Function(name, f, c, bounds, saturating,
                    f"{source}static float {c}(float x)\n{{\n    return {expression};\n}}\n\n")  # fmt: skip


def _shortest(v: float) -> str:
    """Digits that tell one float32 from all others."""
    return str(np.float32(v))


def _c(*values: float) -> str:
    return ", ".join(f"{_shortest(v)}f" for v in values)
