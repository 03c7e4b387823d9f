"""Files as PyTorch writes them -> C on the host and on a board, against ONNX Runtime's outputs (corpus/README.md)."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from native import link, tool
from networks import Net, assert_close, onnx_runtime, samples
from torch_corpus import CASES, PRECISIONS, arrays, compiled, on_host

import hmdc
from hmdc import HmdcError, boards, frontends, recipe
from hmdc.data import Data, to_integers, to_real
from hmdc.host import Host, complete
from hmdc.lower import lower
from hmdc.quantize import observe, quantize, scales
from hmdc.reference import evaluate
from hmdc.simulate import simulate
from hmdc.target import TARGETS
from hmdc.verify import real_outputs, verify

OK = [name for name, case in CASES.items() if case["expect"] == "ok"]
ON_BOARD = ["ts_lstm_last", "dyn_gru_mean_sigmoid", "ts_bilstm_steps", "dyn_gru_stacked_bi", "dyn_gru_residual",
            "ts_gru_stream_stacked", "dyn_lstm_stream_t6", "ts_rnn_relu", "dyn_gru_mlp_softmax",
            "ts_lstm_packed"]  # fmt: skip
BOARD = "mps2-an386"
TARGET = {t.board: t.name for t in reversed(TARGETS.values()) if t.board}  # the C is compiled for the board's core


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


def on_boards() -> list[tuple[str, str, str]]:
    """int8 on every board, the others in turns: each board sees every network, and one at least of each."""
    names = list(TARGET)
    turns = [(case, p, names[(i + j) % len(names)]) for i, case in enumerate(ON_BOARD)
             for j, p in ((0, "int16"), (3, "float32"))]  # fmt: skip
    return [(case, "int8", board) for case in ON_BOARD for board in names] + turns


@pytest.mark.parametrize("case, precision, board", on_boards())
def test_board(case, precision, board, tmp_path):
    build = compiled(case, tmp_path, precision, target=TARGET[board])
    done = verify(build, Data(arrays(case, "in"), None), ("host", board))
    assert done.passed, [str(d) for d in done.differences]
    assert [done.on[place]["bit_exact"] for place in ("host", board)] == [None if precision == "float32" else True] * 2


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


def ports(program) -> tuple[list, list]:
    return [[p for p in side if p.kind == "stream"] for side in (program.inputs, program.outputs)]


def of_gru(folder: Path, steps: int, ending: str) -> Path:
    """The same GRU for any number of steps."""
    net = Net(np.random.default_rng(5), opset=18)
    y, final = net.recurrent(net.input("x", steps, 1, 3), 0, "forward", "none")
    net.output(net.ending(y, final, ending), "y")
    onnx.save(net.model(), folder / f"{ending}{steps}.onnx")
    return folder / f"{ending}{steps}.onnx"


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("ending", ["all", "last", "mean"])
def test_streams_go_on_after_a_sequence(ending, precision, tmp_path):
    """Two runs in a row are one sequence of twice the steps, whose first half the network remembers; so are steps."""
    x = np.random.default_rng(1).normal(size=(1, 10, 1, 3)).astype(np.float32).astype(np.float64)
    np.savez(tmp_path / "data.npz", x=np.concatenate([x[:, :5], x[:, 5:]]))
    build = hmdc.compile(
        of_gru(tmp_path, 5, ending), tmp_path / "out", calibration=tmp_path / "data.npz", precision=precision
    )
    h = evaluate(frontends.load(of_gru(tmp_path, 10, "all")), {"x": x})["y"][0].reshape(2, 5, -1)
    want = {"all": h, "last": h[:, -1:], "mean": h.mean(axis=1, keepdims=True)}[ending]
    host = Host(build.program, build.source, build.report["ram_bytes"])
    halves = [complete(build.program, to_integers(build.program, {"x": a})) for a in (x[:, :5], x[:, 5:])]
    found = []
    for call in (host._run, host._steps):
        host.reset({})
        found.append([])
        for half, expected in zip(halves, want):
            (got,) = call(*ports(build.program), {"x": half["x"][0]}).values()
            found[-1].append(got if ending == "all" else got.reshape(-1, got.shape[-1])[-1:])
            got = to_real(build.program, "y", got[None] if ending == "all" else got.reshape(-1, got.shape[-1])[-1:])
            tolerance = 1e-5 if precision == "float32" else 0.1  # this network amplifies the rounding of its weights
            assert_close(got, expected, tolerance, f"{call.__name__}, {ending}")
    assert all((whole.ravel() == steps.ravel()).all() for whole, steps in zip(*found))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", ["dyn_lstm_stream_t6", "ts_gru_stream_stacked", "dyn_lstm_stream_t1"])
def test_states_carry_over_without_loss(case, precision, tmp_path):
    """What get gives, set takes back elsewhere: the stream goes on with the same bits.  Calibrated without states."""
    given = arrays(case, "in")
    build = compiled(case, tmp_path, precision, calibration=None if precision == "float32" else only_x(given, tmp_path))
    program = build.program
    typed = complete(program, to_integers(program, given))
    stay, move = (Host(program, build.source, build.report["ram_bytes"]) for _ in range(2))
    first, second = ({k: a[i] for k, a in typed.items()} for i in (0, 1))
    got = stay.sample("run", first)
    move.sample("run", second)
    states = {"h0": "hn", "c0": "cn"}
    move.reset({k: got[states[k]] for k in given if k in states})
    assert all(
        np.array_equal(a, move._run(*ports(program), second)[k]) for k, a in stay._run(*ports(program), second).items()
    )


def only_x(given: dict[str, np.ndarray], folder: Path) -> Path:
    np.savez(folder / "x.npz", x=given["x"])
    return folder / "x.npz"


def test_large_floats_are_not_cut(tmp_path):
    net = Net(np.random.default_rng(2), opset=18)
    y, final = net.recurrent(net.input("x", 3, 1, 4), 0, "forward", "none")
    net.output(net.fresh("MatMul", [y, net.normal(y.shape[-1], 6, spread=1e6)], 3, 1, 6), "y")
    onnx.save(net.model(), tmp_path / "large.onnx")
    build = hmdc.compile(tmp_path / "large.onnx", tmp_path / "out", precision="float32")
    inputs = samples(net.model(), np.random.default_rng(3), 4)
    want = onnx_runtime(net.model(), inputs)["y"]
    assert want.min() < -1e5 and want.max() > 1e5
    assert_close(real_outputs(build.program, on_host(build, inputs))["y"], want, 1e-5, "large outputs")


def test_fine_values_after_coarse_sums(tmp_path):
    """A large input without weights decides the steps of x, and inputs that stay zero those of the weights."""
    rng, features, count = np.random.default_rng(4), 1000, 64
    net, seen = Net(rng, opset=18), rng.normal(size=(2, features))
    seen[:, 0], seen[:, 500:] = 0, seen[:, 500:] / 16
    weights = net.constant((rng.normal(size=(6, 2)) @ seen).T)
    net.output(net.fresh("MatMul", [net.input("x", 1, features), weights], 1, 6), "y")
    onnx.save(net.model(), tmp_path / "sparse.onnx")
    x = np.zeros((count, 1, features), np.float32)
    x[np.arange(count), 0, rng.integers(500, features, count)] = 1.0
    x[:, 0, 0] = 255.0 * rng.integers(0, 2, count)
    model = frontends.load(tmp_path / "sparse.onnx")
    program = lower(model, recipe.decompose(recipe.assign(model, recipe.read(["fc=lowrank(rank=2)"]), {}), {}), "int8")
    inner = scales(program, observe(program, {"x": x}))
    integers = quantize(program, inner)
    assert integers.buffers["fc.t1"].scale > inner["fc.t1"][0]
    got = simulate(integers, to_integers(integers, {"x": x}))
    want = evaluate(model, {"x": x})["y"]
    assert (
        np.sqrt(np.mean((to_real(integers, "y", got["y"]) - want) ** 2)) < 0.2 * want.std()
    )  # weights near 1/16, steps of 3/127
