"""Files as PyTorch writes them -> C on the host and on a board, against ONNX Runtime's outputs (corpus/README.md)."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from native import link, tool
from networks import assert_close

import hmdc
from hmdc import HmdcError, boards
from hmdc.data import Data, to_integers
from hmdc.host import Host, complete, run_host
from hmdc.intmath import limits
from hmdc.verify import real_outputs, verify

CORPUS = Path(__file__).parent / "corpus" / "torch"
CASES = json.loads((CORPUS / "cases.json").read_text())
EXPECTED = np.load(CORPUS / "expected.npz")
OK = [name for name, case in CASES.items() if case["expect"] == "ok"]
ON_BOARD = ["ts_lstm_last", "dyn_gru_mean_sigmoid", "ts_bilstm_steps", "dyn_gru_stacked_bi", "dyn_gru_residual",
            "ts_gru_stream_stacked", "dyn_lstm_stream_t6", "ts_rnn_relu", "dyn_gru_mlp_softmax"]  # fmt: skip
PRECISIONS = hmdc.compiler.PRECISIONS
BOARD = "mps2-an386"


def arrays(case: str, kind: str) -> dict[str, np.ndarray]:
    head = f"{case}/{kind}/"
    return {k.removeprefix(head): EXPECTED[k].astype(np.float64) for k in EXPECTED if k.startswith(head)}


def compiled(case: str, folder: Path, precision: str = "float32", **options):
    """The build of a corpus model, calibrated with its own samples, into folder/out."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "data.npz", **arrays(case, "in"))
    open_time = any("time" in i["shape"] for i in CASES[case]["inputs"].values())
    options = {"steps": 5 if open_time else None, "calibration": folder / "data.npz"} | options
    return hmdc.compile(CORPUS / f"{case}.onnx", folder / "out", precision=precision, **options)


