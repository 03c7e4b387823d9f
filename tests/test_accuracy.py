"""benchmarks/accuracy from end to end on a tiny network, and its page from rows that are made up.

Another seed: HMDC_SEED=2 pytest tests/test_accuracy.py
"""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.accuracy import __main__, claims, networks, page, rows
from benchmarks.accuracy.data import moving
from benchmarks.accuracy.data.sets import Splits, shared_out
from benchmarks.accuracy.networks import Network, one_layer
from benchmarks.accuracy.train import Trainer

SEED = int(os.environ.get("HMDC_SEED", "1"))
LABELS = {"epochs": 8, "patience": 8, "batch": 16, "rate": 2e-2, "mix": 0.0}
DISTILLED = {"epochs": 6, "patience": 6, "batch": 16, "rate": 2e-2, "integer": 1}
CLASSES = ("slow", "middle", "fast")


def waves() -> Splits:
    """Noisy waves of three frequencies: [samples, 8 steps, 4 channels]."""
    rng, y = np.random.default_rng(SEED), np.arange(300) % len(CLASSES)
    phase = rng.uniform(0, 2 * np.pi, (len(y), 1, 4))
    x = np.sin((0.4 + 0.7 * y)[:, None, None] * np.arange(8)[:, None] + phase)
    return shared_out(x + rng.normal(0, 0.1, x.shape), y, CLASSES)


TINY = {"tiny": Network("Tiny", waves, 12, one_layer("lstm"), LABELS, DISTILLED, longer=4)}


