"""The scalar functions of hmdc.functions, differentiable."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from ..functions import TEXT, function

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu, "softsign": F.softsign, "softplus": F.softplus,
    "sqrt": lambda x: torch.sqrt(x.clamp(min=0)), "abs": torch.abs, "cos": torch.cos, "sin": torch.sin,
    "erf": torch.erf, "exp": lambda x: torch.exp(x.clamp(max=80)), "log": lambda x: torch.log(x.clamp(min=1e-30)),
    "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "hardswish": F.hardswish, "mish": F.mish,
}  # fmt: skip

FAMILIES: dict[str, Callable[..., Tensor]] = {
    "affine": lambda x, a, b: a * x + b,
    "celu": F.celu,
    "elu": F.elu,
    "hardsigmoid": lambda x, a, b: torch.clamp(a * x + b, 0, 1),
    "leakyrelu": F.leaky_relu,
    "scaledtanh": lambda x, a, b: a * torch.tanh(b * x),
    "selu": lambda x, a, b: b * F.elu(x, a),
    "swish": lambda x, a: x * torch.sigmoid(a * x),
    "thresholdedrelu": lambda x, a: torch.where(x > a, x, torch.zeros_like(x)),
}


def differentiable(text: str) -> Callable[[Tensor], Tensor]:
    """The function of that name, as in hmdc.functions."""
    name, own = TEXT.fullmatch(function(text).name).groups()
    if not own:
        return FUNCTIONS[name]
    parameters = [float(v) for v in own.split(",")]
    return lambda x: FAMILIES[name](x, *parameters)
