"""Decompose and train again: every layer and structure as torch modules, and two tiny trainings from end to end.

Another seed: HMDC_SEED=2 pytest tests/test_compress.py
"""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from networks import assert_close
from test_bad_input import one_line
from test_write import FILES, inputs, loaded

import hmdc
from hmdc import compiler, frontends, recipe
from hmdc.cli import main
from hmdc.compress import STARTS, VALIDATION, _data, compress
from hmdc.data import MAX_BYTES, MAX_TRAINING
from hmdc.errors import HmdcError
from hmdc.linear import STRUCTURES
from hmdc.reference import evaluate
from hmdc.report import layer_table
from hmdc.torch import distill
from hmdc.torch.distill import Loss, Options, Samples, Training
from hmdc.torch.network import Network, hidden

SEED = int(os.environ.get("HMDC_SEED", "1"))
EXAMPLES = Path(__file__).parents[1] / "examples"
VOWELS, EXERCISES = (EXAMPLES / f"{name}.onnx" for name in ("vowels_gru", "exercises_lstm"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_torch_says_the_same(path):
    model = loaded(path)
    x, network = inputs(model), Network(model)
    found = network({v: torch.tensor(a, dtype=torch.float32) for v, a in x.items()})
    want, again = evaluate(model, x), evaluate(network.trained(), x)
    for v in model.outputs:
        assert_close(found[v].detach().numpy(), want[v], 2e-5, f"seed {SEED}, {v}")
        assert_close(again[v], want[v], 2e-5, f"seed {SEED}, {v}, trained")


@pytest.mark.parametrize("structure", [s for s in STRUCTURES if s != "dense"])
def test_structures(structure):
    """Factors multiply to the matrix, all of them get gradients, and pruned entries stay zero."""
    model = frontends.load(VOWELS)
    assignments = recipe.assign(model, recipe.read([f"gru={structure}(ratio=3)", f"fc={structure}(ratio=2)"]), {})
    maps = recipe.decompose(assignments, {})
    network = Network(model, assignments, maps)
    weights = network.weights()
    joined = torch.cat([weights["gru"]["w"], weights["gru"]["u"]], 1).detach().numpy()
    assert_close(joined, maps["gru.wu"].dense(), 1e-6, structure)
    assert_close(weights["fc"]["w"].detach().numpy(), maps["fc"].dense(), 1e-6, structure)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    x = {v: torch.tensor(a, dtype=torch.float32) for v, a in inputs(model).items()}
    network(x)[model.outputs[0]].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters() if p.numel())
    optimizer.step()
    again = recipe.decompose(assignments, {}, network.factors())
    assert again["gru.wu"].parameters() <= maps["gru.wu"].parameters()
    moved = np.abs(again["gru.wu"].dense() - maps["gru.wu"].dense()).max()
    assert moved > 0, structure


def data(folder: Path, labels: bool = True) -> Path:
    """Samples of a network that reads shoulder exercises."""
    with np.load(EXAMPLES / "exercises_test.npz") as test:
        arrays = {"x": test["x"][::2]} | ({"y": test["y"][::2]} if labels else {})
    np.savez(folder / "train.npz", **arrays)
    return folder / "train.npz"


TINY = {"epochs": 30, "integer": 2, "seed": SEED, "batch": 16}
RECIPES = {"lowrank": ["lstm=lowrank(ratio=3)"], "kronecker": ["lstm=kronecker(ratio=4)", "fc=lowrank(rank=4)"]}


@pytest.mark.parametrize("name", RECIPES)
def test_training(name, tmp_path):
    """Any runtime executes the result, compile uses its factors as they are, and the integers keep what was learned."""
    seen, out = [], tmp_path / "small.onnx"
    samples = data(tmp_path, labels=name == "lowrank")
    done = compress(EXERCISES, out, samples, RECIPES[name], on_epoch=seen.append, **TINY)
    before, after = done.rows
    figure = "accuracy" if name == "lowrank" else "agreement"
    print(f"seed {SEED}:", after)
    assert after["parameters"] < before["parameters"] / 2
    assert seen[0].agreement + 0.2 < max(e.agreement for e in seen)
    assert after[f"{figure} float"] > 0.7 and after[f"{figure} int8"] > after[f"{figure} float"] - 0.05
    assert [e.number for e in seen] == list(range(1, 31)) and [e.integer for e in seen[-3:]] == [False, True, True]

    build = hmdc.compile(out, tmp_path / "build", calibration=EXAMPLES / "exercises_calibration.npz")
    shown = {layer["op"]: layer for layer in layer_table(frontends.load(out))["layers"]}
    assert shown["lstm"]["matrices"] == f"lstm.wu 128x38 {name}"
    assert shown["lstm"]["parameters"] + shown["dense"]["parameters"] - 2 * 128 - 7 == after["parameters"]
    with np.load(build.path / ".hmdc" / "factors.npz") as kept:
        assert {k: np.array_equal(kept[k], np.float32(done.model.factors[k])) for k in kept.files} == dict.fromkeys(
            done.model.factors, True
        )
    x = np.load(EXAMPLES / "exercises_test.npz")["x"][1:9:2]
    session = onnxruntime.InferenceSession(out)
    found = np.concatenate([session.run(None, {"x": a[None].astype(np.float32)})[0] for a in x.reshape(-1, 50, 6)])
    want = evaluate(done.model, {"x": x.reshape(len(x), *done.model.inputs["x"])})
    assert_close(found, want[done.model.outputs[0]].reshape(found.shape), 1e-4, "ONNX Runtime")


def test_interrupted(tmp_path):
    """The same command goes on, and writes the same bytes as an uninterrupted one; another seed writes others."""
    samples, files = data(tmp_path), [tmp_path / name / "small.onnx" for name in ("whole", "parts", "other")]
    tiny = TINY | {"epochs": 5, "integer": 2}

    def stop(epoch):
        if epoch.number in (2, 4):
            raise KeyboardInterrupt

    compress(EXERCISES, files[0], samples, RECIPES["lowrank"], **tiny)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            compress(EXERCISES, files[1], samples, RECIPES["lowrank"], on_epoch=stop, **tiny)
        assert not files[1].exists()
    with pytest.raises(HmdcError, match="is of another training; remove it to start afresh"):
        compress(EXERCISES, files[1], samples, RECIPES["kronecker"], **tiny)
    compress(EXERCISES, files[1], samples, RECIPES["lowrank"], **tiny)
    compress(EXERCISES, files[2], samples, RECIPES["lowrank"], **tiny | {"seed": SEED + 1})
    whole, parts, other = (f.read_bytes() for f in files)
    assert whole == parts and whole != other
    assert [p.name for p in files[1].parent.iterdir()] == ["small.onnx"]


@pytest.mark.parametrize("stages", [1, 2])
def test_one_matrix_after_the_other(stages, tmp_path):
    """What was compressed before goes on with its factors, and they are trained as well."""
    files, samples = [tmp_path / name for name in ("lstm.onnx", "both.onnx")], data(tmp_path)
    tiny = TINY | {"epochs": 2, "integer": 1, "rate": 1e-2}
    first = compress(EXERCISES, files[0], samples, ["lstm=lowrank(rank=4)"], **tiny).model.factors
    done = compress(files[0], files[1], samples, ["fc=lowrank(rank=3)"], stages=stages, **tiny)
    both = done.model.factors
    assert {k: v.shape for k, v in both.items() if k in first} == {k: v.shape for k, v in first.items()}
    assert not any(np.array_equal(both[k], v) for k, v in first.items())
    assert {k.split(".")[0] for k in both} == {"lstm", "fc"}
    assert done.rows[1]["parameters"] < done.rows[0]["parameters"]


@pytest.mark.parametrize("precision", ["int16", "float32"])
def test_other_precisions(precision, tmp_path):
    seen = []
    done = compress(EXERCISES, tmp_path / "small.onnx", data(tmp_path, labels=False), RECIPES["lowrank"],
                    on_epoch=seen.append, precision=precision, **TINY | {"epochs": 4, "integer": 2})  # fmt: skip
    assert [e.integer for e in seen] == [False, False, *[precision == "int16"] * 2]
    figures = [k for k in done.rows[1] if k.startswith("agreement")]
    assert figures == ["agreement float", *["agreement int16"] * (precision == "int16")]
    with pytest.raises(HmdcError, match="^--precision int4: unknown; known are int8, int16, float32$"):
        compress(EXERCISES, tmp_path / "small.onnx", data(tmp_path), RECIPES["lowrank"], precision="int4")


def pieces(a: np.ndarray, side: int) -> int:
    """Blocks of that side in which there is anything."""
    rows, columns = (range(0, n, side) for n in a.shape)
    return np.count_nonzero(np.add.reduceat(np.add.reduceat(np.abs(a), rows, 0), columns, 1))


@pytest.mark.parametrize("structure", ["pruned", "block_pruned", "doped_kronecker"])
def test_gradual_pruning(structure, tmp_path):
    """Entries go step by step, also when interrupted, and only an epoch with as few as the recipe says is the best."""
    samples, files = data(tmp_path), [tmp_path / name / "small.onnx" for name in ("whole", "parts")]
    tiny, recipes = TINY | {"epochs": 6, "integer": 1}, [f"lstm={structure}(ratio=4)"]
    seen = []

    def stop(epoch):
        if epoch.number in (1, 3):
            raise KeyboardInterrupt

    done = compress(EXERCISES, files[0], samples, recipes, on_epoch=seen.append, **tiny)
    assert [e.best for e in seen[:4]] == [False, False, False, True]
    model = frontends.load(EXERCISES)
    maps = recipe.decompose(recipe.assign(model, recipe.read(recipes), {}), {})
    name = {"doped_kronecker": "doped.sparse"}.get(structure, f"{structure}.w")
    for gate, m in zip("ifgo", maps["lstm.wu"].maps):
        want = STRUCTURES[structure].factors(m)[name]
        found = done.model.factors[f"lstm.wu.{gate}.{name}"]
        side = 4 if structure == "block_pruned" else 1
        assert pieces(found, side) == pieces(want, side)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            compress(EXERCISES, files[1], samples, recipes, on_epoch=stop, **tiny)
    compress(EXERCISES, files[1], samples, recipes, **tiny)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_stages(tmp_path):
    """Each stage decomposes what the one before has trained; interrupted in any, the same bytes come out."""
    samples, files = data(tmp_path), [tmp_path / name / "small.onnx" for name in ("whole", "parts", "once")]
    tiny, recipes, seen = TINY | {"epochs": 7}, ["lstm=lowrank(rank=4)", "fc=kronecker(left=(7, 4))"], []

    def stop(epoch):
        if epoch.number in (1, 2, 6):
            raise KeyboardInterrupt

    done = compress(EXERCISES, files[0], samples, recipes, on_epoch=seen.append, stages=3, **tiny)
    assert [e.number for e in seen] == list(range(1, 8)) and sum(e.integer for e in seen) == 2
    assert done.model.factors["lstm.wu.i.lowrank.0"].shape[1] == 4
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            compress(EXERCISES, files[1], samples, recipes, on_epoch=stop, stages=3, **tiny)
    compress(EXERCISES, files[1], samples, recipes, stages=3, **tiny)
    compress(EXERCISES, files[2], samples, recipes, **tiny)
    whole, parts, once = (f.read_bytes() for f in files)
    assert whole == parts != once


def test_rates_are_tried(tmp_path, monkeypatch):
    """The one that diverges is not taken, and the trial leaves no trace."""
    samples, firsts = data(tmp_path), {}
    model = frontends.load(EXERCISES)
    assignments = recipe.assign(model, recipe.read(RECIPES["lowrank"]), {})
    with np.load(samples) as a:
        x = {"x": torch.tensor(a["x"].reshape(-1, *model.inputs["x"]), dtype=torch.float32)}
    parts = [Samples({"x": v}, None) for v in x["x"].split(len(x["x"]) // 2)[:2]]
    monkeypatch.setattr(distill, "RATES", (100.0, 5e-3))
    for rate in (None, 5e-3):
        student = Network(model, assignments, recipe.decompose(assignments, {}))
        training = Training(Network(model), student, *parts, Options(epochs=4, batch=16, rate=rate, seed=SEED))
        firsts[rate] = next(training.run())
        assert training.optimizer.param_groups[0]["initial_lr"] == 5e-3
    assert firsts[None] == firsts[5e-3]


@pytest.mark.parametrize("structure", [s for s in STRUCTURES if s != "dense"])
def test_random_start(structure):
    """Factors of the same sizes and entries as large, others with each seed; those of other trainings stay."""
    model = frontends.load(VOWELS)
    assignments = recipe.assign(model, recipe.read([f"gru={structure}(ratio=2)", "fc=lowrank(rank=2)"]), {})
    maps = recipe.decompose(assignments, {})

    def drawn(seed: int) -> dict[str, np.ndarray]:
        network = Network(model, assignments, maps)
        network.draw(seed, {k: a for k, a in network.factors().items() if k.startswith("fc.")})
        return network.factors()

    before, first, again, other = Network(model, assignments, maps).factors(), *map(drawn, (SEED, SEED, SEED + 1))
    assert all(np.array_equal(a, again[k]) and a.shape == before[k].shape for k, a in first.items())
    assert {k.split(".")[0] for k, a in first.items() if not np.array_equal(a, other[k])} == {"gru"}
    assert np.array_equal(first["fc.lowrank.0"], before["fc.lowrank.0"])
    found = recipe.decompose(assignments, {}, first)["gru.wu"]
    for want, got in zip(maps["gru.wu"].maps, found.maps):
        assert 0.5 < got.dense().std() / want.dense().std() < 2, f"seed {SEED}"


def test_start_option(tmp_path):
    files, samples = [tmp_path / f"{start}.onnx" for start in STARTS], str(data(tmp_path))
    for start, out in zip(STARTS, files):
        options = ["--start", start, "--epochs", "2", "--integer-epochs", "0", "--rate", "0.01", "--seed", str(SEED)]
        done = CliRunner().invoke(main, ["compress", str(EXERCISES), "--data", samples, "-o", str(out),
                                         "--compress", RECIPES["lowrank"][0], *options])  # fmt: skip
        assert done.exit_code == 0, done.output
    assert files[0].read_bytes() != files[1].read_bytes()


def test_hidden_states():
    """Those of all steps are compared, also where the network reads the last one alone."""
    model = frontends.load(EXERCISES)
    reshape1, lstm, *_, last, fc = model.nodes
    last = replace(last, inputs=lstm.outputs[1:2])
    lstm = replace(lstm, outputs=("", *lstm.outputs[1:]))
    model.nodes[:] = [reshape1, lstm, last, fc]
    x = {v: torch.tensor(a, dtype=torch.float32) for v, a in inputs(model).items()}
    values = Network(model)(x)
    first = {v: a.clone() for v, a in values.items()}
    first[hidden(lstm)][:, 0] += 1
    distance = lambda weight: Loss(model, values, Options(hidden=weight))(first, values, None).item()
    assert distance(0.0) == 0 < distance(0.5)


def test_frozen(tmp_path):
    """Nothing but factors moves."""
    done = compress(EXERCISES, tmp_path / "small.onnx", data(tmp_path), RECIPES["lowrank"], freeze=True, epochs=2)
    before = next(n for n in frontends.load(EXERCISES).nodes if n.op == "dense")
    after = next(n for n in done.model.nodes if n.op == "dense")
    assert all(np.array_equal(after.weights[k], np.float32(before.weights[k])) for k in before.weights)


def test_bad_input(tmp_path):
    samples = str(data(tmp_path))
    fixed = ["compress", str(EXERCISES), "-o", str(tmp_path / "out.onnx")]
    np.savez(tmp_path / "one.npz", x=np.zeros((1, 50, 6)))
    np.savez(tmp_path / "huge.npz", x=np.full((10, 50, 6), 1e6))
    for wrong, says in (
        (["--data", samples, "--compress", "lstm=dense"], "nothing to compress"),
        (["--data", samples, "--compress", "nolstm=lowrank(rank=2)"], "matches no matrix"),
        (["--data", str(tmp_path / "one.npz"), "--compress", "lowrank(rank=2)"], "too few"),
        (["--data", samples, "--compress", "lowrank(rank=2)", "-o", str(tmp_path / "out.pt")], "suffix .onnx"),
        (["--data", samples, "--compress", "lowrank(rank=2)", "-o", str(EXERCISES)], "--out .* is the model itself"),
        (["--data", samples, "--compress", "lowrank(rank=2)", "-o", samples + "/out.onnx"], "--out .* cannot be writ"),
        (["--data", str(tmp_path / "huge.npz"), "--compress", "lowrank(rank=2)"], "^hmdc: lstm.* sums reach"),
        (["--data", samples, "--compress", "lowrank(rank=2)", "--start", "zero"], "--start zero: unknown; known are"),
        (["--data", samples, "--compress", "lowrank(rank=2)", "--rate", "nan"], "--rate nan: use a positive number"),
        (["--data", samples, "--compress", "lowrank(rank=2)", "--epochs", "2", "--stages", "3"], "--stages 3: .* 2 ep"),
        (["--data", samples, "--compress", "lowrank(rank=2)", "--validate", str(tmp_path / "no.npz")], "no such data"),
    ):
        done = CliRunner().invoke(main, [*fixed, *wrong])
        one_line(done.exit_code, done.stdout, done.stderr, says)
    assert not (tmp_path / "out.onnx").exists()


def test_too_much_data(tmp_path, monkeypatch):
    """More is read to train than to calibrate, but not anything."""
    assert MAX_TRAINING > MAX_BYTES
    monkeypatch.setattr("hmdc.compress.MAX_TRAINING", 10_000)
    with pytest.raises(HmdcError, match="bytes of arrays; the most is 10000: use fewer samples"):
        compress(EXERCISES, tmp_path / "out.onnx", data(tmp_path), RECIPES["lowrank"])


def test_samples_that_are_set_aside(tmp_path, monkeypatch):
    """A fifth, or VALIDATION of them where that is less; none is in both parts."""
    model, file = frontends.load(EXERCISES), data(tmp_path)
    whole = compiler.read_samples(model, file)
    for most, want in (VALIDATION, whole.samples // 5), (3, 3):
        monkeypatch.setattr("hmdc.compress.VALIDATION", most)
        train, valid = _data(model, file, None, SEED)
        assert (train.samples, valid.samples) == (whole.samples - want, want)
        both = np.concatenate([part.inputs["x"] for part in (train, valid)])
        assert np.array_equal(np.unique(both, axis=0), np.unique(whole.inputs["x"], axis=0)), f"seed {SEED}"


def test_result_that_does_not_compile(tmp_path, monkeypatch):
    """The training is not lost."""
    compile = compiler.compile

    def refused(model, *args, **options):
        if isinstance(model, Path):
            raise HmdcError("no")
        return compile(model, *args, **options)

    monkeypatch.setattr(compiler, "compile", refused)
    with pytest.raises(HmdcError, match="out.onnx is written, but does not compile: no"):
        compress(EXERCISES, tmp_path / "out.onnx", data(tmp_path), RECIPES["lowrank"], **TINY | {"epochs": 1})
    assert frontends.load(tmp_path / "out.onnx").factors
