"""Speed and size are tests: figures.json holds what small networks take on every board, each for the board's own core.

A change of more than 1 % fails, for the better too: `make accept-figures` rewrites the file, which shows the change in
the diff.  Instructions are exact (QEMU counts them), so only hmdc and the compiler can move a figure; with another
compiler than the file was made with nothing can be said, and the tests are skipped.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from networks import assert_close, onnx_runtime

import hmdc
from hmdc import bench, compiler
from hmdc.boards import gcc_version, load_boards
from hmdc.data import Data
from hmdc.reference import evaluate
from hmdc.target import TARGETS
from hmdc.verify import verify

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).parent / "figures.json"
ACCEPT = "make accept-figures (HMDC_ACCEPT_FIGURES=1 python -m pytest tests/test_figures.py)"
TOLERANCE = 0.01
KEYS = ("instructions_per_step", "code_bytes", "const_bytes", "ram_bytes", "stack_bytes")
NETWORKS = {  # name -> model of examples/ and recipes
    "vowels": ("vowels_gru", ()),
    "exercises": ("exercises_lstm", ()),
    "exercises, hmd": ("exercises_lstm", ("hmd(ratio=2)",)),
}


@pytest.fixture(scope="module")
def builds(tmp_path_factory) -> dict[str, compiler.Build]:
    out = {}
    for name, (model, recipes) in NETWORKS.items():
        data = ROOT / "examples" / f"{model.split('_')[0]}_calibration.npz"
        folder = tmp_path_factory.mktemp("figures") / "b"
        out[name] = hmdc.compile(ROOT / "examples" / f"{model}.onnx", folder, calibration=data, compress=recipes)
    return out


@pytest.mark.parametrize("board", load_boards())
def test_figures_are_as_committed(board, builds, tmp_path):
    recorded = json.loads(FILE.read_text()) if FILE.exists() else {"gcc": gcc_version(), "boards": {}}
    accept = bool(os.environ.get("HMDC_ACCEPT_FIGURES"))
    if not accept and gcc_version() != recorded["gcc"]:
        pytest.skip(f"figures.json is of arm-none-eabi-gcc {recorded['gcc']}, this is {gcc_version()}: {ACCEPT}")
    target = next(t.name for t in TARGETS.values() if t.board == board)
    found = {}
    for name, build in builds.items():
        own = compiler.retarget(build, target, tmp_path / "own")
        figures = bench.bench_board(board, own.program, own.source)
        found[name] = {key: figures[key] for key in KEYS}
    if accept:
        boards = recorded["boards"] | {board: found}
        content = {"gcc": gcc_version(), "boards": dict(sorted(boards.items()))}
        FILE.write_text(json.dumps(content, indent=1) + "\n")
    if not accept and (lines := changes(recorded["boards"].get(board, {}), found)):
        pytest.fail("\n".join([f"{board}: figures changed", *lines, f"if that is meant: {ACCEPT}"]), pytrace=False)


def changes(old: dict[str, dict], new: dict[str, dict]) -> list[str]:
    """A line for each figure that moved by more than the tolerance, and for each that is not in both."""
    was, now = ({(n, k): v for n, figures in table.items() for k, v in figures.items()} for table in (old, new))
    return [
        f"  {', '.join(key)}: {was.get(key, 'none')} -> {now.get(key, 'none')}"
        for key in sorted(was.keys() | now.keys())
        if key not in was or key not in now or abs(now[key] - was[key]) > TOLERANCE * was[key]
    ]


def test_changes():
    old = {"a": {"code": 1000, "ram": 0}, "b": {"code": 1}}
    assert not changes(old, old) and not changes({"a": {"code": 1000}}, {"a": {"code": 1010}})
    new = {"a": {"code": 989, "ram": 4}}
    assert changes(old, new) == ["  a, code: 1000 -> 989", "  a, ram: 0 -> 4", "  b, code: 1 -> none"]


def benchmark_networks():
    path = ROOT / "benchmarks" / "networks.py"
    spec = importlib.util.spec_from_file_location("benchmark_networks", path)  # tests has a networks.py of its own
    networks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(networks)
    return networks


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_random_networks_of_the_benchmarks(cell, tmp_path):
    """The same seed gives the same network, and hmdc compiles it."""
    networks = benchmark_networks()
    (one, x), (same, _), (other, _) = (networks.recurrent(cell, 3, 5, seed) for seed in (0, 0, 1))
    assert one == same != other and x.shape == (networks.SAMPLES, networks.STEPS, 1, 3)
    model, calibration = networks.save(tmp_path, cell, 3, 5)
    build = hmdc.compile(model, tmp_path / "b", calibration=calibration)
    assert build.model.nodes[0].op == cell and build.model.nodes[0].attrs["hidden"] == 5
    assert np.isclose(build.report["macs_per_step"], networks.GATES[cell] * 5 * (3 + 5))


@pytest.mark.parametrize(("name", "sizes", "recipes"), [
    ("bilstm", {"steps": 6, "inputs": 5, "hidden": 7}, ["lstm*=hmd(ratio=2)"]),
    ("deep_conv_lstm", {"steps": 20, "sensors": 3, "filters": 4, "hidden": 6}, []),
    ("deep_conv_lstm", {"steps": 20, "sensors": 3, "filters": 4, "hidden": 6},
     ["lstm*=kronecker(ratio=2)", "conv[234]=lowrank(ratio=2)"]),
])  # fmt: skip
def test_activity_networks(name, sizes, recipes, tmp_path):
    """HAR1 and HAR2 of docs/speed.md, small: ONNX Runtime agrees with the float network, the board with the C."""
    proto, samples = getattr(benchmark_networks(), name)(**sizes)
    data = {"x": samples.astype(np.float64)}
    onnx.save(proto, tmp_path / "net.onnx")
    np.savez(tmp_path / "x.npz", **data)
    build = hmdc.compile(tmp_path / "net.onnx", tmp_path / "b", calibration=tmp_path / "x.npz", target="cortex-m7",
                         compress=recipes)  # fmt: skip
    y = evaluate(build.model, data)["y"]
    assert_close(y, onnx_runtime(proto, data)["y"], 1e-5, name)
    done = verify(build, Data(data, None).first(3), ("host", "mps2-an500"))
    assert done.passed and (recipes or done.figures["snr_db"] > 30), done.figures


def benchmark(name: str, *arguments) -> list[str]:
    command = [sys.executable, ROOT / "benchmarks" / name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_benchmark_of_structures():
    vowels = ROOT / "examples" / "vowels"
    files = (f"{vowels}_gru.onnx", "--calibration", f"{vowels}_calibration.npz", "--data", f"{vowels}_test.npz")
    _, _, row = benchmark("structures.py", *files, "--only", "dense")
    assert row.startswith("| dense | 1 | ") and float(row.split("|")[-2]) > 0.95  # accuracy


def test_benchmark_of_speed():
    """Of the row with the fewest instructions; nothing is written."""
    row, end = benchmark("speed.py", "--only", "mps3-an547 LSTM 28->40")
    assert "CMSIS-NN 17267  ratio 0." in row and row.endswith("held") and end.startswith("1 rows, ")
