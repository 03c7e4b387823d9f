"""Files as PyTorch writes them -> C on the host and on a board, against ONNX Runtime's outputs (see corpus/README.md)."""

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
from hmdc.verify import real_outputs, verify

CORPUS = Path(__file__).parent / "corpus" / "torch"
CASES = json.loads((CORPUS / "cases.json").read_text())
EXPECTED = np.load(CORPUS / "expected.npz")
OK = [name for name, case in CASES.items() if case["expect"] == "ok"]
ON_BOARD = ["ts_lstm_last", "dyn_gru_mean_sigmoid", "ts_bilstm_steps", "dyn_gru_stacked_bi", "ts_gru_stream_stacked",
            "dyn_lstm_stream_t6", "ts_rnn_relu", "dyn_gru_mlp_softmax", "dyn_lstm_flatten", "dyn_gru_residual"]  # fmt: skip
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
#include "@N@.h"
@FLOAT@
static @N@_state state;
int main() {
    static @IN@ x[@M@_INPUT_SIZE * @M@_STEPS];
    static @OUT@ y[@M@_OUTPUT_SIZE * @M@_STEPS];
    @SET@
    @N@_reset(&state);
    @N@_@ENTRY@(&state, x, y);
    return sizeof state == @M@_RAM_BYTES && @M@_SCRATCH_BYTES <= @M@_RAM_BYTES ? 0 : 1;
}
"""


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", ["ts_lstm_last", "dyn_gru_stacked_bi", "ts_gru_mean_sigmoid", "dyn_gru_mlp_softmax"])
def test_header_is_cpp(case, precision, tmp_path):
    build = compiled(case, tmp_path, precision, name="net")
    integer = precision != "float32"
    element = f"{precision}_t" if integer else "float"
    text = CPP.replace("@FLOAT@", '#include "net_float.h"' if integer else "").replace("@N@", "net")
    text = text.replace("@M@", "NET").replace("@IN@", element).replace("@OUT@", element)
    text = text.replace("@ENTRY@", build.program.entries[0])
    convert = "x[0] = net_quantize_x(0.5f); if (!(net_dequantize_y(y[0]) < 1e9f)) return 2;" if integer else ""
    (tmp_path / "main.cpp").write_text(text.replace("@SET@", convert))
    strict = ["-Wall", "-Wextra", "-pedantic", "-Werror"]
    tool("gcc", "-std=c99", *strict, "-c", build.source, "-o", "net.o", cwd=tmp_path)
    tool("g++", "-std=c++11", *strict, f"-I{build.path}", "main.cpp", "net.o", "-lm", "-o", "main", cwd=tmp_path)
    assert subprocess.run([tmp_path / "main"]).returncode == 0
