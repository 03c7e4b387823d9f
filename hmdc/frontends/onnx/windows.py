"""Translators of what looks at windows or at whole axes: convolutions, pooling, reductions."""

import numpy as np

from .graph import attributes, refuse, translator


def _space(g, node, kernel=None) -> dict:
    """kernel, strides, dilations and pads of a node on [1, channels, *space]; pads: all in front, then all behind."""
    a, shape = attributes(node), g.shape(node.input[0])
    space = len(shape) - 2
    if shape[0] != 1 or space not in (1, 2):
        raise refuse(node, f"its input has shape {list(shape)}; [1, channels, time] and [1, channels, height, width] "
                     "are compiled", "export with batch 1 or a dynamic batch axis")  # fmt: skip
    kernel = tuple(map(int, kernel or a["kernel_shape"]))
    strides, dilations = (tuple(map(int, a.get(k, [1] * space))) for k in ("strides", "dilations"))
    out = g.shape(node.output[0])[2:]
    auto = a.get("auto_pad", b"NOTSET").decode()
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
        total = [max((m - 1) * s + r - n, 0) for m, s, r, n in zip(out, strides, reach, shape[2:])]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = [*less, *more] if auto == "SAME_UPPER" else [*more, *less]
    else:
        pads = [0] * 2 * space if auto == "VALID" else [int(p) for p in a.get("pads", [0] * 2 * space)]
    if min(pads) < 0:
        raise refuse(node, f"has negative pads {pads}", "slice the input instead")
    return {"kernel": kernel, "strides": strides, "dilations": dilations, "pads": tuple(pads)}


def _last(axes: int) -> list[int]:
    """Channels from axis 1 to the end."""
    return [0, *range(2, axes), 1]


def _first(axes: int) -> list[int]:
    """And back."""
    return [0, axes - 1, *range(1, axes - 1)]


@translator("Conv")
def _conv(g, node):
    if g.constant(node.input[1]) is None:
        raise refuse(node, "its weights depend on the data", "export the network with constant weights")
    w, axes = g.floats(node, node.input[1]), len(g.shape(node.input[0]))
    attrs, groups = _space(g, node, w.shape[2:]), int(attributes(node).get("group", 1))
    weights = {"w": np.moveaxis(w, 1, -1).reshape(len(w), -1)}
    if len(node.input) > 2 and node.input[2]:
        if g.constant(node.input[2]) is None:
            raise refuse(node, "its bias depends on the data", "export the network with constant weights")
        weights["b"] = g.floats(node, node.input[2])
    x = g.transpose(node, node.input[0], _last(axes))
    shape = g.shape(node.output[0])
    y = g.fresh((1, *shape[2:], shape[1]))
    g.add("conv", "conv", [x], [y], node, weights, **attrs, groups=groups, axis=axes - 1, low=-np.inf, high=np.inf)
    g.transpose(node, y, _first(axes), node.output[0])


@translator("MaxPool", "AveragePool")
def _pool(g, node):
    a, axes = attributes(node), len(g.shape(node.input[0]))
    if len([v for v in node.output if v]) > 1:
        raise refuse(node, "gives the indices of the largest values", "use the values only")
    s, out, kind = _space(g, node), g.shape(node.output[0]), "max" if node.op_type == "MaxPool" else "mean"
    x = g.transpose(node, node.input[0], _last(axes))
    n_space, count = axes - 2, np.ones(1)
    for i in range(n_space):
        size, stride, dilation, before = s["kernel"][i], s["strides"][i], s["dilations"][i], s["pads"][i]
        shape, m, given = list(g.shape(x)), out[2 + i], s["pads"][n_space + i]
        needed = (m - 1) * stride + (size - 1) * dilation + 1
        after = max(needed - shape[1 + i] - before, 0)  # ceil_mode reaches beyond what the pads say
        taps = np.arange(m)[:, None] * stride + np.arange(size) * dilation - before
        inside = (0 <= taps) & (taps < shape[1 + i])
        if not inside.any(axis=1).all():
            raise refuse(node, "a window lies outside of its input", "use smaller pads")
        if not a.get("count_include_pad", 0):
            real = inside.sum(axis=1)
        else:
            real = (taps < shape[1 + i] + given).sum(axis=1)
        count = count[..., None] * (size / real)
        shape[1 + i] = m
        y = g.fresh(tuple(shape))
        g.add("pool", f"{kind}pool", [x], [y], node, axis=1 + i, kind=kind, size=size, stride=stride,
              dilation=dilation, pads=(before, after))  # fmt: skip
        x = y
    if kind == "mean" and (count != 1).any():
        y = g.fresh(g.shape(x))
        g.affine(node, x, y, count.reshape(*out[2:], 1), 0.0)
        x = y
    g.transpose(node, x, _first(axes), node.output[0])


