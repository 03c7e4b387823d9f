"""Normalizations behind an LSTM, in the very forms that exporters write (FORMS), and what only looks like one."""

import numpy as np
from networks import Net, Value
from onnx import helper
from onnx_forms import batch_first, form, lstm

LOOK_ALIKES = {}  # name -> draws a network that is none of them, though nearly


def look_alike(build):
    LOOK_ALIKES[build.__name__] = build
    return build


def steps(net: Net, n: int = 5) -> Value:
    """Every h of an LSTM: [1, 6, n], as large as a dense layer makes them."""
    y = net.transpose(net.reshape(lstm(net, batch_first(net), n)[0], 6, 1, n), 1, 0, 2)
    return net.fresh("Add", [net.fresh("MatMul", [y, net.normal(n, n)], *y.shape), net.normal(n)], *y.shape)


def number(net: Net, value: float) -> Value:
    return net.constant(np.float32(value))


def rows(x: Value) -> tuple[int, ...]:
    return (*x.shape[:-1], 1)


def reduced(net: Net, op: str, x: Value, axes=(-1,), keepdims: int = 1) -> Value:
    """With axes as opset 13 has them: of ReduceSum an input, else an attribute."""
    hit = {a % len(x.shape) for a in axes}
    shape = [1 if i in hit else n for i, n in enumerate(x.shape) if keepdims or i not in hit]
    if op == "ReduceSum":
        return net.fresh(op, [x, net.constant(axes, np.int64)], *shape, keepdims=keepdims)
    return net.fresh(op, [x], *shape, axes=list(axes), keepdims=keepdims)


def scaled(net: Net, y: Value, *shape: int) -> Value:
    y = net.fresh("Mul", [y, net.constant(net.rng.uniform(0.3, 3, shape))], *y.shape)
    return net.fresh("Add", [y, net.normal(*shape)], *y.shape)


@form(opset=17)
def layer_norm(net):
    x = steps(net)
    args = [x, net.constant(net.rng.uniform(0.3, 3, 5)), net.normal(5)]
    net.output(net.fresh("LayerNormalization", args, *x.shape, axis=-1, epsilon=1e-3, stash_type=1), "y")


@form(opset=17)
def layer_norm_of_two_axes(net):
    """Without a bias; over steps and values, of a network that must be run as a whole."""
    x = steps(net)
    args = [x, net.constant(net.rng.uniform(0.3, 3, (6, 5)))]
    net.output(net.fresh("LayerNormalization", args, *x.shape, axis=1), "y")


@form(opset=13)
def torch_layer_norm(net):
    x = steps(net)
    c = net.fresh("Sub", [x, reduced(net, "ReduceMean", x)], *x.shape)
    v = reduced(net, "ReduceMean", net.fresh("Pow", [c, number(net, 2)], *x.shape))
    root = net.fresh("Sqrt", [net.fresh("Add", [v, number(net, 1e-5)], *v.shape)], *v.shape)
    net.output(scaled(net, net.fresh("Div", [c, root], *x.shape), 5), "y")


@form(opset=15)
def torch_var(net):
    """(x - x.mean()) / sqrt(x.var() + eps) from the dynamo exporter: a second mean, and a variance without the axis."""
    x = steps(net)
    mean, again = (reduced(net, "ReduceMean", x) for _ in range(2))
    c = net.fresh("Sub", [x, again], *x.shape)
    v = reduced(net, "ReduceMean", net.fresh("Mul", [c, c], *x.shape), keepdims=0)
    v = net.fresh("Add", [net.reshape(v, *rows(x)), number(net, 1e-5)], *rows(x))
    top = net.fresh("Sub", [x, mean], *x.shape)
    net.output(net.fresh("Div", [top, net.fresh("Sqrt", [v], *v.shape)], *x.shape), "y")


@form(opset=15)
def torch_rms_norm(net):
    """x * rsqrt(mean(x^2) + eps) * weight, the reciprocal once as such and once as a division."""
    x, y = steps(net), []
    for inverse in (lambda v: ("Reciprocal", [v]), lambda v: ("Div", [number(net, 1), v])):
        v = reduced(net, "ReduceMean", net.fresh("Pow", [x, number(net, 2)], *x.shape))
        v = net.fresh("Sqrt", [net.fresh("Add", [v, number(net, 1e-6)], *v.shape)], *v.shape)
        op, args = inverse(v)
        y.append(net.fresh("Mul", [x, net.fresh(op, args, *v.shape)], *x.shape))
    weighed = net.fresh("Mul", [y[1], net.constant(net.rng.uniform(0.3, 3, 5))], *x.shape)
    net.output(net.fresh("Concat", [y[0], weighed], 1, 6, 10, axis=2), "y")


@form(opset=15)
def upside_down(net):
    """(mean - x) / deviation, halved in two ways: around the root, and inside it."""
    x = steps(net)
    c = net.fresh("Sub", [reduced(net, "ReduceMean", x), x], *x.shape)
    v = reduced(net, "ReduceSum", net.fresh("Pow", [c, number(net, 2)], *x.shape))
    v = net.fresh("Add", [net.fresh("Mul", [v, number(net, 0.8)], *v.shape), number(net, 0.1)], *v.shape)
    root = net.fresh("Pow", [v, number(net, 0.5)], *v.shape)
    y = net.fresh("Div", [net.fresh("Mul", [c, number(net, 0.5)], *x.shape), root], *x.shape)
    net.output(net.fresh("Sub", [net.normal(5), y], *x.shape), "y")


