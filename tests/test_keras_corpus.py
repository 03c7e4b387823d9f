"""Models as tf2onnx writes them (corpus/README.md): each is right or refused in one line, never silently wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

import hmdc
from hmdc.data import Data, to_integers
from hmdc.errors import HmdcError
from hmdc.verify import execute, to_real, verify, whole

CORPUS = Path(__file__).parent / "corpus" / "keras"
CASES = json.loads((CORPUS / "cases.json").read_text())
EXPECTED = np.load(CORPUS / "expected.npz")


def compiled(case: str, folder: Path, precision: str) -> hmdc.compiler.Build | None:
    """The build, or None where the network is refused; cases.json tells which must not be."""
    np.savez(folder / "data.npz", x=EXPECTED[f"{case}/in/x"])
    try:
        return hmdc.compile(
            CORPUS / f"{case}.onnx", folder / precision, calibration=folder / "data.npz", precision=precision
        )
    except HmdcError as e:
        assert not CASES[case]["works"] and "\n" not in str(e), e
        return None


@pytest.mark.parametrize("case", CASES)
def test_float_is_right_or_refused(case, tmp_path):
    build = compiled(case, tmp_path, "float32")
    if build is None:
        return
    want, (port,) = EXPECTED[f"{case}/out/y"], build.program.outputs
    inputs = to_integers(build.program, {"x": EXPECTED[f"{case}/in/x"]})
    got = to_real(build.program, port.name, whole(build.program, execute(build, "host", inputs))[port.name])
    assert np.abs(got.reshape(want.shape) - want).max() <= 1e-5 * max(1.0, np.abs(want).max())


@pytest.mark.parametrize("case", [name for name, c in CASES.items() if c["works"]])
def test_int8_is_exact_and_close(case, tmp_path):
    build = compiled(case, tmp_path, "int8")
    done = verify(build, Data({"x": EXPECTED[f"{case}/in/x"]}, None), ("host",))
    assert done.passed and done.figures["snr_db"] > 20
