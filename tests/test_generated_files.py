"""What compile writes: the same bytes everywhere, headers that C++ takes, the entries of each mode."""

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from native import tool
from networks import assert_close
from torch_corpus import CORPUS, PRECISIONS, arrays, compiled, on_host

import hmdc
from hmdc import HmdcError
from hmdc.intmath import limits
from hmdc.verify import real_outputs

COMMON = ["ts_lstm_last", "dyn_gru_stacked_bi", "ts_gru_mean_sigmoid", "dyn_lstm_stream_t6", "dyn_gru_residual"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


OTHER_PROCESS = """
import hmdc, json, sys
for call in json.loads(sys.argv[1]):
    hmdc.compile(**call)
"""


def test_same_input_same_bytes(tmp_path):
    """Another folder, another process, another order of sets and dictionaries of strings."""
    calls, builds = [], []
    for case, precision in product(COMMON, PRECISIONS):
        there, one = tmp_path / "there" / case / precision, tmp_path / case / precision
        builds.append((compiled(case, one, precision), there))
        calls.append({"model": str(CORPUS / f"{case}.onnx"), "out": str(there), "precision": precision,
                      "calibration": str(one / "data.npz")})  # fmt: skip
    other = {**os.environ, "PYTHONHASHSEED": "12345", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", OTHER_PROCESS, json.dumps(calls)], env=other, check=True)
    for build, there in builds:
        first, second = contents(build.path), contents(there)
        assert list(first) == list(second) and len(first) >= 4
        assert not [(there, name) for name in first if first[name] != second[name]]
        assert repr(hmdc.load(there).program.buffers) == repr(build.program.buffers)


CPP = """
#include "net.h"
@FLOAT@
#include <cstdio>
static net_state state;
int main() {
    static @TYPE@ x[NET_INPUT_SIZE * NET_STEPS];
    static @TYPE@ y[NET_OUTPUT_SIZE * NET_STEPS];
    net_reset(&state);
    net_@ENTRY@(&state, x, y);
    @CONVERT@
    return sizeof state == NET_RAM_BYTES && NET_SCRATCH_BYTES <= NET_RAM_BYTES ? 0 : 1;
}
"""
CONVERT = """for (long q = @LO@ - 5; q <= @HI@ + 5; q++) {
        const float v = ((float)(q - NET_INPUT_ZERO_POINT) + 0.25f) * NET_INPUT_SCALE;
        const @TYPE@ all = (@TYPE@)(q < @LO@ ? @LO@ : q > @HI@ ? @HI@ : q);
        std::printf("%d %.9g\\n", net_quantize_x(v), (double)net_dequantize_y(all));
    }"""


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", ["ts_lstm_last", "dyn_gru_stacked_bi", "ts_gru_mean_sigmoid", "dyn_gru_mlp_softmax"])
def test_header_is_cpp_and_converts(case, precision, tmp_path):
    build = compiled(case, tmp_path, precision, name="net")
    integer = precision != "float32"
    bits = {"int8": 8, "int16": 16}.get(precision, 0)
    lo, hi = limits(bits) if bits else (0, 0)
    fill = {"ENTRY": build.program.entries[0], "TYPE": f"{precision}_t" if integer else "float", "LO": lo, "HI": hi,
            "FLOAT": '#include "net_float.h"' if integer else "", "CONVERT": CONVERT if integer else ""}  # fmt: skip
    text = CPP
    for key, value in reversed(fill.items()):  # the last ones hold the first
        text = text.replace(f"@{key}@", str(value))
    (tmp_path / "main.cpp").write_text(text)
    strict = ["-Wall", "-Wextra", "-pedantic", "-Werror"]
    tool("gcc", "-std=c99", *strict, "-c", build.source, "-o", "net.o", cwd=tmp_path)
    tool("g++", "-std=c++11", *strict, f"-I{build.path}", "main.cpp", "net.o", "-lm", "-o", "main", cwd=tmp_path)
    done = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    if integer:
        (x,), (y,) = (
            [build.program.buffers[p.buf] for p in ports] for ports in (build.program.inputs, build.program.outputs)
        )
        every = np.arange(lo - 5, hi + 6)
        got = np.array([line.split() for line in done.stdout.splitlines()], float)
        assert np.array_equal(got[:, 0], x.quantize((every - x.zero + 0.25) * x.scale))
        assert_close(got[:, 1] / y.scale, np.clip(every, lo, hi) - y.zero, 1e-6, "dequantize")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", ["ts_lstm_last", "dyn_lstm_stream_t6", "ts_gru_mean_sigmoid", "dyn_lstm_flatten"])
def test_modes_offer_their_entries_and_equal_bits(case, precision, tmp_path):
    streams = case != "dyn_lstm_flatten"
    found = {}
    for mode, entries in (("auto", ("step", "run")), ("sequence", ("run",)), ("stream", ("step",))):
        if mode == "stream" and not streams:
            with pytest.raises(HmdcError, match="--mode stream is impossible: .*; use --mode sequence"):
                compiled(case, tmp_path / mode, precision, mode=mode)
            continue
        build = compiled(case, tmp_path / mode, precision, mode=mode)
        assert build.program.entries == (entries if streams else ("run",))
        header = (build.path / f"{build.name}.h").read_text()
        assert [f"{build.name}_{e}(" in header for e in ("step", "run")] == [
            e in build.program.entries for e in ("step", "run")
        ]
        found[mode] = real_outputs(build.program, on_host(build, arrays(case, "in")))
    assert all(np.array_equal(a, found["auto"][name]) for out in found.values() for name, a in out.items())
