"""Packed sequences (sequence_lens): each sequence has a length; C on the host and on boards, against ONNX Runtime."""

import re
from dataclasses import dataclass

import numpy as np
import onnx
import pytest
from networks import GATES, Net, Value, assert_close, onnx_runtime
from onnx import TensorProto, helper
from torch_corpus import on_host

import hmdc
from hmdc import HmdcError, frontends
from hmdc.data import Data, to_integers
from hmdc.reference import evaluate
from hmdc.simulate import simulate
from hmdc.verify import real_outputs, verify

STEPS = 6
LENGTHS = np.array([1, 6, 3, 5, 2, 1, 4, 6])


@dataclass(frozen=True)
class Packed:
    """A stack of layers on one length; constant: a fixed one instead of an input."""

    op: str
    direction: str = "forward"
    layers: int = 1
    constant: int | None = None
    states: bool = False
    reset: int = 0

    def __str__(self) -> str:
        return "-".join(f"{k}{v}" for k, v in vars(self).items() if v)

    def proto(self) -> onnx.ModelProto:
        """y: every step through a dense layer; yh, yc: the final states."""
        net, n, d = Net(np.random.default_rng(3), 14), 5, 2 if self.direction == "bidirectional" else 1
        y = net.input("x", STEPS, 1, 4)
        if self.constant is None:
            net.inputs.append(helper.make_tensor_value_info("lengths", TensorProto.INT64, [1]))
            lengths = net.op("Cast", ["lengths"], "short", 1, to=TensorProto.INT32)
        else:
            lengths = net.constant([self.constant], np.int32)
        for _ in range(self.layers):
            k = GATES[self.op] * n
            weights = [net.normal(d, k, m, spread=0.5) for m in (y.shape[-1], n)] + [net.normal(d, 2 * k, spread=0.3)]
            states = [net.normal(d, 1, n, spread=0.5)] if self.states else []
            outs = [f"{v}{len(net.nodes)}" for v in ("y", "h", "c")][: 3 if self.op == "LSTM" else 2]
            attrs = {"linear_before_reset": 1} if self.reset else {}
            inputs = [v.name for v in (y, *weights, lengths, *states)]
            net.nodes.append(helper.make_node(self.op, inputs, outs, hidden_size=n, direction=self.direction, **attrs))
            side = net.fresh("Transpose", [outs[0]], STEPS, 1, d, n, perm=[0, 2, 1, 3])
            y = net.fresh("Reshape", [side, net.constant([STEPS, 1, -1], np.int64)], STEPS, 1, d * n)
        net.output(net.fresh("MatMul", [y, net.normal(d * n, 2)], STEPS, 1, 2), "head")
        for v in outs[1:]:
            net.output(Value(v, (d, 1, n)), f"{v[0]}n")
        graph = helper.make_graph(net.nodes, "packed", net.inputs, net.outputs, net.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)

    def inputs(self) -> dict[str, np.ndarray]:
        x = np.random.default_rng(1).normal(size=(len(LENGTHS), STEPS, 1, 4))
        return {"x": x.astype(np.float32).astype(np.float64)} | ({} if self.constant else {"lengths": LENGTHS[:, None]})


DIRECTIONS = ("forward", "reverse", "bidirectional")
CASES = [Packed(op, d, reset=r) for op, r in (("LSTM", 0), ("GRU", 0), ("GRU", 1), ("RNN", 0)) for d in DIRECTIONS]
CASES += [Packed("LSTM", "bidirectional", 2), Packed("GRU", "bidirectional", 2, states=True, reset=1)]
CASES += [Packed(op, d, constant=n) for op, d, n in (("LSTM", "bidirectional", 4), ("GRU", "reverse", 1),
                                                     ("RNN", "forward", STEPS), ("LSTM", "forward", 3))]  # fmt: skip
CASES += [Packed("LSTM", "reverse", states=True)]


def compiled(case: Packed, folder, precision: str, **options):
    onnx.save(case.proto(), folder / "m.onnx")
    np.savez(folder / "c.npz", **case.inputs())
    return hmdc.compile(folder / "m.onnx", folder / "out", precision=precision, calibration=folder / "c.npz", **options)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_float_matches_onnx_runtime(case, tmp_path):
    want = onnx_runtime(case.proto(), case.inputs())
    build = compiled(case, tmp_path, "float32")
    ours = evaluate(build.model, case.inputs())
    found = on_host(build, case.inputs())
    for entry in build.program.entries:
        for name, a in real_outputs(build.program, {entry: found[entry]}).items():
            assert_close(ours[name], want[name], 1e-5, f"reference, {name}")
            assert_close(a, want[name], 1e-5, f"{entry}, {name}")


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("precision", ["int8", "int16"])
def test_c_matches_simulator(case, precision, tmp_path):
    build = compiled(case, tmp_path, precision)
    done = verify(build, Data(case.inputs(), None))
    assert done.on["host"]["bit_exact"] is True, [str(d) for d in done.differences]
    assert done.figures["rms_error"] < 0.04
    assert case.constant or build.program.entries == ("run",)


