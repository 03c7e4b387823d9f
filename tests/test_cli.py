"""The commands as users run them, on the bundled examples."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from hmdc.boards import load_boards
from hmdc.cli import main
from hmdc.target import TARGETS

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
MODEL, CALIBRATION = EXAMPLES / "vowels_gru.onnx", EXAMPLES / "vowels_calibration.npz"
TEST = EXAMPLES / "vowels_test.npz"
COMMANDS = ["compile", "verify", "run", "bench", "inspect", "targets", "demo"]
FIGURES = {"float_accuracy", "int_accuracy", "agreement", "max_abs_error", "rms_error", "snr_db"}


def hmdc(*args) -> str:
    """Standard output of a command that works; it prints nothing else."""
    done = CliRunner().invoke(main, list(map(str, args)))
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    return done.stdout


def program(*args, **env) -> subprocess.CompletedProcess:
    """The same as a program of its own."""
    python = [sys.executable, "-c", "from hmdc.cli import main; main()"]
    return subprocess.run([*python, *map(str, args)], capture_output=True, text=True, env=os.environ | env)


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    out = tmp_path_factory.mktemp("build") / "deep" / "vowels"
    done = program("compile", MODEL, "--calibration", CALIBRATION, "-o", out, "--json", out.parent / "r.json")
    assert re.fullmatch(f"{out}/vowels_gru.c: vowels_gru_step and vowels_gru_run; flash .*\n", done.stdout), done
    assert (done.returncode, done.stderr) == (0, "")
    return out


def test_compile(build):
    names = {f"vowels_gru{suffix}" for suffix in (".c", ".h", "_float.h", ".json")}
    assert {p.name for p in build.iterdir()} == names | {".hmdc"}
    report = json.loads((build / "vowels_gru.json").read_text())
    assert report == json.loads((build.parent / "r.json").read_text())
    assert report.keys() >= {"model_sha256", "target", "precision", "flash_bytes", "ram_bytes", "scratch_bytes",
                             "stack_bytes", "weights_bytes", "macs_per_step", "macs", "layers"}  # fmt: skip
    keys = {"name", "op", "structure", "shape", "dense_bytes", "bytes", "ratio", "bytes_ratio", "macs"}
    assert all(layer.keys() >= keys for layer in report["layers"])
    assert {p.name for p in build.parent.iterdir()} == {"vowels", "r.json"}


def test_compile_float(tmp_path):
    out = tmp_path / "f"
    hmdc("compile", MODEL, "-o", out, "--precision", "float32", "--name", "Voice", "--target", "generic")
    assert {p.name for p in out.iterdir()} == {"Voice.c", "Voice.h", "Voice.json", ".hmdc"}
    assert json.loads((out / "Voice.json").read_text())["target"] == "generic"
    hmdc("verify", out, "--data", TEST, "--limit", 20, "--json", tmp_path / "v.json")
    assert json.loads((tmp_path / "v.json").read_text())["bit_exact"] is None


def test_compile_again(tmp_path):
    """The same input gives the same bytes, over an older build."""
    arguments = ("compile", MODEL, "--calibration", CALIBRATION, "-o", tmp_path / "b")
    hmdc(*arguments)
    first = {p: p.read_bytes() for p in (tmp_path / "b").glob("*.*") if p.is_file()}
    hmdc(*arguments)
    assert first == {p: p.read_bytes() for p in (tmp_path / "b").glob("*.*") if p.is_file()}
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_verify(build, tmp_path):
    out = tmp_path / "new" / "v.json"
    text = hmdc("verify", build, "--data", TEST, "--on", "host", "--on", "host", "--json", out)
    found = json.loads(out.read_text())
    assert found.keys() == {"samples", "bit_exact", "on"} | FIGURES and list(found["on"]) == ["host"]
    assert found["samples"] == 370 and found["bit_exact"] is True
    assert found["on"]["host"].keys() == {"bit_exact"} | FIGURES
    assert text.startswith("host: C equals the simulator bit for bit\n") and "accuracy: float" in text


def test_verify_on_board(build, tmp_path):
    hmdc("verify", build, "--data", TEST, "--limit", 3, "--on", "host", "--on", "mps2-an386", "--json", tmp_path / "v")
    found = json.loads((tmp_path / "v").read_text())
    assert found["samples"] == 3 and found["on"]["host"] == found["on"]["mps2-an386"]


def test_verify_without_labels(build, tmp_path):
    np.save(tmp_path / "x.npy", np.load(TEST)["x"][:4])
    hmdc("verify", build, "--data", tmp_path / "x.npy", "--json", tmp_path / "v.json")
    found = json.loads((tmp_path / "v.json").read_text())
    assert found["float_accuracy"] is None and found["int_accuracy"] is None


def test_run(build, tmp_path):
    text = hmdc("run", build, "--data", TEST, "--limit", 5, "-o", tmp_path / "out.npz")
    out = np.load(tmp_path / "out.npz")
    assert text == f"{tmp_path}/out.npz: logits [5, 1, 9], logits.raw [5, 1, 9]\n"
    assert out["logits"].dtype == np.float64 and out["logits.raw"].shape == (5, 1, 9)
    hmdc("run", build, "--data", TEST, "--limit", 5, "-o", tmp_path / "board.npz", "--on", "mps2-an386")
    assert (np.load(tmp_path / "board.npz")["logits.raw"] == out["logits.raw"]).all()


@pytest.mark.parametrize("mode", ["auto", "stream", "sequence"])
def test_bench(tmp_path, mode):
    hmdc("compile", MODEL, "--calibration", CALIBRATION, "-o", tmp_path / "b", "--mode", mode)
    text = hmdc("bench", tmp_path / "b", "--on", "mps2-an386", "--json", tmp_path / "b.json")
    (name, board), = json.loads((tmp_path / "b.json").read_text())["boards"].items()  # fmt: skip
    assert name == "mps2-an386" and name in text and "-mcpu=cortex-m4" in text
    assert board.keys() == {"target", "core", "flags", "gcc", "instructions_per_step", "instructions_per_sequence",
                            "cycles_estimate", "code_bytes", "const_bytes", "ram_bytes", "stack_bytes"}  # fmt: skip
    assert (board["instructions_per_step"] is None) == (mode == "sequence")
    assert (board["instructions_per_sequence"] is None) == (mode == "stream")


def test_inspect(tmp_path):
    text = hmdc("inspect", MODEL, "--json", tmp_path / "i.json")
    assert "inputs: x [1, 29, 12]\noutputs: logits [1, 9]\nsteps: 29; streams" in text
    found = json.loads((tmp_path / "i.json").read_text())
    assert found["steps"] == 29 and {layer["op"] for layer in found["layers"]} >= {"gru", "dense"}


def test_steps_and_shape(tmp_path):
    m = onnx.load(MODEL)
    m.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "time"
    onnx.save(m, tmp_path / "m.onnx")
    for option in (("--steps", 29), ("--input-shape", "x=1x29x12")):
        assert "steps: 29;" in hmdc("inspect", tmp_path / "m.onnx", *option)


def test_targets(tmp_path):
    text = hmdc("targets", "--json", tmp_path / "t.json")
    rows = json.loads((tmp_path / "t.json").read_text())
    assert [row["target"] for row in rows] == list(TARGETS) and all(row["target"] in text for row in rows)
    assert {row["board"] for row in rows} == {None, *load_boards()}  # no board is forgotten
    assert all(f"`{name}`" in (EXAMPLES.parent / page).read_text() for page in ("README.md", "docs/speed.md")
               for name in TARGETS)  # fmt: skip


def test_version_and_help():
    assert hmdc("--version").startswith("hmdc, version ")
    assert hmdc() == hmdc("--help") == hmdc("-h")
    for command in COMMANDS:
        text = hmdc(command, "--help")
        assert f"\n  hmdc {command}" in text and text.startswith(f"Usage: hmdc {command} ")


def test_quiet_and_verbose(build, tmp_path):
    for command in (("inspect", MODEL), ("targets",), ("verify", build, "--data", TEST, "--limit", 2)):
        assert hmdc(*command) and not hmdc(*command, "-q") and not hmdc("--quiet", *command)
    arguments = ("compile", MODEL, "--calibration", CALIBRATION, "-o", tmp_path / "b")
    assert "\nlayers" in hmdc(*arguments, "-v") and "\nlayers" in hmdc("--verbose", *arguments)
    done = program("inspect", "nope.onnx", "-v")
    assert done.returncode == 2 and "Traceback" in done.stderr
    assert done.stderr.endswith("\nhmdc: nope.onnx: no such model file\n")


def test_completion():
    assert "_HMDC_COMPLETE=bash_complete" in program(_HMDC_COMPLETE="bash_source").stdout
    found = program(_HMDC_COMPLETE="bash_complete", COMP_WORDS="hmdc ver", COMP_CWORD="1")
    assert found.stdout == "plain,verify\n"


def test_pipe_closed():
    command = f'{sys.executable} -c "from hmdc.cli import main; main()" --help | true'
    assert subprocess.run(command, shell=True, capture_output=True, text=True).stderr == ""
