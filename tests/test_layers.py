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
from hmdc.errors import NotStreamable
from hmdc.isa import ISAS, fit
from hmdc.lower import lower
from hmdc.program import Program
from hmdc.recipe import apply
from hmdc.reference import evaluate
from hmdc.simulate import simulate
from hmdc.target import TARGETS
from hmdc.verify import real_outputs, verify

SEED = int(os.environ.get("HMDC_SEED", "1"))
FUNCTIONS = ["Abs", "Celu", "Cos", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "Relu",
             "Selu", "Sigmoid", "Sin", "Softplus", "Softsign", "Tanh", "ThresholdedRelu"]  # fmt: skip
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


def compiled(proto, inputs, folder, name: str = "net", **options):
    """The build of a network, calibrated on its own inputs."""
    onnx.save(proto, folder / "net.onnx")
    np.savez(folder / "calibration.npz", **inputs)
    return hmdc.compile(folder / "net.onnx", folder / name, calibration=folder / "calibration.npz", **options)


WHOLE = {f"{name}, {precision}": (i, precision, *layers) for i, (name, layers) in enumerate({
    "conv": (conv,), "two convs": (conv, conv), "conv and pool": (conv, pool), "pool and conv": (pool, conv),
}.items()) for precision in hmdc.compiler.PRECISIONS}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_c(name, tmp_path):
    """C is the simulator, and close to the float network."""
    i, precision, *layers = WHOLE[name]
    proto = network(SEED + 10 * i, last_steps, lambda net: of_space(net, *layers))
    inputs = samples(proto, np.random.default_rng(SEED), 12)
    build = compiled(proto, inputs, tmp_path, precision=precision)
    done = verify(build, Data(inputs, None))
    assert done.passed, [str(d) for d in done.differences]
    assert done.figures["rms_error"] < {"int8": 0.05, "int16": 0.01, "float32": 1e-6}[precision]


def pad(net: Net, x: Value, mode: str) -> Value:
    ends = [(0, 0), (0, 0), *((int(a), int(b)) for a, b in net.rng.integers(0, 4, (len(x.shape) - 2, 2)))]
    shape = [n + a + b for n, (a, b) in zip(x.shape, ends)]
    value = [net.constant(net.rng.normal())] if mode == "constant" else []
    return net.fresh("Pad", [x, net.constant(np.array(ends).T.ravel(), np.int64), *value], *shape, mode=mode)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_pad(mode, tmp_path):
    for i in range(3):
        proto = network(SEED + i, of_space, lambda net, x: pad(net, x, mode), *[conv] * (i % 2), opset=19)
        check_float(proto, tmp_path)