def on_host(build, inputs: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    return run_host(build.program, build.source, build.report["ram_bytes"], to_integers(build.program, inputs))


def check_float(case: str, folder: Path) -> None:
    build = compiled(case, folder)
    found = on_host(build, arrays(case, "in"))
    want = arrays(case, "out")
    assert [p.name for p in build.program.outputs] == CASES[case]["outputs"] == list(want)
    for entry in build.program.entries:
        for name, a in real_outputs(build.program, {entry: found[entry]}).items():
            assert a.shape == want[name].shape
            assert_close(a, want[name], 1e-5, f"{case}, {entry}, {name}")


@pytest.mark.parametrize("case", OK)
def test_float_c_matches_onnx_runtime(case, tmp_path):
    check_float(case, tmp_path)


@pytest.mark.parametrize("case", OK)
def test_int8_c_matches_simulator(case, tmp_path):
    build = compiled(case, tmp_path, "int8")
    done = verify(build, Data(arrays(case, "in"), None))
    assert done.on["host"]["bit_exact"] is True, [str(d) for d in done.differences]
    assert done.figures["rms_error"] < 0.02


@pytest.mark.parametrize("case", [name for name in CASES if name not in OK])
def test_refused_by_name_or_right(case, tmp_path):
    """What is not promised yet may work; it may not be silently wrong, and a refusal says where and why."""
    try:
        check_float(case, tmp_path)
    except HmdcError as e:
        assert CASES[case]["expect"] in ("refuse", "later")
        assert str(e).startswith("node '") and len(str(e)) > 40 and "\n" not in str(e)
        assert not (tmp_path / "out").exists()
    else:
        assert CASES[case]["expect"] == "later"


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", ON_BOARD)
def test_board(case, precision, tmp_path):
    build = compiled(case, tmp_path, precision)
    done = verify(build, Data(arrays(case, "in"), None), ("host", BOARD))
    assert done.passed, [str(d) for d in done.differences]
    assert [done.on[place]["bit_exact"] for place in ("host", BOARD)] == [None if precision == "float32" else True] * 2


# --- several instances, several models

TWO = """
#include "@A@.h"
#include "@B@.h"
#include "semihost.h"
static @A@_state a1, a2;
static @B@_state b;
int main(void)
{
    const int in = board_open("in.bin", BOARD_READ), out = board_open("out.bin", BOARD_WRITE);
    static @TYPE@ x[3], y[@MOST@];
    @A@_reset(&a1);
    @A@_reset(&a2);
    @B@_reset(&b);
    for (int t = 0; t < 6; t++) {
@STEPS@
    }
    return board_close(out);
}
"""
STEP = """
        if (board_read(in, x, sizeof x) != sizeof x || @P@_step(&@S@, x, y) != 1 ||
            board_write(out, y, @M@_OUTPUT_SIZE * sizeof y[0]) != @M@_OUTPUT_SIZE * sizeof y[0])
            return 3;
"""


@pytest.mark.parametrize("where", ["host", BOARD])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_instances_and_models_keep_apart(precision, where, tmp_path):
    """Two streams of one model and one of another, in turns: each gives what it gives alone."""
    cases = {"a": "ts_lstm_last", "b": "dyn_gru_mlp_softmax"}
    builds = {k: compiled(case, tmp_path / k, precision, name=f"net_{k}") for k, case in cases.items()}
    streams = [("a", "a1"), ("a", "a2"), ("b", "b")]
    raw = {}
    for i, (k, s) in enumerate(streams):
        inputs = {"x": arrays(cases[k], "in")["x"][i % 2 :][:1]}
        raw[s] = complete(builds[k].program, to_integers(builds[k].program, inputs))["x"][0]
    alone = {}
    for k, s in streams:
        build = builds[k]
        host = Host(build.program, build.source, build.report["ram_bytes"])
        alone[s] = host.sample("step", {"x": raw[s]})["y"]
    dtype = raw["a1"].dtype
    fill = {"@A@": "net_a", "@B@": "net_b", "@TYPE@": "float" if dtype == np.float32 else f"{dtype}_t", "@MOST@": "4"}
    steps = "".join(
        STEP.replace("@P@", f"net_{k}").replace("@M@", f"NET_{k.upper()}").replace("@S@", s) for k, s in streams
    )
    main = TWO.replace("@STEPS@", steps)
    for key, text in fill.items():
        main = main.replace(key, text)
    (tmp_path / "main.c").write_text(main)
    (tmp_path / "in.bin").write_bytes(b"".join(raw[s][t].tobytes() for t in range(6) for _, s in streams))
    include = [b.path for b in builds.values()]
    if where == "host":
        tool(link([*(b.source for b in builds.values()), tmp_path / "main.c"], include, tmp_path), cwd=tmp_path)
    else:
        machine, libs = boards.load_boards()[BOARD], ("-lm", "-lc_nano") if precision == "float32" else ()
        harness = [tmp_path / "main.c", builds["b"].source]
        elf = boards.build(machine, harness, builds["a"].source, include, tmp_path, libs=libs)
        boards.execute(machine, elf, tmp_path)
    together = np.fromfile(tmp_path / "out.bin", dtype)
    turns = [alone[s][t] for t in range(6) for _, s in streams]
    if where == "host" or precision != "float32":
        assert np.array_equal(together, np.concatenate(turns))
    else:
        assert_close(together, np.concatenate(turns), 1e-5, where)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", ["dyn_lstm_stream_t6", "ts_gru_mean_sigmoid", "ts_bilstm_steps", "dyn_lstm_last_mean"])
def test_reset_forgets_everything(case, precision, tmp_path):
    """Whatever is in the memory before reset, and whatever ran before, changes nothing."""
    build = compiled(case, tmp_path, precision)
    typed = complete(build.program, to_integers(build.program, arrays(case, "in")))
    host = Host(build.program, build.source, build.report["ram_bytes"])
    bytes_ = host._ffi.buffer(host._state)
    for entry in build.program.entries:
        found = []
        for filling in (b"\x00", b"\xff", b"\x5a"):
            bytes_[:] = filling * len(bytes_)
            found.append(host.sample(entry, {k: a[0] for k, a in typed.items()}))
        host.sample(entry, {k: a[1] for k, a in typed.items()})
        found.append(host.sample(entry, {k: a[0] for k, a in typed.items()}))
        for other in found[1:]:
            assert all(np.array_equal(found[0][name], other[name]) for name in found[0])


# --- the files

COMMON = ["ts_lstm_last", "dyn_gru_stacked_bi", "ts_gru_mean_sigmoid", "dyn_lstm_stream_t6", "dyn_gru_residual"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", COMMON)
def test_same_input_same_bytes(case, precision, tmp_path):
    first, second = (contents(compiled(case, tmp_path / k, precision).path) for k in ("one", "two/deeper"))
    assert first == second and len(first) >= 4
    again = hmdc.load(tmp_path / "one" / "out")
    assert repr(again.program.buffers) == repr(compiled(case, tmp_path / "one", precision).program.buffers)


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
