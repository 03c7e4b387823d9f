"""One of several classes, one of two by a single sigmoid, one a step, or a number: verified, and trained again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import hmdc
from hmdc import compiler, frontends, recipe
from hmdc.classes import check_labels, classes, logits
from hmdc.compress import compress
from hmdc.data import Data
from hmdc.errors import HmdcError
from hmdc.frontends.onnx.write import write
from hmdc.model import Model
from hmdc.reference import evaluate
from hmdc.rewrite import drop_dead
from hmdc.torch.integers import Integers
from hmdc.torch.network import Network
from hmdc.verify import verify

CORPUS = Path(__file__).parent / "corpus" / "torch"
TINY = {"epochs": 3, "integer": 1, "rate": 1e-2, "batch": 32}
SEED = 3


def network(kind: str, folder: Path) -> tuple[Model, Data]:
    """A network and 120 samples of it, whose outputs lie on both sides of what divides two classes."""
    name = {"steps": "ts_gru_steps_head_tanh", "several": "dyn_gru_mlp_softmax"}.get(kind, "dyn_gru_mean_sigmoid")
    model, rng = frontends.load(CORPUS / f"{name}.onnx"), np.random.default_rng(SEED)
    if kind != "steps":
        x = {v: 3 * rng.normal(size=(120, *s)) for v, s in model.inputs.items()}
        v = logits(model, model.outputs[0])
        node = model.producers()[v]
        node.weights["b"] = node.weights["b"] - np.median(evaluate(model, x)[v], axis=0).ravel()
    if kind == "number":
        model = drop_dead(replace(model, outputs=[v]))
    (folder / "net.onnx").write_bytes(write(model))
    model = frontends.load(folder / "net.onnx")
    return model, Data({v: 3 * rng.normal(size=(120, *s)).astype(np.float32) for v, s in model.inputs.items()}, None)


def picked(model: Model, x: dict[str, np.ndarray]) -> np.ndarray:
    y = evaluate(model, x)[model.outputs[0]]
    return (y[..., 0] > 0.5) if y.shape[-1] == 1 else y.argmax(-1)


@pytest.mark.parametrize("kind, n", [("several", None), ("two", 2), ("steps", None), ("number", 0)])
def test_trained_and_verified(kind, n, tmp_path):
    model, samples = network(kind, tmp_path)
    assert classes(model, model.outputs[0]) == (model.shapes[model.outputs[0]][-1] if n is None else n)
    np.savez(tmp_path / "x.npz", **samples.inputs)
    seen = []
    done = compress(tmp_path / "net.onnx", tmp_path / "small.onnx", tmp_path / "x.npz", ["lowrank(ratio=2)"],
                    tmp_path / "x.npz", on_epoch=seen.append, **TINY)  # fmt: skip
    build = hmdc.compile(tmp_path / "net.onnx", tmp_path / "out", calibration=tmp_path / "x.npz")
    figures = verify(build, samples).figures
    if kind == "number":
        assert [e.agreement for e in seen] == [None] * 3 and figures["agreement"] is None
        assert list(done.rows[1])[-2:] == ["snr_db float", "snr_db int8"] and done.rows[0]["snr_db float"] == "exact"
        return
    want = picked(model, samples.inputs)
    share = np.bincount(want.ravel().astype(int)) / want.size
    assert share.max() < 0.9, f"seed {SEED}: {share}"
    assert done.rows[1]["agreement float"] == round(float((picked(done.model, samples.inputs) == want).mean()), 4)
    assert figures["agreement"] > 0.8
    labelled = Data(samples.inputs, want.astype(int).reshape(120, -1).squeeze())
    assert verify(build, labelled).figures["float_accuracy"] == 1.0
    np.savez(tmp_path / "y.npz", y=labelled.labels, **samples.inputs)
    taught = compress(tmp_path / "net.onnx", tmp_path / "small.onnx", tmp_path / "y.npz", ["lowrank(ratio=2)"], **TINY)
    assert taught.rows[0]["accuracy float"] == 1.0


@pytest.mark.parametrize("kind", ["several", "two"])
def test_integers_are_those_of_the_logits(kind, tmp_path):
    """What the loss looks at: after a softmax or a sigmoid their gradients would be others."""
    model, samples = network(kind, tmp_path)
    v = logits(model, model.outputs[0])
    assert v != model.outputs[0]
    found = Integers(recipe.assign(model, [], {}), samples.inputs)(
        Network(model), {k: torch.tensor(a) for k, a in samples.inputs.items()}
    )
    assert list(found) == [v]
    want = evaluate(model, samples.inputs)[v]
    error = np.abs(found[v].numpy() - want)
    assert 0 < error.max() < 0.1 * np.abs(want).max()


def test_labels_that_are_no_classes(tmp_path):
    refused = lambda kind, y: pytest.raises(HmdcError, check_labels, y, network(kind, tmp_path)[0]).value.args[0]
    assert refused("number", np.zeros(120, int)).endswith("is a number, no class; leave y out")
    assert "labels y have the value 2; output" in refused("two", np.full(120, 2))
    assert "labels y have the value -1; output" in refused("several", np.full(120, -1))
    assert "labels y have shape (120,), but output" in refused("steps", np.zeros(120, int))
    path = tmp_path / "y.npz"
    model, samples = network("two", tmp_path)
    np.savez(path, y=np.full(120, 2), **samples.inputs)
    with pytest.raises(HmdcError, match="labels y have the value 2"):
        compress(tmp_path / "net.onnx", tmp_path / "small.onnx", path, ["lowrank(ratio=2)"])
    with pytest.raises(HmdcError, match="labels y have the value 2"):
        verify(hmdc.compile(model, tmp_path / "out", calibration=path), compiler.read_samples(model, path))