def readme(folder: Path) -> Path:
    (folder / "README.md").write_text(f"before\n<!-- from {page.SOURCE} -->\nold\n<!-- end -->\nafter\n")
    return folder / "README.md"


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> Path:
    """The benchmark of a tiny network alone; its folder."""
    monkeypatch.setattr(__main__, "NETWORKS", TINY)
    monkeypatch.setattr(__main__, "HERE", tmp_path)
    monkeypatch.setattr(__main__, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(__main__, "README", readme(tmp_path))
    monkeypatch.setenv("HMDC_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_rows(tiny):
    """Dense, Kronecker and a small dense network of its size; the page says what is missing."""
    found = {m: __main__.one("tiny", m, SEED) for m in ("dense", "kronecker", "kronecker_longer", "small")}
    print(f"seed {SEED}:", found)
    dense, kronecker, longer, small = found.values()
    assert found == {m: json.loads((tiny / f"results/tiny.{m}.{SEED}.json").read_text()) for m in found}
    assert dense["float_accuracy"] > 0.8 and abs(dense["int8_accuracy"] - dense["float_accuracy"]) < 0.05
    assert min(kronecker["int8_accuracy"], longer["int8_accuracy"]) > 0.5 and dense["items"] == 60
    assert longer["options"] == kronecker["options"] | {"epochs": 24, "patience": 100, "mix": 0.5}
    assert all(r["bit_exact"] for r in found.values())
    assert (dense["layer_parameters"], dense["parameters"]) == (4 * 12 * 16, 4 * 12 * 16 + 36)
    assert kronecker["layer_parameters"] == 4 * (4 * 4 + 3 * 4) and kronecker["layer_ratio"] == 6.86
    assert small["bytes"] <= kronecker["bytes"] < dense["bytes"] and 0 < small["hidden"] < 12
    assert all(r["layer_bytes"] < r["bytes"] and 1000 < r["instructions"] < 1e6 for r in found.values())
    trained = {p.name: p.stat().st_mtime_ns for p in (tiny / "cache/accuracy").iterdir()}
    assert len(trained) == 6  # four networks and two files of data: no checkpoint is left
    assert __main__.one("tiny", "kronecker", SEED) == kronecker
    assert {p.name: p.stat().st_mtime_ns for p in (tiny / "cache/accuracy").iterdir()} == trained
    done = CliRunner().invoke(__main__.main, ["--page"], catch_exceptions=False)
    text = (tiny / "accuracy.md").read_text()
    assert done.exit_code == 0 and f"4 of {len(rows.methods(TINY['tiny']))} rows are measured" in text
    assert "| Kronecker above pruned of equal size | not measured yet |" in text
    assert re.search(r"\| Kronecker above small dense of equal size \| \S*held\S* \([+-]\d+\.\d\) \|", text)
    missing = text.partition("Not measured yet:")[2]
    assert "* Tiny: `lowrank`, `pruned`" in missing and "`kronecker`" not in missing


@pytest.fixture
def video(tiny, monkeypatch) -> Network:
    """A network that sees videos of 24 x 24 pixels, with a structured method for them."""
    for name, value in {"HEIGHT": 24, "WIDTH": 24, "SHAPE": (6, 24 * 24 * 3), "ZOOM": 1, "SPEED": 1}.items():
        monkeypatch.setattr(moving, name, value)
    kind = "hierarchical_tucker"
    recipe = f"{kind}(m=(4, 4, 2), n=(25, 4, 18), rank=4, stacked=True)"
    monkeypatch.setitem(rows.METHODS, kind, rows.Method("Tucker", recipe, streamed=True))
    options = {"epochs": 3, "batch": 16, "rate": 2e-2}
    network = Network("Video", bars, 8, one_layer("lstm"), options, options, streamed=True)
    monkeypatch.setitem(TINY, "video", network)
    return network


def bars() -> Splits:
    """Images of 12 x 12 with horizontal bars, or vertical ones, or none."""
    y = np.arange(400) % len(CLASSES)
    bars = np.tile(np.arange(12) // 2 % 2, (12, 1))
    return shared_out(np.stack([bars.T, bars, np.zeros((12, 12))])[y], y, CLASSES)


def test_video(tiny, video):
    """From random factors, streamed; the dense network is not compiled."""
    found = {m: __main__.one("video", m, SEED) for m in ("dense", "hierarchical_tucker")}
    print(f"seed {SEED}:", found)
    dense, tucker = found.values()
    assert dense["float_accuracy"] > 0.6 and dense["int8_accuracy"] is None and dense["instructions"] is None
    assert (dense["layer_parameters"], dense["parameters"]) == (32 * (1728 + 8), 32 * (1728 + 8) + 24)
    assert dense["layer_bytes"] == 32 * (1728 + 8) + 3 * 4 * 32 < dense["bytes"]
    assert tucker["float_accuracy"] > 0.6 and abs(tucker["int8_accuracy"] - tucker["float_accuracy"]) < 0.05
    assert tucker["items"] == dense["items"] == 80 and tucker["bit_exact"] and 1000 < tucker["instructions"] < 1e7
    (kept,) = (tiny / "cache/accuracy").glob("video.hier*.pt")
    before = kept.stat().st_mtime_ns
    assert __main__.one("video", "hierarchical_tucker", SEED) == tucker and kept.stat().st_mtime_ns == before
    with pytest.raises(rows.HmdcError, match="is trained as dense, hierarchical_tucker, tensor_train_joined"):
        __main__.one("video", "kronecker", SEED)
    text = page.markdown(claims.table(list(found.values())), TINY, False)
    assert "* Video, all from random weights with labels alone and few epochs: dense epochs 3, batch 16" in text
    assert re.search(r"Tucker above dense \(floats, fewer epochs\) \|  \| .*held.* \([+-]\d+\.\d\) \|", text)
    assert "| Kronecker within 1.5 points of dense | not measured yet |  |" in text
    assert text.count("does not fit") == 2 and "* Video: `tensor_train_joined`, `tensor_ring`, `block_term`" in text


def test_sizes(tiny):
    """The largest that fits; a size that cannot be is a row that says so."""
    assert rows.largest([1, 2, 3, 4], 30, lambda n: 10 * n) == 3
    model = TINY["tiny"].model(waves(), SEED)
    full = len(CLASSES)
    assert rows.largest(range(1, 101), 10**6, lambda n: rows.taken(model, f"fc=lowrank(rank={n})")) == full
    with pytest.raises(rows.HmdcError, match="even the smallest takes 10 bytes, more than 9"):
        rows.largest([1, 2], 9, lambda n: 10 * n)
    network = replace(TINY["tiny"], labels=LABELS | {"epochs": 1})
    found = rows.row(Trainer(network, waves(), SEED, tiny, "tiny"), "hybrid_20x")
    assert "nearest possible for 12x16" in found["impossible"] and "int8_accuracy" not in found
    assert "| Tiny | hybrid Kronecker 20x | no such size: " in page.markdown(claims.table([found]), TINY, False)


def test_every_network(monkeypatch):
    """All can be built, for any data of the right kind."""
    x, y = np.zeros((30, 20, 5)), np.arange(30) % 3
    for name, network in networks.NETWORKS.items():
        model = network.model(shared_out(x, y, CLASSES), SEED, 6)
        assert model.shapes[model.outputs[0]] == (1, 3), name


def made_up(method: str, int8: float, drop=0.0, seed=0, instructions=1000, size=10) -> dict:
    return {"network": "tiny", "method": method, "seed": seed, "recipe": "", "hidden": 12, "items": 100,
            "options": {"epochs": 7, "seed": seed},
            "float_accuracy": int8 + drop, "int8_accuracy": int8, "layer_parameters": 1, "parameters": 2,
            "layer_ratio": 1.0, "layer_bytes": 3, "bytes": size, "instructions": instructions}  # fmt: skip


def verdicts(*found: dict) -> dict[str, str]:
    return {c.title: c.verdict("tiny", claims.table(found)) for c in claims.CLAIMS}


def test_claims():
    assert set(verdicts().values()) == {claims.NOT_MEASURED}
    near, above = "Kronecker within 1.5 points of dense", "Kronecker above pruned of equal size"
    v = verdicts(made_up("dense", 0.90), made_up("kronecker", 0.89), made_up("pruned", 0.89, drop=0.006))
    assert v[near] == "held (-1.0)" and v[above] == "**not held** (+0.0)"
    assert v["Kronecker above low-rank of equal size"] == claims.NOT_MEASURED
    assert v["int8 within 0.5 points of float"] == "**not held** (worst of 3: -0.6)"
    assert v["Kronecker layer in int8 50 times smaller than in float32"] == "**not held** (1x)"  # 4 * 1 / 3 bytes
    v = verdicts(made_up("dense", 0.90), made_up("kronecker", 0.88), made_up("kronecker", 0.86, seed=1))
    assert v[near] == "**not held** (-2.0)"  # of the seed that both have
    other = made_up("dense", 0.89, seed=1)
    v = verdicts(made_up("dense", 0.90), other, made_up("kronecker", 0.88), made_up("kronecker", 0.86, seed=1))
    assert v[near] == "**not held** (-2.5)"  # the mean of both
    assert verdicts(other, made_up("kronecker", 0.88))[near] == claims.NOT_MEASURED
    assert claims.smallest("tiny", claims.table([other, made_up("kronecker", 0.88)])) == ""
    assert v["int8 within 0.5 points of float"] == "held (worst of 2: +0.0)"
    title = "Hybrid Kronecker 20x above Kronecker"
    none = {"network": "tiny", "method": "hybrid_20x", "seed": 0, "impossible": "x: nearest possible"}
    assert verdicts(made_up("kronecker", 0.8), none)[title] == claims.IMPOSSIBLE


@pytest.mark.parametrize(("accuracies", "verdict"), [
    ((0.89, 0.9, 0.5), "held (3.00x)"),  # the fastest that is as accurate
    ((0.897, 0.897, 0.897), "**not held** (0.50x)"),
    ((0.8, 0.7, 0.6), "held (5.00x)"),  # none is: the largest
])  # fmt: skip
def test_hmd_against_pruned(accuracies, verdict):
    pruned = zip(("pruned_2x", "pruned_4x", "pruned"), accuracies, (500, 300, 50), (9, 8, 7))
    found = [made_up("hmd_2x", 0.9, instructions=100)]
    found += [made_up(m, a, instructions=n, size=b) for m, a, n, b in pruned]
    title = "HMD 2x: 2 times fewer instructions than pruned at equal accuracy"
    assert verdicts(*found)[title] == verdict
    assert verdicts(*found[:-1])[title] == claims.NOT_MEASURED


def test_smallest():
    """The fewest bytes of what is near dense, and never dense itself."""
    found = [made_up("dense", 0.9, size=100), made_up("kronecker", 0.8, size=1)]
    others = [made_up("hmd_2x", 0.8), made_up("kronecker", 0.8)]
    assert claims.smallest("tiny", claims.table(others)) is None
    assert claims.smallest("tiny", claims.table(found[:1])) is None
    assert claims.smallest("tiny", claims.table(found)) == ""
    found += [made_up("hmd_2x", 0.886, size=50), made_up("hmd_4x", 0.886, size=40)]
    assert claims.smallest("tiny", claims.table(found)) == "hmd_4x"
    assert "| hmd_4x (2.5x fewer bytes) |" in page.markdown(claims.table(found), TINY, False)
    head, _, line = page.summary(claims.table(found), TINY).splitlines()
    assert line == "| Tiny | 90.0 %, 0.1 kB | 80.0 %, 0.0 kB | HMD 4x: 88.6 %, 0.0 kB |"
    found += [made_up("kronecker_longer", 0.84), made_up("dense", 0.7, seed=1), made_up("lowrank_4x", 0.89, size=40)]
    line = page.summary(claims.table(found), TINY).splitlines()[2]
    assert line == "| Tiny | 90.0 %, 0.1 kB | 84.0 %, 0.0 kB | low-rank: 89.0 %, 0.0 kB |"  # of the seed that all have


def test_page(tmp_path):
    """Mean, spread, the confidence interval and the chart."""
    found = [made_up("dense", 0.9), made_up("dense", 0.8, seed=1), made_up("kronecker", 0.5, seed=1, instructions=10)]
    page.write(found, tmp_path, TINY, readme(tmp_path))
    text = (tmp_path / "accuracy.md").read_text()
    assert "| Tiny | dense | 12 units | 1 | 1.0 | 3 | 2 | 10 | 85.0 | 85.0 | 7.0 | 7.1 | 2 | 1,000 |" in text
    assert "| 50.0 | 50.0 | 9.8 |  | 1 | 10 |" in text
    assert "* Dense: epochs 7.\n* All others: epochs 7.\n" in text
    first, last = (tmp_path / "README.md").read_text().split("| Tiny | 80.0 %, 0.0 kB | 50.0 %, 0.0 kB | none |")
    assert first.startswith("before\n") and "old" not in first and last.endswith("\nafter\n")
    assert "accuracy.svg" in text and (tmp_path / "accuracy.svg").stat().st_size > 1000


def test_committed_pages():
    """They say what the committed rows say."""
    found = claims.table(rows.load(__main__.RESULTS))
    assert page.markdown(found, networks.NETWORKS, True) == (__main__.HERE / "accuracy.md").read_text()
    assert page.summary(found, networks.NETWORKS) in __main__.README.read_text()


@pytest.mark.parametrize("arguments", [[], ["mnist_lstm"], ["--all", "--quick"], ["mnist_lstm", "dense", "--page"]])
def test_bad_commands(arguments):
    done = CliRunner().invoke(__main__.main, arguments)
    assert done.exit_code == 2 and "give NETWORK and METHOD, --quick, --all or --page" in done.output
