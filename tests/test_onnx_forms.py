"""What exporters and quantizers write, by hand (onnx_forms.py) -> C on the host, against ONNX Runtime."""

import numpy as np
import onnx
import onnx_unrolled  # noqa: F401  registers its forms
import pytest
from networks import assert_close, onnx_runtime, samples
from onnx_forms import FORMS, Form
from onnx_norms import LOOK_ALIKES
from torch_corpus import on_host

import hmdc
from hmdc import HmdcError, frontends
from hmdc.cells import CELLS
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


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if form.cells is not None])
def test_steps_become_layers(name, tmp_path):
    onnx.save(FORMS[name].model(), tmp_path / "m.onnx")
    model = frontends.load(tmp_path / "m.onnx")
    assert tuple(n.op for n in model.nodes if n.op in CELLS) == FORMS[name].cells
    assert not FORMS[name].cells or len(model.nodes) < 20


def test_factors_of_steps_are_kept(tmp_path):
    """Ranks 3 and 2 of 8 by 8; the matrices of the C are the factors."""
    build, *_ = compiled("fastgrnn_low_rank", tmp_path, "int8")
    (cell,) = (n for n in build.model.nodes if n.op == "fastgrnn")
    assert {k: w.shape for k, w in cell.factors.items()} == {
        "w.lowrank.0": (8, 3), "w.lowrank.1": (3, 8), "u.lowrank.0": (8, 2), "u.lowrank.1": (2, 8),
    }  # fmt: skip
    for k in "wu":
        product = cell.weights[f"{k}.lowrank.0"] @ cell.weights[f"{k}.lowrank.1"]
        np.testing.assert_allclose(product, cell.weights[k], atol=1e-12)
    assert [row["structure"] for row in build.report["layers"]] == ["lowrank"]
    assert build.program.entries == ("step", "run")


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_nearly_a_normalization_is_refused(name, tmp_path):
    """Where ONNX Runtime has numbers for it, and another file of the same nodes would be read."""
    proto = Form(LOOK_ALIKES[name], 17).model()
    assert np.isfinite(onnx_runtime(proto, samples(proto, np.random.default_rng(1), 1))["y"]).all()
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(HmdcError, match="^node '") as e:
        frontends.load(tmp_path / "m.onnx")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    "name", ["dynamic", "embedding", "gru_cells", "keras_3_layer_norm", "loop_of_cells", "qdq", "scan_backwards"]
)
def test_damaged_form(name, tmp_path):
    """Flipped bits: read, or one line; no traceback, and no loop without end."""
    blob, rng = FORMS[name].model().SerializeToString(), np.random.default_rng(1)
    for _ in range(60):
        flipped = bytearray(blob)
        for _ in range(rng.integers(1, 4)):
            flipped[rng.integers(len(blob))] ^= 1 << rng.integers(8)
        (tmp_path / "m.onnx").write_bytes(flipped)
        try:
            frontends.load(tmp_path / "m.onnx")
        except HmdcError as e:
            assert "\n" not in str(e) and len(str(e)) < 1100