@form(opset=23)
def rms_norm(net):
    x = steps(net)
    net.output(net.fresh("RMSNormalization", [x, net.constant(net.rng.uniform(0.3, 3, 5))], *x.shape, axis=2), "y")


@form(opset=15)
def keras_layer_norm(net):
    """Default epsilon: BatchNormalization in training mode, the steps as its channels."""
    x = net.reshape(steps(net), 1, 6, 5, 1)
    mean = reduced(net, "ReduceMean", x, (0, 2, 3))
    c = net.fresh("Sub", [x, mean], *x.shape)
    v = reduced(net, "ReduceSumSquare", c, (0, 2, 3), keepdims=0)
    v = net.fresh("Div", [v, number(net, 5)], 6)
    mean = net.fresh("Squeeze", [mean, net.constant([0, 2, 3], np.int64)], 6)
    args = [x, net.constant(np.ones(6)), net.constant(np.zeros(6)), mean, v]
    y = net.fresh("BatchNormalization", args, *x.shape, epsilon=1e-3)
    net.output(scaled(net, net.reshape(y, 1, 6, 5), 5), "y")


@form(opset=15)
def keras_small_epsilon(net):
    """tf.nn.batch_normalization: x * (rsqrt * gamma) + (beta - mean * (rsqrt * gamma)); means as GlobalAveragePool."""
    x = steps(net)
    mean = net.fresh("GlobalAveragePool", [x], *rows(x))
    c = net.fresh("Sub", [x, mean], *x.shape)
    v = net.fresh("GlobalAveragePool", [net.fresh("Mul", [c, c], *x.shape)], *rows(x))
    v = net.fresh("Sqrt", [net.fresh("Add", [v, number(net, 1e-6)], *v.shape)], *v.shape)
    factor = net.fresh("Mul", [net.fresh("Reciprocal", [v], *v.shape), net.normal(5)], *x.shape)
    away = net.fresh("Sub", [net.normal(5), net.fresh("Mul", [mean, factor], *x.shape)], *x.shape)
    net.output(net.fresh("Add", [net.fresh("Mul", [x, factor], *x.shape), away], *x.shape), "y")


@form(opset=15)
def keras_3_layer_norm(net):
    """x * (rsqrt * gamma) + (-mean * (rsqrt * gamma) + beta)"""
    x = steps(net)
    mean = net.fresh("GlobalAveragePool", [x], *rows(x))
    c = net.fresh("Sub", [mean, x], *x.shape)
    v = net.fresh("GlobalAveragePool", [net.fresh("Mul", [c, c], *x.shape)], *rows(x))
    v = net.fresh("Sqrt", [net.fresh("Add", [v, number(net, 1e-3)], *v.shape)], *v.shape)
    factor = net.fresh("Mul", [net.fresh("Reciprocal", [v], *v.shape), net.normal(1, 1, 5)], *x.shape)
    away = net.fresh("Mul", [net.fresh("Neg", [mean], *mean.shape), factor], *x.shape)
    away = net.fresh("Add", [away, net.normal(1, 1, 5)], *x.shape)
    net.output(net.fresh("Add", [net.fresh("Mul", [x, factor], *x.shape), away], *x.shape), "y")


@form(opset=13)
def torch_normalize(net):
    """torch.nn.functional.normalize, of the values and of the steps."""
    x, y = steps(net), []
    for axis in (-1, 1):
        norm = reduced(net, "ReduceL2", x, (axis,))
        norm = net.fresh("Clip", [norm, number(net, 1e-12), ""], *norm.shape)
        norm = net.fresh("Expand", [norm, net.constant(x.shape, np.int64)], *x.shape)
        y.append(net.fresh("Div", [x, norm], *x.shape))
    net.output(net.fresh("Concat", y, 1, 6, 10, axis=2), "y")


@form(opset=15)
def keras_l2_normalize(net):
    """tf.math.l2_normalize, and UnitNormalization of Keras 3; the floors are far above 1e-12, so that they count."""
    x, y = steps(net), []
    for first, floor, last in (("Max", 4.0, ""), ("", 0.5, "Min")):
        v = reduced(net, "ReduceSum", net.fresh("Mul", [x, x], *x.shape))
        v = net.fresh(first, [v, number(net, floor)], *v.shape) if first else v
        v = net.fresh("Reciprocal", [net.fresh("Sqrt", [v], *v.shape)], *v.shape)
        v = net.fresh(last, [v, number(net, floor)], *v.shape) if last else v
        y.append(net.fresh("Mul", [x, v], *x.shape))
    net.output(net.fresh("Concat", y, 1, 6, 10, axis=2), "y")


@form(opset=15)
def lp_normalization(net):
    x = steps(net)
    net.output(net.fresh("LpNormalization", [x], *x.shape, axis=-1, p=2), "y")