BI = Packed("GRU", "bidirectional", 2, states=True, reset=1)


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_lengths_out_of_range_are_limited(precision, tmp_path):
    """By the C as by the simulator: 0 steps at least, all steps at most; nothing is read or written elsewhere."""
    build = compiled(BI, tmp_path, precision)
    inputs = BI.inputs() | {"lengths": np.array([0, 7, -1, -(2**31), 2**31 - 1, 6, 0, 3])[:, None]}
    done = verify(build, Data(inputs, None))
    assert done.passed, [str(d) for d in done.differences]
    got = on_host(build, inputs)["run"]
    for few, many in ((2, 0), (3, 6)):
        assert (got["hn"][few] == got["hn"][many])[0].all()


def test_samples_of_many_lengths_are_those_of_one(tmp_path):
    program = compiled(BI, tmp_path, "int8").program
    inputs = to_integers(program, BI.inputs())
    whole = simulate(program, inputs)
    for i in range(len(LENGTHS)):
        for name, a in simulate(program, {k: v[i : i + 1] for k, v in inputs.items()}).items():
            assert (a[0] == whole[name][i]).all()


def test_layers_with_other_matrices(tmp_path):
    """Factors, and blocks of steps, which a layer with a length of its own does not take."""
    plain = compiled(BI, tmp_path, "int8", mode="sequence", compress=["gru*.*=lowrank(rank=3)"])
    blocks = compiled(BI, tmp_path, "int8", mode="sequence", compress=["gru*.*=lowrank(rank=3)"], time_block=4)
    assert {row["time_block"] for row in blocks.report["layers"]} == {None}
    for build in (plain, blocks):
        assert verify(build, Data(BI.inputs(), None)).passed
    found = [on_host(b, BI.inputs())["run"] for b in (plain, blocks)]
    assert all((found[0][k] == found[1][k]).all() for k in found[0])


@pytest.mark.parametrize("board", ["mps2-an385", "mps2-an386"])
def test_board(board, tmp_path):
    build = compiled(BI, tmp_path, "int8")
    done = verify(build, Data(BI.inputs(), None), ("host", board))
    assert done.passed and done.on[board]["bit_exact"] is True


def test_first_differing_call_is_found(tmp_path):
    """The copy of the C that logs its calls runs as many as the simulator."""
    build = compiled(BI, tmp_path, "int8")
    text = build.source.read_text()
    build.source.write_text(
        re.sub(r"(m_gru_update\(.*gru2_reverse_h\);)", r"\1\n        s->gru2_reverse_h[0] += 999;", text)
    )
    done = verify(build, Data(BI.inputs(), None))
    assert "gru2_reverse" in done.differences[0].cause


@pytest.mark.parametrize(
    "lengths, says",
    [(0, "integers from 1 to 6 are wanted"), (7, "integers from 1 to 6"), (2.5, "integers from 1 to 6")],
)
def test_data_have_lengths_that_there_are(lengths, says, tmp_path):
    onnx.save(BI.proto(), tmp_path / "m.onnx")
    np.savez(tmp_path / "c.npz", **BI.inputs() | {"lengths": np.full((len(LENGTHS), 1), lengths)})
    with pytest.raises(HmdcError, match=says):
        hmdc.compile(tmp_path / "m.onnx", tmp_path / "out", calibration=tmp_path / "c.npz")


@pytest.mark.parametrize("n", [0, 7])
def test_constant_lengths_that_there_are_not(n, tmp_path):
    onnx.save(Packed("RNN", constant=n).proto(), tmp_path / "m.onnx")
    with pytest.raises(HmdcError, match="one of 1 to 6"):
        frontends.load(tmp_path / "m.onnx")


def test_step_beyond_the_length_is_refused(tmp_path):
    """lengths as an index is one step too far for the whole sequence."""
    proto = Packed("GRU").proto()
    proto.graph.node.append(helper.make_node("Gather", ["head", "short"], ["next"], name="next"))
    proto.graph.output.append(helper.make_tensor_value_info("next", TensorProto.FLOAT, [1, 1, 2]))
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(HmdcError, match="node 'next' .*picks what the data say"):
        frontends.load(tmp_path / "m.onnx")


def test_stream_is_refused(tmp_path):
    with pytest.raises(HmdcError, match="takes the length of its sequence"):
        compiled(Packed("RNN"), tmp_path, "int8", mode="stream")
