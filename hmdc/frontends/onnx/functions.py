"""Translators of functions of one element."""

import numpy as np

from .graph import attributes, refuse, translator


@translator("Relu", "Sigmoid", "Tanh", "Sqrt")
def _activation(g, node):
    g.activation(node, node.input[0], node.output[0], node.op_type.lower())


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
