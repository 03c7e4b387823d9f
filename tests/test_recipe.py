"""Recipes, factor files and the shapes of the papers."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from test_structures import network, samples

import hmdc
from hmdc import recipe
from hmdc.cli import main
from hmdc.compiler import load
from hmdc.data import Data, to_integers, to_real
from hmdc.linear import STRUCTURES
from hmdc.model import Model, Node
from hmdc.reference import evaluate
from hmdc.savings import savings
from hmdc.simulate import simulate
from hmdc.verify import execute, verify

LSTM = network("lstm", 10, 24, 3)


def chosen(*texts: str, model: Model = LSTM) -> dict[str, str]:
    return {k: a.structure for k, a in recipe.assign(model, recipe.read(texts), {}).items()}


def test_patterns_and_order():
    assert chosen() == {"rec.w": "dense", "rec.u": "dense", "fc": "dense"}
    assert chosen("hmd(ratio=2)") == {"rec.wu": "hmd", "fc": "dense"}
    assert chosen("rec=hmd(ratio=2)", "rec.u=lowrank(rank=2)") == {"rec.w": "dense", "rec.u": "lowrank", "fc": "dense"}
    assert chosen("rec.[wu]=lowrank(rank=2)", "fc=pruned(density=.5)") == {
        "rec.w": "lowrank", "rec.u": "lowrank", "fc": "pruned"}  # fmt: skip
    assert chosen("*=lowrank(rank=2)") == {"rec.wu": "lowrank", "fc": "lowrank"}
    assert chosen("hmd(ratio=2)", "rec.wu=dense") == {"rec.w": "dense", "rec.u": "dense", "fc": "dense"}


def test_recipe_file(tmp_path):
    file = tmp_path / "r.toml"
    file.write_text('[[compress]]\npattern = "rec.wu"\nstructure = "kronecker"\nleft = [6, 2]\n')
    assert chosen(f"@{file}") == {"rec.wu": "kronecker", "fc": "dense"}


@pytest.mark.parametrize(
    "text, answer",
    [
        ("kronecker(ratio=16", "write"),
        ("lstm=kron(ratio=2)", "no structure 'kron'; known are dense, lowrank"),
        ("rec=lowrank(rnk=2)", "rnk"),
        ("rec=lowrank(rank=__import__('os'))", "numbers and tuples"),
        ("rec=lowrank(3)", "name=value"),
        ("nope=lowrank(rank=2)", "matches no matrix; there are rec.w, rec.u, rec.wu, fc"),
        ("rec=lowrank(rank=99)", "rec.wu is 24x34: .*99"),
        ("rec=kronecker(left=(5, 2))", "5"),
        ("rec=lowrank(ratio=10000)", "nearest possible"),
        ("rec=lowrank(ratio=0.5)", "ratio=0.5"),
        ("rec=lowrank(" + "(" * 400, "recipe"),
        ("@nowhere.toml", "nowhere.toml"),
    ],
)
def test_impossible_recipes_get_one_helpful_line(text, answer):
    with pytest.raises(hmdc.HmdcError) as e:
        recipe.apply(LSTM, [text])
    assert re.search(answer, str(e.value)), str(e.value)


def test_stacked_gru_is_refused_with_the_reason():
    for kind in ("gru0", "gru1"):
        with pytest.raises(hmdc.HmdcError, match="candidate gate reads"):
            recipe.apply(network(kind, 4, 6, 2), ["rec.wu=hierarchical_tucker(rank=2, stacked=True)"])


@pytest.mark.parametrize("structure", [s for s in STRUCTURES if s != "dense"])
def test_trained_factors_are_used_exactly(structure, tmp_path):
    """A network whose matrix has the structure: its factors, and a recipe on its dense matrices, both rebuild it."""
    assigned = recipe.assign(LSTM, [recipe.parse(f"rec={structure}(ratio=1.5)")], {})
    maps = recipe.decompose(assigned, {})
    factors = recipe.factors(assigned, maps)
    w, u = np.split(maps["rec.wu"].dense(), [10], axis=1)
    cell = LSTM.nodes[0]
    cell = Node(cell.op, cell.name, cell.inputs, cell.outputs, cell.attrs, cell.weights | {"w": w, "u": u})
    trained = Model(LSTM.inputs, [cell, *LSTM.nodes[1:]], LSTM.outputs, LSTM.shapes, LSTM.steps, LSTM.sha256, "net")
    data = samples(trained, 20)
    np.savez(tmp_path / "d.npz", **data)
    np.savez(tmp_path / "f.npz", **factors)
    want = evaluate(trained, data)["y"]
    snr, size = {}, {}
    ways = {"dense": {}, "factors": {"factors": tmp_path / "f.npz"}}
    for how, options in (ways | {"recipe": {"compress": [f"rec={structure}(ratio=1.5)"]}}).items():
        build = hmdc.compile(trained, tmp_path / how, name="net", calibration=tmp_path / "d.npz", **options)
        program = load(build.path).program
        got = to_real(program, "y", simulate(program, to_integers(program, data))["y"])
        snr[how] = 10 * np.log10((want**2).sum() / ((got - want) ** 2).sum())
        size[how] = build.report["layers"][0]["matrices"][0]["parameters"]
    # terms that were fitted to a random matrix partly cancel, and int8 pays for that; trained ones need not
    least = 10 if structure == "block_term" else 20
    assert min(snr.values()) > least
    if structure not in ("tensor_ring", "block_term"):  # their factors are not unique, nor always found again
        assert size["recipe"] == size["factors"] == maps["rec.wu"].parameters()


def test_factor_files_that_fit_nothing(tmp_path):
    np.savez(tmp_path / "d.npz", **samples(LSTM, 4))
    for name, answer in {
        "rec.wu.i.kron.0": "i", "other.kron.0": "belongs to no matrix", "rec.wu.i.magic.0": "belongs to no matrix",
    }.items():  # fmt: skip
        np.savez(tmp_path / "f.npz", **{name: np.ones((2, 2))})
        with pytest.raises(hmdc.HmdcError, match=answer):
            hmdc.compile(LSTM, tmp_path / "b", calibration=tmp_path / "d.npz", factors=tmp_path / "f.npz")
    (tmp_path / "f.npz").write_text("no zip")
    with pytest.raises(hmdc.HmdcError, match="readable"):
        hmdc.compile(LSTM, tmp_path / "b", calibration=tmp_path / "d.npz", factors=tmp_path / "f.npz")


# network: (kind, inputs, hidden, factors, MACs per gate, bytes per gate); anchors: arXiv 1906.02876
PAPERS = {
    "MNIST-LSTM": ("lstm", 28, 40, "8x4 (x) 5x17", 500, 117),
    "KWS-LSTM": ("lstm", 10, 118, "59x8 (x) 2x16", 1200, 504),
    "KWS-GRU": ("gru0", 10, 154, "14x4 (x) 11x41", 2420, 507),
    "USPS-RNN": ("rnn", 16, 32, "8x6 (x) 4x8", 384, 80),
}


@pytest.mark.parametrize("name", PAPERS)
def test_kronecker_table_of_the_paper(name):
    kind, n_in, n, form, macs, size = PAPERS[name]
    model = network(kind, n_in, n, 2)
    gates = len(recipe.assign(model, [], {})["rec.w"].gates)
    rows = [r for r in savings(model, ratios=()) if r["matrix"] == "rec.wu" and r["structure"] == "kronecker"]
    assert rows[0]["form"].startswith(form)
    assert (rows[0]["macs"], rows[0]["bytes"], rows[0]["parameters"]) == (gates * macs, gates * size, gates * size)


def test_structures_that_cost_more_than_dense_are_a_warning(tmp_path):
    model = network("lstm", 4, 6, 2)
    np.savez(tmp_path / "d.npz", **samples(model, 4))
    build = hmdc.compile(model, tmp_path / "b", calibration=tmp_path / "d.npz", compress=["rec=lowrank(rank=6)"])
    matrix = build.report["layers"][0]["matrices"][0]
    assert matrix["macs"] > matrix["dense_macs"]


def test_compress_table_on_the_command_line(tmp_path):
    examples = hmdc.paths.EXAMPLES
    done = CliRunner().invoke(
        main, ["inspect", str(examples / "exercises_lstm.onnx"), "--compress-table", "--json", str(tmp_path / "t.json")]
    )
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "t.json").read_text())["compress"]
    assert {r["structure"] for r in rows} == set(STRUCTURES)
    assert {"lstm.w", "lstm.u", "lstm.wu", "fc"} == {r["matrix"] for r in rows}
    assert all(0 <= r["kept"] <= 1.0001 and r["ratio"] >= 1 for r in rows)


def test_fdht_with_57600_inputs_fits_a_cortex_m7(tmp_path):
    """arXiv 2104.05758: all gates of [W U] as one hierarchical Tucker map; the dense matrix would have 59 M entries."""
    hidden, inputs, steps, rng = 256, 57600, 2, np.random.default_rng(0)
    print("seed 0")
    shapes = STRUCTURES["hierarchical_tucker"].shapes((4, 8, 8, 4), (12, 15, 17, 19), 5)
    np.savez(tmp_path / "f.npz", **{f"lstm.wu.ht.{k}": 0.35 * rng.normal(size=s) for k, s in shapes.items()})
    nothing = lambda *shape: np.broadcast_to(0.0, shape)  # takes no memory; the factors replace it
    weights = {"w": nothing(4 * hidden, inputs), "u": nothing(4 * hidden, hidden), "bw": nothing(4 * hidden)}
    cell = Node("lstm", "lstm", ("x", "", ""), ("", "h", "c"), {"hidden": hidden, "reverse": False},
                weights | {"bu": rng.normal(size=4 * hidden)})  # fmt: skip
    shape = {"x": (steps, 1, inputs), "h": (1, 1, hidden), "c": (1, 1, hidden)}
    model = Model({"x": shape["x"]}, [cell], ["h"], shape, steps, "0" * 64, "video")
    np.savez(tmp_path / "d.npz", x=rng.random((3, steps, inputs)))
    build = hmdc.compile(model, tmp_path / "b", calibration=tmp_path / "d.npz", factors=tmp_path / "f.npz")
    assert 2000 < build.report["layers"][0]["matrices"][0]["parameters"] < 6000
    assert build.report["ram_bytes"] <= 512 * 1024
    inputs = to_integers(build.program, {"x": np.load(tmp_path / "d.npz")["x"][:2]})
    want = simulate(build.program, inputs)["h"]
    assert len(np.unique(want)) > 20
    for place in ("host", "mps2-an500"):
        assert (execute(build, place, inputs)["run"]["h"] == want).all()


def test_hidden_units_move_only_when_all_readers_follow(tmp_path):
    """HMD chooses its rich units; the float network stays the same."""
    data = samples(LSTM, 5)
    assigned = recipe.assign(LSTM, [recipe.parse("rec=hmd(ratio=2)")], {})
    moved, assigned = recipe.reorder(LSTM, assigned)
    assert not np.array_equal(moved.nodes[0].weights["w"], LSTM.nodes[0].weights["w"])
    assert np.allclose(evaluate(moved, data)["y"], evaluate(LSTM, data)["y"], rtol=0, atol=1e-12)
    error = lambda m, a: (
        (recipe.matrix(a["rec.wu"].node, "rec.wu") - recipe.decompose(a, {})["rec.wu"].dense()) ** 2
    ).sum()
    assert error(moved, assigned) < error(LSTM, recipe.assign(LSTM, [recipe.parse("rec=hmd(ratio=2)")], {}))
    seen = Model(LSTM.inputs, LSTM.nodes, ["y", "h"], LSTM.shapes, LSTM.steps, LSTM.sha256, "net")
    kept, _ = recipe.reorder(seen, recipe.assign(seen, [recipe.parse("rec=hmd(ratio=2)")], {}))
    assert np.array_equal(kept.nodes[0].weights["w"], LSTM.nodes[0].weights["w"])


@pytest.mark.parametrize("matrix", ["rec.w", "fc"])
def test_hidden_units_of_trained_factors_stay(matrix):
    """Of the layer itself, and of one that reads it."""
    texts = [f"{matrix}=lowrank(rank=2)", "rec.u=hmd(ratio=2)"]
    before = recipe.assign(LSTM, recipe.read(texts[:1]), {})
    given = recipe.factors(before, recipe.decompose(before, {}))
    _, assigned = recipe.reorder(LSTM, recipe.assign(LSTM, recipe.read(texts[1:]), given), given)
    assert assigned["rec.u"].structure == "hmd" and assigned[matrix].structure == "lowrank"
    for name, a in assigned.items():
        assert np.array_equal(recipe.matrix(a.node, name), recipe.matrix(before[name].node, name))


def test_weighting_lowers_the_output_error(tmp_path):
    """Inputs of very different power: the weighted decomposition spends its rank where they are."""
    model = network("rnn", 12, 16, 4)
    data = samples(model, 40)
    data["x"] *= np.logspace(0, -2, 12)
    np.savez(tmp_path / "d.npz", **data)
    errors = {}
    for weighted in (False, None):
        text = "rec.w=lowrank(rank=3)" if weighted is None else "rec.w=lowrank(rank=3, weighted=False)"
        build = hmdc.compile(
            model, tmp_path / str(weighted), calibration=tmp_path / "d.npz", precision="float32", compress=[text]
        )
        errors[weighted] = verify(build, Data(data, None)).figures["rms_error"]
    assert errors[None] < errors[False]


def test_wide_matrices(tmp_path):
    """They are not weighted by their inputs unless asked, and sums of so many columns need 8 bits to fit in int32."""
    model = network("lstm", 1600, 6, 2)
    needed = lambda text: recipe.needs_moments(recipe.assign(model, [recipe.parse(text)], {}), calibrated=True)
    assert needed("hmd(rows=2)") == [] and needed("hmd(rows=2, weighted=True)") == ["rec.wu"]
    assert needed("fc=lowrank(rank=1)") == ["fc"]
    data = samples(model, 10)
    np.savez(tmp_path / "d.npz", **data)
    build = hmdc.compile(model, tmp_path / "b", calibration=tmp_path / "d.npz", compress=["hmd(rows=2)"])
    done = verify(build, Data(data, None))
    assert done.passed and not [b for b in build.program.buffers.values() if b.size == 1606 and b.bits > 8]
