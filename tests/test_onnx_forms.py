"""What exporters and quantizers write, by hand (onnx_forms.py) -> C on the host, against ONNX Runtime."""

import numpy as np
import onnx
import pytest
from networks import assert_close, onnx_runtime, samples
from onnx_forms import FORMS
from torch_corpus import on_host

import hmdc
from hmdc.data import Data
from hmdc.verify import real_outputs, verify


def compiled(name, folder, precision):
    """The build, samples, and ONNX Runtime's outputs of the float model."""
    proto = FORMS[name].model()
    onnx.save(proto, folder / "m.onnx")
    same = FORMS[FORMS[name].same or name].model()
    inputs = samples(same, np.random.default_rng(1), 4)
    np.savez(folder / "c.npz", **inputs)
    build = hmdc.compile(folder / "m.onnx", folder / "out", precision=precision, calibration=folder / "c.npz")
    return build, inputs, onnx_runtime(same, inputs)


@pytest.mark.parametrize("name", FORMS)
def test_float_c_matches_onnx_runtime(name, tmp_path):
    build, inputs, want = compiled(name, tmp_path, "float32")
    found = on_host(build, inputs)
    for entry in build.program.entries:
        for output, a in real_outputs(build.program, {entry: found[entry]}).items():
            assert_close(a, want[output], 1e-5, f"{name}, {entry}, {output}")


@pytest.mark.parametrize("name", FORMS)
def test_int8_c_matches_simulator(name, tmp_path):
    build, inputs, _ = compiled(name, tmp_path, "int8")
    done = verify(build, Data(inputs, None))
    assert done.passed and done.on["host"]["bit_exact"] is True, [str(d) for d in done.differences]
    assert done.figures["rms_error"] < 0.04


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if form.same])
def test_quantized_model_is_near_its_float_model(name):
    """Otherwise the two would not be the same network."""
    plain = FORMS[FORMS[name].same].model()
    inputs = samples(plain, np.random.default_rng(1), 4)
    assert_close(onnx_runtime(FORMS[name].model(), inputs)["y"], onnx_runtime(plain, inputs)["y"], 0.15, name)
