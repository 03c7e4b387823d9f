"""Figures that are promised before flashing, against what the linked firmware really takes."""

from pathlib import Path

import pytest

import hmdc
from hmdc.bench import bench_board

EXAMPLES = Path(__file__).parents[1] / "examples"
BOARD = "mps2-an386"


@pytest.mark.parametrize("example", ["vowels_gru", "exercises_lstm"])
@pytest.mark.parametrize("precision", ["int8", "int16"])
def test_promised_sizes_hold_on_the_board(example, precision, tmp_path):
    calibration = EXAMPLES / f"{example.split('_')[0]}_calibration.npz"
    build = hmdc.compile(EXAMPLES / f"{example}.onnx", tmp_path / "b", calibration=calibration, precision=precision)
    measured = bench_board(BOARD, build.program, build.source)
    assert build.report["ram_bytes"] == measured["ram_bytes"]
    flash = measured["code_bytes"] + measured["const_bytes"]
    assert flash <= build.report["flash_bytes"] <= flash + 3500  # the compiler may specialize, never bloat, a kernel
    assert measured["stack_bytes"] <= build.report["stack_bytes"] <= measured["stack_bytes"] + 192


def test_measured_instructions_are_repeatable(tmp_path):
    build = hmdc.compile(EXAMPLES / "vowels_gru.onnx", tmp_path / "b", calibration=EXAMPLES / "vowels_calibration.npz")
    first, second = (bench_board(BOARD, build.program, build.source) for _ in range(2))
    assert first == second
    assert first["instructions_per_step"] * 29 > first["instructions_per_sequence"] > first["instructions_per_step"]


def test_layers_add_up(tmp_path):
    build = hmdc.compile(
        EXAMPLES / "exercises_lstm.onnx", tmp_path / "b", calibration=EXAMPLES / "exercises_calibration.npz"
    )
    report = build.report
    multipliers = 4 * (128 + 7)  # one for each row of [w u] of lstm, in one sum here, and of fc
    assert sum(layer["bytes"] for layer in report["layers"]) == report["weights_bytes"] + multipliers
    assert report["ratio"] == report["bytes_ratio"] == 1.0
    assert sum(layer["macs"] for layer in report["layers"]) == report["macs"]
    assert [layer["name"] for layer in report["layers"]] == ["lstm", "fc"]
    assert report["layers"][0]["shape"] == [128, 38]
