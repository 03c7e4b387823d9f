"""Time blocks: the input products of several steps read the weights together, and no bit changes."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from networks import Net, assert_close, random_network, samples
from test_cli import hmdc as cli

import hmdc
from hmdc import HmdcError
from hmdc.data import Data, to_integers
from hmdc.isa import ISAS
from hmdc.simulate import simulate
from hmdc.target import TARGETS
from hmdc.verify import verify

EXAMPLES = Path(__file__).parents[1] / "examples"
LSTM, CALIBRATION = EXAMPLES / "exercises_lstm.onnx", EXAMPLES / "exercises_calibration.npz"
SEEDS = (23, 55, 10, 1, 5, 13, 18)
CASES = [(seed, "int8") for seed in SEEDS] + [(seed, p) for seed in (23, 55, 5) for p in ("int16", "float32")]


class Compiled:
    """One network in one precision, compiled again and again with the same calibration."""

    def __init__(self, proto: onnx.ModelProto, folder: Path, **options):
        self.folder, self.options, self.inputs = folder, options, samples(proto, np.random.default_rng(1), 6)
        onnx.save(proto, folder / "net.onnx")
        np.savez(folder / "data.npz", **self.inputs)

    def build(self, time_block: int | str | None, **options):
        given = {"calibration": self.folder / "data.npz", "mode": "sequence", "time_block": time_block}
        return hmdc.compile(self.folder / "net.onnx", self.folder / f"b{time_block}", **given | self.options | options)

    def outputs(self, time_block, **options) -> dict[str, np.ndarray]:
        program = self.build(time_block, **options).program
        return simulate(program, to_integers(program, self.inputs))

    def verified(self, build, *places: str) -> bool:
        done = verify(build, Data({k: a[:3] for k, a in self.inputs.items()}, None), places)
        return done.passed


def sized(steps: int, inputs: int, hidden: int) -> onnx.ModelProto:
    """A forward LSTM of that size; its newest h is the output."""
    net = Net(np.random.default_rng(3), opset=18)
    net.pick, net.size, net.chance = lambda options: options[0], lambda: hidden, lambda p=0.5: True
    y, final = net.recurrent(net.input("x", steps, 1, inputs), 0, "forward", "none")
    net.output(net.ending(y, final, "last"), "y")
    return net.model()


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray], precision: str) -> None:
    for name, want in b.items():
        if precision == "float32":  # numpy sums in another order; the C does not
            assert_close(a[name], want, 1e-9, name)
        else:
            assert (a[name] == want).all()


@pytest.mark.parametrize(("seed", "precision"), CASES)
def test_no_bit_changes(seed, precision, tmp_path):
    proto, words = random_network(np.random.default_rng(seed))
    print(words)
    net = Compiled(proto, tmp_path, precision=precision)
    one = net.build(1)
    steps = one.program.steps
    want = simulate(one.program, to_integers(one.program, net.inputs))
    for block in sorted({2, 3, 5, steps}) + ["auto"]:
        same(net.outputs(block), want, precision)
    assert net.verified(net.build(3), "host")


def test_networks_cover_everything():
    words = [layer for seed in SEEDS for layer in random_network(np.random.default_rng(seed))[1].split("; ")]
    kinds = ["LSTM", "RNN", "linear_before_reset=0", "linear_before_reset=1", "states=input"]
    for direction in ("forward", "reverse", "bidirectional"):
        assert all(any(w.startswith(direction) and k in w for w in words) for k in kinds)


@pytest.mark.parametrize("isa", ISAS)
def test_every_instruction_set(isa, tmp_path):
    target = next(t.name for t in TARGETS.values() if t.kernels == isa)
    net = Compiled(sized(8, 7, 5), tmp_path, target=target)
    same(net.outputs(5), net.outputs(1), "int8")


def test_as_without(tmp_path, monkeypatch):
    """Where W and U keep their own sums anyway, not even calibration sees a difference."""
    monkeypatch.setattr(hmdc.compiler, "joinable", lambda network, maps: ())
    net = Net(np.random.default_rng(2), opset=18)
    y, _ = net.recurrent(net.input("x", 7, 1, 3), 0, "bidirectional", "none")
    net.output(y, "y")
    compiled = Compiled(net.model(), tmp_path)
    same(compiled.outputs(3), compiled.outputs(None), "int8")


@pytest.mark.parametrize("seed", [55, 10])
def test_on_a_board(seed, tmp_path):
    net = Compiled(random_network(np.random.default_rng(seed))[0], tmp_path)
    assert net.verified(net.build(5), "host", "mps2-an386")


@pytest.mark.parametrize(("recipe", "block"), [("*.w=lowrank(rank=2, stacked=True)", 4), ("*.w=pruned(ratio=2)", None)])
def test_structures(recipe, block, tmp_path):
    """A product takes several vectors, or the report says that it does not."""
    net = Compiled(sized(9, 6, 5), tmp_path, compress=[recipe])
    build = net.build(4)
    assert build.report["time_block"] == 4 and build.report["layers"][0]["time_block"] == block
    same(net.outputs(4), net.outputs(1), "int8")
    assert net.verified(build, "host")


# --- figures


def test_reads_by_hand(tmp_path):
    """7 steps of 6 -> 5: W (20 x 6, and 20 biases of 4 bytes) for 3 + 3 + 1 vectors, U (20 x 5) for each."""
    net = Compiled(sized(7, 6, 5), tmp_path)
    w, u = 20 * 6 + 20 * 4, 20 * 5
    for block, reads in (1, 7), (3, 3), (2, 4), (7, 3), (5, 3):
        dre = net.build(block).report["dre"]
        assert (dre["weights_bytes"], dre["read_bytes_before"], dre["read_bytes"]) == (
            w + u,
            7 * (w + u),
            reads * w + 7 * u,
        )
        assert (dre["before"], dre["after"]) == (7.0, round((reads * w + 7 * u) / (w + u), 4))


def test_auto_is_the_smallest_with_full_reuse(tmp_path):
    net = Compiled(sized(7, 6, 5), tmp_path)
    assert net.build("auto").report["time_block"] == 3  # the vectors of one pass on Cortex-M4
    build = net.build("auto", precision="int16")
    assert build.report["time_block"] == 2
    assert hmdc.load(build.path).report == build.report


def test_budget(tmp_path):
    net = Compiled(sized(7, 6, 5), tmp_path)
    ram = {n: net.build(n).report["ram_bytes"] for n in (1, 2, 3)}
    assert ram[1] < ram[2] < ram[3]
    for budget, block in ((ram[3], 3), (ram[3] - 1, 2), (ram[2] - 1, 1)):
        assert net.build("auto", ram_budget=budget).report["time_block"] == block
    for block in ("auto", 1, 3, None):
        with pytest.raises(HmdcError, match=r"^--ram-budget 20: .* takes? \d+ bytes.*$"):
            net.build(block, ram_budget=20)


def test_sequence_keeps_only_the_newest_state(tmp_path):
    """RAM does not grow with the steps where one h is read."""
    sizes = []
    for steps in (6, 60):
        folder = tmp_path / str(steps)
        folder.mkdir()
        sizes.append(Compiled(sized(steps, 6, 5), folder).build(3).report["ram_bytes"])
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(
    ("block", "mode", "says"),
    [(3, "auto", "add --mode sequence"), ("auto", "stream", "add --mode sequence"), (0, "sequence", "from 1 on"),
     ("x", "sequence", "or auto"), (-1, "sequence", "or auto"), (True, "sequence", "or auto")],
)  # fmt: skip
def test_errors(block, mode, says, tmp_path):
    with pytest.raises(HmdcError, match=f"^--time-block {block}.*{says}.*$"):
        Compiled(sized(3, 2, 2), tmp_path).build(block, mode=mode)
    assert not (tmp_path / f"b{block}").exists()


def test_command(tmp_path):
    given = ["compile", LSTM, "--calibration", CALIBRATION, "-o", tmp_path / "b", "--mode", "sequence"]
    out = cli(*given, "--time-block", "auto", "--ram-budget", 4000)
    assert re.search(r"\ntime blocks of 3: a sequence reads \d+ bytes of weights, \d+ step by step; each .*\n$", out)
    assert json.loads((tmp_path / "b" / "exercises_lstm.json").read_text())["time_block"] == 3
