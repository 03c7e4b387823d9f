"""Convolutions and pools that give a result once in a while: one step after the other, and whole sequences.

Another seed: HMDC_SEED=2 pytest tests/test_streaming.py
"""

import os

import numpy as np
import onnx
import pytest
from networks import Net, Value, assert_close, onnx_runtime, samples

import hmdc
from hmdc import frontends
from hmdc.data import Data, to_integers
from hmdc.host import Host, complete
from hmdc.report import layer_table
from hmdc.simulate import simulate
from hmdc.verify import real_outputs, verify

SEED = int(os.environ.get("HMDC_SEED", "1"))
STEPS, CHANNELS = 23, 3

CONV = lambda size, stride=1, front=0, dilation=1: ("Conv", size, stride, front, dilation)  # noqa: E731
POOL = lambda op, size, stride: (op, size, stride, 0, 1)  # noqa: E731
# front layers -> steps until the first output, steps between outputs
NETWORKS = {
    "unpadded": ([CONV(3)], (3, 1)),
    "stride": ([CONV(4, 2)], (4, 2)),
    "one tap": ([CONV(1, 3)], (1, 3)),
    "some in front": ([CONV(5, 2, front=3)], (2, 2)),
    "all in front": ([CONV(3, 2, front=4, dilation=2)], (1, 2)),
    "pool": ([POOL("MaxPool", 2, 2)], (2, 2)),
    "mean": ([POOL("AveragePool", 3, 1)], (3, 1)),
    "all of them": ([CONV(2, front=1), CONV(3, 2), POOL("MaxPool", 2, 2), CONV(2, dilation=2)], (13, 4)),
}
ENDINGS = ["last", "all", "mean"]


def spotter(net: Net, layers, ending: str) -> Value:
    x = net.input("x", 1, CHANNELS, STEPS)
    for op, size, stride, front, dilation in layers:
        n = (x.shape[2] + front - (size - 1) * dilation - 1) // stride + 1
        attrs = {"strides": [stride], "pads": [front, 0]}
        if op == "Conv":
            weights = [net.normal(4, x.shape[1], size, spread=0.5), net.normal(4)]
            x = net.fresh(op, [x, *weights], 1, 4, n, **attrs, dilations=[dilation])
            x = net.fresh("Relu", [x], *x.shape)
        else:
            x = net.fresh(op, [x], 1, x.shape[1], n, **attrs, kernel_shape=[size])
    y, final = net.recurrent(net.transpose(x, 2, 0, 1), 0, "forward", "none")
    return net.ending(y, final, ending)


def compiled(folder, layers, ending: str, precision: str, **options):
    net = Net(np.random.default_rng(SEED), opset=18)
    net.output(spotter(net, layers, ending), "y")
    proto = net.model()
    inputs = samples(proto, np.random.default_rng(SEED), 5)
    onnx.save(proto, folder / "net.onnx")
    np.savez(folder / "data.npz", **inputs)
    build = hmdc.compile(folder / "net.onnx", folder / "net", calibration=folder / "data.npz",
                         precision=precision, **options)  # fmt: skip
    return build, inputs, onnx_runtime(proto, inputs)["y"]


@pytest.mark.parametrize("precision", hmdc.compiler.PRECISIONS)
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", NETWORKS)
def test_network(name, ending, precision, tmp_path):
    """step says when there is an output; the sequence has the same integers, and the float network is close."""
    layers, (first, every) = NETWORKS[name]
    build, inputs, want = compiled(tmp_path, layers, ending, precision)
    program = build.program
    assert program.entries == ("step", "run") and program.steps == STEPS
    done = verify(build, Data(inputs, None))
    assert done.passed, [str(d) for d in done.differences]
    typed = to_integers(program, inputs)
    whole, steps = (simulate(program, typed, entry)["y"] for entry in program.entries[::-1])
    frames = 1 + (STEPS - first) // every
    assert steps.shape[1] == {"last": frames, "all": frames, "mean": 1}[ending]
    assert np.array_equal(steps if ending == "all" else steps[:, -1], whole)
    found = real_outputs(program, {"run": {"y": whole}})["y"]
    assert_close(found, want, {"int8": 0.3, "int16": 0.1, "float32": 1e-5}[precision], f"seed {SEED}")
    if ending != "mean":
        assert program.written == (first, every)


def test_c_says_when_there_is_an_output(tmp_path):
    """step, run, step: a sequence starts its windows anew, and the steps behind it go on with them."""
    layers, (first, every) = NETWORKS["all of them"]
    build, inputs, _ = compiled(tmp_path, layers, "last", "int8")
    program = build.program
    host = Host(program, build.source, build.report["ram_bytes"])
    x = complete(program, to_integers(program, inputs))["x"]
    y = np.zeros(program.outputs[0].frame, np.int8)
    step = lambda t: host._call("step", np.ascontiguousarray(x[0, t % STEPS]), y)  # noqa: E731
    host.reset({})
    wrote = [step(t) for t in range(40)]
    assert [t for t, w in enumerate(wrote) if w] == list(range(first - 1, 40, every))
    host._call("run", x[1], y)
    then = [step(t) for t in range(8)]
    left = every - (STEPS - first) % every
    assert [t for t, w in enumerate(then) if w] == list(range(left - 1, 8, every))


def test_board(tmp_path):
    build, inputs, _ = compiled(tmp_path, NETWORKS["all of them"][0], "all", "int8", target="cortex-m4")
    assert verify(build, Data({"x": inputs["x"][:2]}, None), ("host", "mps2-an386")).passed


def test_what_does_not_stream(tmp_path):
    """Padding behind needs steps that have not come; two rates cannot be added."""

    def why(draw) -> str:
        net = Net(np.random.default_rng(SEED), opset=18)
        net.output(draw(net), "y")
        onnx.save(net.model(), tmp_path / "net.onnx")
        return layer_table(frontends.load(tmp_path / "net.onnx"))["streaming"]

    def behind(net):
        x = net.input("x", 1, CHANNELS, STEPS)
        x = net.fresh("Conv", [x, net.normal(4, CHANNELS, 3)], 1, 4, STEPS, pads=[1, 1])
        return net.recurrent(net.transpose(x, 2, 0, 1), 0, "forward", "none")[0]

    def late(net):
        """The rows that a window reads last and those that a recurrent layer read beside it."""
        x = net.input("x", 1, CHANNELS, STEPS)
        h, _ = net.recurrent(net.transpose(x, 2, 0, 1), 0, "forward", "none")
        x = net.fresh("Conv", [x, net.normal(h.shape[-1], CHANNELS, 2)], 1, h.shape[-1], STEPS - 1)
        cut = [net.constant([v], np.int64) for v in (0, STEPS - 1, 0)]
        h = net.fresh("Slice", [h, *cut], STEPS - 1, *h.shape[1:])
        y = net.fresh("Add", [net.reshape(net.transpose(x, 2, 0, 1), *h.shape), h], *h.shape)
        return net.recurrent(net.reshape(y, STEPS - 1, 1, h.shape[-1]), 1, "forward", "none")[0]

    assert "pads the time axis with 1 steps in front and 1 behind" in why(behind)
    assert why(late).startswith("whole sequences only")