def _reduce(g, node, x: str, y: str, axes: list[int], kind: str) -> None:
    """y = the mean, sum, max or min of x over axes, which may be gone in y."""
    shape = g.shape(x)
    axes = sorted(a for a in axes if shape[a] > 1)
    while axes:
        last = axes.pop()
        while axes and axes[-1] == last - 1:  # neighbors are one axis
            last = axes.pop()
            shape = (*shape[:last], shape[last] * shape[last + 1], *shape[last + 2 :])
        if shape != g.shape(x):
            g.reshape(node, x, x := g.fresh(shape), shape)
        n, shape = shape[last], (*shape[:last], 1, *shape[last + 1 :])
        target = y if not axes and shape == g.shape(y) else g.fresh(shape)
        if kind in ("mean", "sum"):
            own = {"sum": True} if kind == "sum" else {}
            g.add("mean", kind, [x], [target], node, axis=last, keep=True, over_time=0, **own)
        else:
            g.add("pool", f"{kind}pool", [x], [target], node, axis=last, kind=kind, size=n, stride=1, dilation=1,
                  pads=(0, 0))  # fmt: skip
        x = target
    if x != y:
        g.reshape(node, x, y)


@translator("GlobalAveragePool", "GlobalMaxPool")
def _global(g, node):
    axes = list(range(2, len(g.shape(node.input[0]))))
    _reduce(g, node, node.input[0], node.output[0], axes, "mean" if node.op_type == "GlobalAveragePool" else "max")


@translator("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceSumSquare", "ReduceL2")
def _reductions(g, node):
    x, y, shape = node.input[0], node.output[0], g.shape(node.input[0])
    axes = g.ints(node, "axes", 1)
    if not axes:
        if attributes(node).get("noop_with_empty_axes", 0):
            return g.reshape(node, x, y)
        axes = list(range(len(shape)))
    kind = node.op_type.removeprefix("Reduce").lower()
    if kind in ("sumsquare", "l2"):
        g.add("mul", "square", [x, x], [x := g.fresh(shape)], node)
    if kind != "l2":
        return _reduce(g, node, x, y, [a % len(shape) for a in axes], "sum" if kind == "sumsquare" else kind)
    _reduce(g, node, x, total := g.fresh(g.shape(y)), [a % len(shape) for a in axes], "sum")
    g.activation(node, total, y, "sqrt")


@translator("Pad")
def _pad(g, node):
    a, x, y = attributes(node), node.input[0], node.output[0]
    shape, mode = g.shape(x), attributes(node).get("mode", b"constant").decode()
    pads, axes = g.ints(node, "pads", 1), g.ints(node, "axes", 3, list(range(len(shape))))
    value = float(a.get("value", 0.0))
    if len(node.input) > 2 and node.input[2]:
        if g.constant(node.input[2]) is None:
            raise refuse(node, "its value depends on the data", "pad with a constant")
        value = float(g.constant(node.input[2]).ravel()[0])
    before, after = [0] * len(shape), [0] * len(shape)
    for i, axis in enumerate(axes):
        before[axis], after[axis] = pads[i], pads[i + len(axes)]
    for axis, n in enumerate(shape):  # negative: a slice
        start, stop = max(-before[axis], 0), n - max(-after[axis], 0)
        if start >= stop:
            raise refuse(node, f"cuts all {n} values of axis {axis} off", "export the network again")
        if (start, stop) != (0, n):
            cut = g.fresh((*g.shape(x)[:axis], stop - start, *g.shape(x)[axis + 1 :]))
            g.add("slice", "slice", [x], [cut], node, axis=axis, start=start, stop=stop, step=1)
            x = cut
    before, after = (tuple(max(p, 0) for p in v) for v in (before, after))
    most = {"reflect": -1, "wrap": 0}.get(mode)
    if most is not None and any(max(f, r) > n + most for f, r, n in zip(before, after, g.shape(x))):
        raise refuse(node, f"pads more in mode {mode!r} than there is to copy", "pad in two nodes")
    if not any(before + after):
        return g.reshape(node, x, y)
    g.add("pad", "pad", [x], [y], node, mode=mode, value=value, before=before, after=after)
