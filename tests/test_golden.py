"""The generated C of a few small networks, committed: a reviewer sees what a change does to the output.

`make accept-golden` rewrites the files; read the diff before committing it.
"""

import os
from pathlib import Path

import numpy as np
import pytest

import hmdc

CORPUS = Path(__file__).parent / "corpus" / "torch"
GOLDEN = Path(__file__).parent / "golden"
CASES = {
    "lstm_last": ("ts_lstm_last", "int8"),  # streams
    "gru_mean": ("ts_gru_mean_sigmoid", "int8"),  # writes its output once per sequence
    "bilstm_steps": ("ts_bilstm_steps", "int8"),  # whole sequences only
    "lstm_states": ("dyn_lstm_stream_t6", "int8"),  # states are graph inputs and outputs
    "rnn_float": ("ts_rnn_tanh", "float32"),
}


@pytest.mark.parametrize("name", CASES)
def test_generated_files_are_as_committed(name, tmp_path):
    model, precision = CASES[name]
    network = hmdc.frontends.load(CORPUS / f"{model}.onnx")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", **{k: rng.normal(size=(8, *shape)) for k, shape in network.inputs.items()})
    build = hmdc.compile(
        CORPUS / f"{model}.onnx", tmp_path / "out", name=name, precision=precision, calibration=tmp_path / "data.npz"
    )
    for path in sorted(p for p in build.path.iterdir() if p.is_file()):
        golden = GOLDEN / path.name
        if os.environ.get("HMDC_ACCEPT_GOLDEN"):
            GOLDEN.mkdir(exist_ok=True)
            golden.write_bytes(path.read_bytes())
        assert path.read_text() == golden.read_text(), f"{path.name} changed; if that is meant: make accept-golden"
