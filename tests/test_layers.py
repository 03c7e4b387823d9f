"""Layers around the recurrent ones against ONNX Runtime: convolutions, pooling, reductions, functions of one element.

Another seed: HMDC_SEED=2 pytest tests/test_layers.py
"""

import os
from math import prod

import numpy as np
import onnx
import pytest
from networks import Net, Value, assert_close, onnx_runtime, samples

import hmdc
from hmdc import frontends
from hmdc.check import check
from hmdc.data import Data, to_integers
from hmdc.lower import lower
from hmdc.recipe import apply
from hmdc.reference import evaluate
from hmdc.simulate import simulate
from hmdc.verify import real_outputs, verify

SEED = int(os.environ.get("HMDC_SEED", "1"))
FUNCTIONS = ["Relu", "Sigmoid", "Tanh"]
REDUCTIONS = ["Mean", "Sum", "Max", "Min", "L2", "SumSquare"]


def window(net: Net, sizes, dilated: bool = True) -> tuple[dict, list[int]]:
    """Random kernel, strides, dilations and padding, and the shape that is left of `sizes`."""
    rng = net.rng
    while True:
        kernel = [int(rng.integers(1, 5)) for _ in sizes]
        strides = [int(rng.integers(1, 4)) for _ in sizes]
        dilations = [int(rng.integers(1, 3)) if dilated else 1 for _ in sizes]
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
        attrs = {"kernel_shape": kernel, "strides": strides, "dilations": dilations}
        mode = net.pick(["pads", "SAME_UPPER", "SAME_LOWER", "VALID"])
        if mode.startswith("SAME"):  # ONNX Runtime takes no dilation there, and no stride beyond the kernel
            attrs |= {"dilations": [1 for _ in sizes], "strides": (strides := np.minimum(strides, kernel).tolist())}
            return attrs | {"auto_pad": mode}, [-(-n // s) for n, s in zip(sizes, strides)]
        pads = [int(rng.integers(0, (k + 1) // 2)) if mode == "pads" else 0 for k in kernel * 2]
        total = [a + b for a, b in zip(pads, pads[len(sizes) :])]
        left = [(n + t - r) // s + 1 for n, t, r, s in zip(sizes, total, reach, strides)]
        if all(n + t >= r for n, t, r in zip(sizes, total, reach)):
            return attrs | ({"auto_pad": "VALID"} if mode == "VALID" else {"pads": pads}), left


def conv(net: Net, x: Value) -> Value:
    groups = net.pick([1, 1, 2, x.shape[1]])
    groups = groups if x.shape[1] % groups == 0 else 1
    channels = groups * int(net.rng.integers(1, 5))
    attrs, left = window(net, x.shape[2:])
    kernel = attrs["kernel_shape"]
    each = x.shape[1] // groups
    w = net.normal(channels, each, *kernel, spread=(each * prod(kernel)) ** -0.5)
    bias = [net.normal(channels)] if net.chance() else []
    y = net.fresh("Conv", [x, w, *bias], 1, channels, *left, group=groups, **attrs)
    if net.chance():
        positive = [net.constant(net.rng.uniform(0.5, 2, channels)) for _ in range(2)]
        y = net.fresh("BatchNormalization", [y, positive[0], net.normal(channels), net.normal(channels), positive[1]],
                      *y.shape)  # fmt: skip
    return net.fresh(net.pick(["Relu", "Tanh"]), [y], *y.shape) if net.chance() else y


def pool(net: Net, x: Value) -> Value:
    op = net.pick(["MaxPool", "AveragePool"])
    attrs, left = window(net, x.shape[2:], dilated=op == "MaxPool" or net.opset >= 19)
    if op == "AveragePool":
        attrs |= {"count_include_pad": int(net.rng.integers(2))}
        attrs |= {} if net.opset >= 19 else {"dilations": None}
    attrs = {k: v for k, v in attrs.items() if v is not None}
    return net.fresh(op, [x], 1, x.shape[1], *left, **attrs)


def of_space(net: Net, *layers) -> Value:
    space = [int(net.rng.integers(6, 12)) for _ in range(net.pick([1, 2]))]
    x = net.input("x", 1, net.pick([1, 2, 4, 6]), *space)
    for layer in layers:
        x = layer(net, x)
    return x


def reduction(net: Net, op: str) -> Value:
    shape = [int(net.rng.integers(1, 5)) for _ in range(int(net.rng.integers(2, 5)))]
    x = net.input("x", *shape)
    axes = [int(a) for a in np.flatnonzero(net.rng.random(len(shape)) < 0.5)] or [len(shape) - 1]
    keep = int(net.rng.integers(2))
    left = [1 if a in axes else n for a, n in enumerate(shape) if keep or a not in axes]
    return net.fresh(f"Reduce{op}", [x, net.constant(axes, np.int64)], *left, keepdims=keep)


def network(seed: int, make, *args, opset: int = 18) -> onnx.ModelProto:
    net = Net(np.random.default_rng(seed), opset=opset)
    net.output(make(net, *args), "y")
    return net.model()


def load(proto: onnx.ModelProto, folder) -> hmdc.model.Model:
    onnx.save(proto, folder / "net.onnx")
    return frontends.load(folder / "net.onnx")


def check_float(proto: onnx.ModelProto, folder) -> None:
    """The layers and the kernel calls give what ONNX Runtime gives."""
    model, inputs = load(proto, folder), samples(proto, np.random.default_rng(SEED), 3)
    want = onnx_runtime(proto, inputs)["y"]
    assert_close(evaluate(model, inputs)["y"], want, 1e-5, "layers")
    program = check(lower(model, apply(model), "float32"))
    found = simulate(program, to_integers(program, inputs))
    assert_close(real_outputs(program, {"run": found})["y"], want, 1e-5, "kernels")


CASES = {
    **{f"conv{i}": (conv,) for i in range(24)},
    **{f"two convs{i}": (conv, conv) for i in range(8)},
    **{f"pool{i}": (pool,) for i in range(16)},
    **{f"conv and pool{i}": (conv, pool, conv) for i in range(6)},
}


@pytest.mark.parametrize("name", CASES)
def test_float(name, tmp_path):
    check_float(network(SEED + list(CASES).index(name), of_space, *CASES[name]), tmp_path)


@pytest.mark.parametrize("op", FUNCTIONS)
def test_function(op, tmp_path):
    net = Net(np.random.default_rng(SEED), opset=22)
    x = net.input("x", 3, 9)
    net.output(net.fresh(op, [x], 3, 9), "y")
    check_float(net.model(), tmp_path)


@pytest.mark.parametrize("op", REDUCTIONS)
def test_reduction(op, tmp_path):
    for i in range(4):
        check_float(network(SEED + i, reduction, op), tmp_path)


def last_steps(net: Net, make) -> Value:
    """A recurrent layer behind the others, which are channels first."""
    x = make(net)
    n = prod(x.shape) // x.shape[2]
    order = (2, 0, 1) if len(x.shape) == 3 else (2, 0, 1, 3)
    x = net.reshape(net.transpose(x, *order), x.shape[2], 1, n)
    y, final = net.recurrent(x, 0, "forward", "none")
    return net.ending(y, final, "last")


WHOLE = {f"{name}, {precision}": (i, precision, *layers) for i, (name, layers) in enumerate({
    "conv": (conv,), "two convs": (conv, conv), "conv and pool": (conv, pool), "pool and conv": (pool, conv),
}.items()) for precision in hmdc.compiler.PRECISIONS}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_c(name, tmp_path):
    """C is the simulator, and close to the float network."""
    i, precision, *layers = WHOLE[name]
    proto = network(SEED + 10 * i, last_steps, lambda net: of_space(net, *layers))
    inputs = samples(proto, np.random.default_rng(SEED), 12)
    onnx.save(proto, tmp_path / "net.onnx")
    np.savez(tmp_path / "calibration.npz", **inputs)
    build = hmdc.compile(tmp_path / "net.onnx", tmp_path / "net", calibration=tmp_path / "calibration.npz",
                         precision=precision)  # fmt: skip
    done = verify(build, Data(inputs, None))
    assert done.passed, [str(d) for d in done.differences]
    assert done.figures["rms_error"] < {"int8": 0.05, "int16": 0.01, "float32": 1e-6}[precision]