def causal(net: Net, form: str, steps: int = 9) -> Value:
    """Convolutions that look back in time, as PyTorch users write them, around one recurrent layer."""
    x = net.input("x", 1, 3, steps)
    for kernel, dilation, groups, channels in ((3, 1, 1, 4), (2, 3, 4, 8), (1, 1, 1, 5), (4, 2, 1, 6)):
        reach, w = (kernel - 1) * dilation, net.normal(channels, x.shape[1] // groups, kernel, spread=0.5)
        own, n = {"dilations": [dilation], "group": groups}, steps
        if form == "pad" and reach:
            ends = net.constant([0, 0, reach, 0, 0, 0], np.int64)
            x = net.fresh("Pad", [x, ends], 1, x.shape[1], n := steps + reach)
            n -= reach
        elif form == "slice":
            own["pads"], n = [reach, reach], steps + reach
        else:
            own["pads"] = [reach, 0]
        x = net.fresh("Conv", [x, w, net.normal(channels)], 1, channels, n, **own)
        if n > steps:
            cut = [net.constant([v], np.int64) for v in (0, -reach, 2)]
            x = net.fresh("Slice", [x, *cut], 1, channels, steps)
        x = net.fresh("Relu", [x], *x.shape)
    y, _ = net.recurrent(net.transpose(x, 2, 0, 1), 0, "forward", "none")
    return net.ending(y, y, "last")


@pytest.mark.parametrize("precision", hmdc.compiler.PRECISIONS)
@pytest.mark.parametrize("form", ["pads", "pad", "slice"])
def test_causal_convolutions_stream(form, precision, tmp_path, monkeypatch):
    """step by step, C and simulator, gives the bits of the convolutions of the whole sequence."""
    proto = network(SEED, causal, form)
    inputs = samples(proto, np.random.default_rng(SEED), 6)
    build = compiled(proto, inputs, tmp_path, precision=precision)
    assert build.program.entries == ("step", "run")
    done = verify(build, Data(inputs, None))
    assert done.passed, [str(d) for d in done.differences]
    found = real_outputs(build.program, {"run": {"y": simulated(build, inputs)}})["y"]
    tolerance = {"int8": 0.2, "int16": 0.02, "float32": 1e-5}[precision]
    assert_close(found, onnx_runtime(proto, inputs)["y"], tolerance, form)

    def whole_sequence(*_):
        raise NotStreamable("on purpose")

    monkeypatch.setattr("hmdc.lower.frame", whole_sequence)
    whole = compiled(proto, inputs, tmp_path, "whole", precision=precision)
    assert not whole.program.streams
    if precision != "float32":
        assert np.array_equal(simulated(build, inputs), simulated(whole, inputs))


def simulated(build, inputs) -> np.ndarray:
    return simulate(build.program, to_integers(build.program, inputs))["y"]


def deep(net: Net) -> Value:
    """DeepConvLSTM of the HAR2 kind, small: convolutions along time alone, channel by channel of the sensor."""
    steps, sensors, channels = 12, 5, 8
    x = net.input("x", 1, 1, steps, sensors)
    for _ in range(4):
        steps -= 2
        w = net.normal(channels, x.shape[1], 3, 1, spread=0.5 * x.shape[1] ** -0.5)
        x = net.fresh("Conv", [x, w, net.normal(channels, spread=0.1)], 1, channels, steps, sensors)
        x = net.fresh("Relu", [x], *x.shape)
    x = net.reshape(net.transpose(x, 2, 0, 1, 3), steps, 1, channels * sensors)
    for layer in range(2):
        x, final = net.recurrent(x, layer, "forward", "none")
    return net.dense(final, 4, gemm=True)


def keyword(net: Net) -> Value:
    """A keyword spotter: convolution with strides, depthwise separable convolution, pooling, recurrent layers."""
    x = net.input("x", 1, 1, 20, 10)
    x = net.fresh("Conv", [x, net.normal(8, 1, 4, 4, spread=0.3)], 1, 8, 9, 4, strides=[2, 2])
    x = net.fresh("Relu", [x], *x.shape)
    x = net.fresh("Conv", [x, net.normal(8, 1, 3, 3, spread=0.3)], *x.shape, group=8, pads=[1, 1, 1, 1])
    x = net.fresh("Conv", [x, net.normal(12, 8, 1, 1, spread=0.3), net.normal(12)], 1, 12, 9, 4)
    x = net.fresh("MaxPool", [x], 1, 12, 9, 2, kernel_shape=[1, 2], strides=[1, 2])
    x = net.reshape(net.transpose(x, 2, 0, 1, 3), 9, 1, 24)
    y, final = net.recurrent(x, 0, "bidirectional", "none")
    return net.dense(final, 4, gemm=True)


def unfitted(build) -> Program:
    """The program before it was fitted to an instruction set."""
    return hmdc.compiler._read(build.path)[0]


@pytest.mark.parametrize("board", ["mps2-an386", "mps2-an385", "mps3-an547", "microbit"])
@pytest.mark.parametrize("make", [deep, keyword])
def test_board(make, board, tmp_path):
    proto = network(SEED, make)
    inputs = samples(proto, np.random.default_rng(SEED), 8)
    target = next(t.name for t in TARGETS.values() if t.board == board)
    build = compiled(proto, inputs, tmp_path, target=target)
    whole, integers = unfitted(build), to_integers(build.program, inputs)
    want = simulate(whole, integers)
    for isa in ISAS.values():
        assert np.array_equal(simulate(fit(whole, isa), integers)["y"], want["y"]), isa.name
    done = verify(build, Data({k: a[:2] for k, a in inputs.items()}, None), ("host", board))
    assert done.passed, [str(d) for d in done.differences]
    assert done.figures["snr_db"] > 20


def normalized(net: Net) -> Value:
    """Every step of a recurrent layer through LayerNormalization, a dense layer, unit length, PRelu and LogSoftmax."""
    y, _ = net.recurrent(net.input("x", 9, 1, 5), 0, "forward", "none")
    y = net.dense(y, 12, gemm=False)
    args = [y, net.constant(net.rng.uniform(0.3, 3, 12)), net.normal(12)]
    y = net.dense(net.fresh("LayerNormalization", args, *y.shape), 7, gemm=False)
    y = net.fresh("LpNormalization", [y], *y.shape, p=2)
    y = net.fresh("PRelu", [y, net.normal(7)], *y.shape)
    return net.fresh("LogSoftmax", [net.dense(y, 4, gemm=False)], 9, 1, 4, axis=2)


@pytest.mark.parametrize("precision", hmdc.compiler.PRECISIONS)
def test_normalizations_stream(precision, tmp_path):
    proto = network(SEED, normalized)
    inputs = samples(proto, np.random.default_rng(SEED), 20)
    build = compiled(proto, inputs, tmp_path, precision=precision)
    assert build.program.entries == ("step", "run")
    done = verify(build, Data(inputs, None))
    assert done.passed, [str(d) for d in done.differences]
    assert done.figures["snr_db"] > {"int8": 30, "int16": 36, "float32": 110}[precision]


def test_normalization_over_time_is_run_as_a_whole(tmp_path):
    model = load(network(SEED, lambda net: net.fresh("LpNormalization", [normalized(net)], 9, 1, 4, axis=0)), tmp_path)
    assert lower(model, apply(model)).entries == ("run",)
