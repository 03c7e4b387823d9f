"""Models written as ONNX: ONNX Runtime says the same, and reading them gives the same layers.

Another seed: HMDC_SEED=2 pytest tests/test_write.py
"""

import json
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from networks import assert_close, random_network

from hmdc import factor_file, frontends, recipe
from hmdc.errors import HmdcError
from hmdc.frontends.onnx.write import write
from hmdc.linear import STRUCTURES
from hmdc.model import Model, Node
from hmdc.reference import evaluate, shapes

SEED = int(os.environ.get("HMDC_SEED", "1"))
CORPUS = Path(__file__).parent / "corpus"
STEPS = 7
# those that are read; tests of the corpus say why the others are not
READ = {"torch": lambda case: case["expect"] == "ok", "keras": lambda case: case["works"]}
FILES = sorted(CORPUS.parents[1].glob("examples/*.onnx")) + [
    CORPUS / kind / f"{name}.onnx" for kind, reads in READ.items()
    for name, case in json.loads((CORPUS / kind / "cases.json").read_text()).items() if reads(case)
]  # fmt: skip


def loaded(path: Path) -> Model:
    """With an open time axis of STEPS steps."""
    try:
        return frontends.load(path)
    except HmdcError:
        return frontends.load(path, STEPS)


def inputs(model: Model) -> dict[str, np.ndarray]:
    rng, out = np.random.default_rng(SEED), {}
    for v, s in model.inputs.items():
        ends = model.integers.get(v)
        out[v] = rng.normal(size=(1, *s)) if ends is None else rng.integers(*ends, (1, *s), endpoint=True)
    return out


def check(model: Model, folder: Path, what: str) -> Model:
    """The model read back; it says what the first one says, and so does ONNX Runtime.  Written again it still does."""
    content = write(model)
    (folder / "net.onnx").write_bytes(content)
    again, x = frontends.load(folder / "net.onnx"), inputs(model)
    typed = {v: a[0].astype(np.int32 if v in model.integers else np.float32) for v, a in x.items()}
    want, got = evaluate(model, x), evaluate(again, x)
    found = onnxruntime.InferenceSession(content).run(None, typed)
    for v, y in zip(model.outputs, found):
        assert_close(got[v], want[v], 1e-5, f"{what}, {v}")
        assert_close(y, want[v], 1e-5, f"{what}, {v}, ONNX Runtime")
    (folder / "twice.onnx").write_bytes(write(again))
    twice = evaluate(frontends.load(folder / "twice.onnx"), x)
    for v in model.outputs:
        assert_close(twice[v], got[v], 1e-5, f"{what}, {v}, written again")
    return again


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_corpus(path, tmp_path):
    model = loaded(path)
    again = check(model, tmp_path, path.stem)
    names = lambda m: [n.name for n in m.nodes if recipe.matrices(n)]
    assert names(again) == names(model)


@pytest.mark.parametrize("i", range(20))
def test_random_networks(i, tmp_path):
    onnx.save(random_network(np.random.default_rng(SEED + i))[0], tmp_path / "given.onnx")
    check(frontends.load(tmp_path / "given.onnx"), tmp_path, f"seed {SEED + i}")


@pytest.mark.parametrize("structure", [s for s in STRUCTURES if s != "dense"])
def test_factors_come_back(structure, tmp_path):
    """What was trained as factors is used as they are; other recipes and other weights do not get them."""
    model = frontends.load(CORPUS.parents[1] / "examples" / "vowels_gru.onnx")
    text = f"gru={structure}(ratio=3)"
    assignments = recipe.assign(model, recipe.read([text]), {})
    maps = recipe.decompose(assignments, {})
    factors = recipe.factors(assignments, maps)
    gru = next(n for n in model.nodes if n.op == "gru")
    n = gru.weights["w"].shape[1]
    gru.weights["w"], gru.weights["u"] = maps["gru.wu"].dense()[:, :n], maps["gru.wu"].dense()[:, n:]
    path = tmp_path / "net.onnx"
    path.write_bytes(write(model, {factor_file.METADATA: factor_file.encode(factors)}))
    again = frontends.load(path)
    brought = recipe.trained(again, [], {})
    assert {k: v.shape for k, v in brought.items()} == {k: v.shape for k, v in factors.items()}
    assert all(np.array_equal(v, np.float32(factors[k])) for k, v in brought.items())
    assert recipe.trained(again, recipe.read(["gru.w=lowrank(rank=2)"]), {}) == {}
    next(n for n in again.nodes if n.op == "gru").weights["w"][0, 0] += 1.0
    with pytest.raises(HmdcError, match="gru.wu: the factors in the file are not those of its weights"):
        recipe.trained(again, [], {})


def test_damaged_metadata(tmp_path):
    model = frontends.load(CORPUS.parents[1] / "examples" / "vowels_gru.onnx")
    for text in ("", "%", "AAAA", factor_file.encode({"gru.wu.z.kron.0": np.array([np.nan])})):
        (tmp_path / "net.onnx").write_bytes(write(model, {factor_file.METADATA: text}))
        with pytest.raises(HmdcError, match="metadata hmdc.factors"):
            frontends.load(tmp_path / "net.onnx")


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("op", ["fastrnn", "fastgrnn"])
def test_cells_without_an_operator(op, reverse, tmp_path):
    """Written step by step, read as the cell."""
    rng, n, steps = np.random.default_rng(SEED), 5, 6
    biases = ("b",) if op == "fastrnn" else ("bz", "bh")
    weights = {"w": rng.normal(size=(n, 3)), "u": 0.5 * rng.normal(size=(n, n))} | {
        k: rng.normal(size=n) for k in biases
    }
    scalars = {"alpha": 0.3, "beta": 1.1} if op == "fastrnn" else {"zeta": 0.8, "nu": -2.0}
    node = Node(op, op, ("x", ""), ("y", "h"), {"hidden": n, "reverse": reverse, **scalars}, weights)
    model = Model({"x": (steps, 1, 3)}, [node], ["y", "h"], steps=steps)
    model.shapes = shapes(model)
    again = check(model, tmp_path, op)
    if not reverse:
        assert op in {m.op for m in again.nodes}
