"""Translators of functions of one element."""

import numpy as np

from .graph import attributes, refuse, translator

PARAMETERS = {  # operator -> its attributes, in the order of the parameters of its function
    "Celu": ("alpha",),
    "Elu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "LeakyRelu": ("alpha",),
    "Selu": ("alpha", "gamma"),
    "Swish": ("alpha",),
    "ThresholdedRelu": ("alpha",),
}


@translator(*"Abs Cos Erf Exp HardSwish Log Mish Relu Sigmoid Sin Softplus Softsign Sqrt Tanh".split(), *PARAMETERS)
def _activation(g, node):
    a, function = attributes(node), node.op_type.lower()
    if own := PARAMETERS.get(node.op_type):
        function += f"({','.join(str(a.get(name, '')) for name in own)})"
    g.activation(node, node.input[0], node.output[0], function)


@translator("Gelu")
def _gelu(g, node):
    kind = attributes(node).get("approximate", b"none").decode()
    if kind not in ("none", "tanh"):
        raise refuse(node, f"approximate={kind!r} is no form of it", "export the network again")
    g.activation(node, node.input[0], node.output[0], "gelu" if kind == "none" else "gelu_tanh")


@translator("PRelu")
def _prelu(g, node):
    """One slope is a function; slopes of channels: max(x, 0) + slope * min(x, 0)."""
    (x, slope), y = node.input, node.output[0]
    if g.constant(slope) is None:
        raise refuse(node, "its slopes depend on the data", "export the network with constant slopes")
    slope = g.floats(node, slope)
    if np.unique(slope).size == 1:
        return g.activation(node, x, y, f"leakyrelu({slope.ravel()[0]})")
    above, below, bent = (g.fresh(g.shape(y)) for _ in range(3))
    g.affine(node, x, above, 1.0, 0.0, low=0.0)
    g.affine(node, x, below, 1.0, 0.0, high=0.0)
    g.affine(node, below, bent, slope, 0.0)
    g.add("add", "prelu", [above, bent], [y], node)


@translator("Clip")
def _clip(g, node):
    a, bounds = attributes(node), []
    for i, (name, default) in enumerate((("min", -np.inf), ("max", np.inf)), 1):
        value = a.get(name, default)
        if len(node.input) > i and node.input[i]:
            if g.constant(node.input[i]) is None:
                raise refuse(node, f"its {name} depends on the data", "clip between constants")
            value = float(g.constant(node.input[i]))
        bounds.append(float(value))
    low, high = bounds
    if not low <= high:
        raise refuse(node, f"its bounds {low} and {high} leave nothing between them", "correct the bounds")
    unbounded = float(np.finfo(np.float32).max)  # what exporters write for no bound
    low, high = -np.inf if low <= -unbounded else low, np.inf if high >= unbounded else high
    g.affine(node, node.input[0], node.output[0], 1.0, 0.0, low, high)


@translator("Pow")
def _pow(g, node):
    x, y, exponent = node.input[0], node.output[0], g.constant(node.input[1])
    if g.constant(x) is not None or exponent is None or exponent.size != 1 or float(exponent.ravel()[0]) not in (1, 2):
        raise refuse(node, "raises to a power other than 1 and 2", "write it as products")
    if float(exponent.ravel()[0]) == 1:
        return g.reshape(node, x, y)
    if g.shape(x) != g.shape(y):
        g.reshape(node, x, x := g.fresh(g.shape(y)))
    g.add("mul", "square", [x, x], [y], node)
