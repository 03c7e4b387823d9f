"""Files that once broke something, and a few mutants of every kind that hmdc reads.  For more: make fuzz."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KINDS = ["onnx", "pt", "safetensors", "npz", "keras", "h5", "data", "factors", "recipe"]


def fuzz(*arguments) -> None:
    done = subprocess.run([sys.executable, "-m", "tests.fuzz", *map(str, arguments)], cwd=ROOT, capture_output=True,
                          text=True, timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_found():
    fuzz("--replay", "tests/fuzz/found")


@pytest.mark.parametrize("kind", KINDS)
def test_mutants(kind, tmp_path):
    fuzz(kind, "--mutants", 100, "--keep", tmp_path)