@form(opset=18)
def group_norms(net):
    """nn.GroupNorm as an InstanceNormalization of groups, and of channels."""
    x = net.transpose(steps(net, 4), 0, 2, 1)
    groups = [net.reshape(x, 1, 2, 12), net.constant(np.ones(2)), net.constant(np.zeros(2))]
    y = net.reshape(net.fresh("InstanceNormalization", groups, 1, 2, 12), *x.shape)
    y = scaled(net, y, 4, 1)
    net.output(net.fresh("InstanceNormalization", [y, net.normal(4), net.normal(4)], *x.shape, epsilon=0.1), "y")


@form(opset=15)
def log_softmax(net):
    x = steps(net)
    net.output(net.fresh("LogSoftmax", [x], *x.shape, axis=-1), "y")


@form(opset=11)
def old_log_softmax(net):
    """Of all values from the axis on."""
    x = steps(net)
    net.output(net.fresh("LogSoftmax", [x], *x.shape, axis=1), "y")


@form(opset=15)
def prelu(net):
    """A slope for each channel: as PyTorch has them, and in the sums of Keras."""
    x = steps(net)
    y = net.fresh("PRelu", [x, net.normal(5)], *x.shape)
    below = net.fresh("Relu", [net.fresh("Neg", [y], *x.shape)], *x.shape)
    below = net.fresh("Mul", [below, net.normal(1, 5)], *x.shape)
    net.output(net.fresh("Add", [net.fresh("Relu", [y], *x.shape), below], *x.shape), "y")


# --- none of these is a normalization that hmdc has; a Div or a Reciprocal is left in each


def divided(net: Net, top: Value, squares: Value, then=lambda v: v) -> None:
    v = then(net.fresh("Sqrt", [squares], *squares.shape))
    net.output(net.fresh("Div", [top, v], *top.shape), "y")


def centered(net: Net, x: Value, axis: int = -1) -> Value:
    return net.fresh("Sub", [x, reduced(net, "ReduceMean", x, (axis,))], *x.shape)


def variance(net: Net, c: Value, axis: int = -1, keepdims: int = 1) -> Value:
    return reduced(net, "ReduceMean", net.fresh("Mul", [c, c], *c.shape), (axis,), keepdims)


@look_alike
def deviation_of_uncentered_values(net):
    x = steps(net)
    divided(net, x, variance(net, centered(net, x)))


@look_alike
def length_of_others(net):
    x = steps(net)
    divided(net, net.fresh("Tanh", [x], *x.shape), variance(net, x))


@look_alike
def mean_over_another_axis(net):
    c = centered(net, steps(net), 1)
    divided(net, c, variance(net, c, 2))


@look_alike
def epsilon_beside_the_root(net):
    c = centered(net, steps(net))
    divided(net, c, variance(net, c), lambda v: net.fresh("Add", [v, number(net, 0.1)], *v.shape))


@look_alike
def bounded_from_above(net):
    x = steps(net)
    divided(net, x, net.fresh("Min", [variance(net, x), number(net, 0.5)], *rows(x)))


@look_alike
def bounded_from_both_sides(net):
    x = steps(net)
    divided(net, x, net.fresh("Clip", [variance(net, x), number(net, 0.1), number(net, 0.5)], *rows(x)))


@look_alike
def spread_along_another_axis(net):
    """As many steps as values, and a variance that lost its axis."""
    c = centered(net, steps(net, 6))
    divided(net, c, variance(net, c, keepdims=0))


@look_alike
def weighed_along_another_axis(net):
    c = centered(net, steps(net, 6))
    v = net.fresh("Reciprocal", [net.fresh("Sqrt", [variance(net, c, keepdims=0)], 1, 6)], 1, 6)
    net.output(net.fresh("Mul", [c, net.fresh("Mul", [v, net.normal(6)], 1, 6)], *c.shape), "y")


@look_alike
def moved_before_the_division(net):
    c = centered(net, steps(net))
    divided(net, net.fresh("Add", [c, number(net, 0.1)], *c.shape), variance(net, c))


@look_alike
def gaps_between_the_axes(net):
    x = net.reshape(steps(net), 2, 3, 5)
    squares = reduced(net, "ReduceMean", net.fresh("Mul", [x, x], *x.shape), (0, 2))
    divided(net, x, squares)


@look_alike
def absolute_values(net):
    x = steps(net)
    net.output(net.fresh("LpNormalization", [x], *x.shape, axis=-1, p=1), "y")


@look_alike
def mean_beside(net):
    x = steps(net)
    outs = ["z", "mean"]
    net.nodes.append(helper.make_node("LayerNormalization", [x.name, net.normal(5).name], outs))
    net.output(net.fresh("Add", ["z", Value("mean", rows(x))], *x.shape), "y")


@look_alike
def weights_from_data(net):
    x = steps(net)
    net.output(net.fresh("LayerNormalization", [x, net.input("w", 5)], *x.shape), "y")


@look_alike
def slopes_from_data(net):
    x = steps(net)
    net.output(net.fresh("PRelu", [x, net.input("w", 5)], *x.shape), "y")
