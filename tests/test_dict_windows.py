"""Convolutions, pooling and embeddings in files of weights: PyTorch's results, choices, wrong options.

tests/corpus/make_windows.py made the files.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from networks import assert_close
from test_bad_input import one_line
from test_state_dicts import architecture

import hmdc
from hmdc import frontends, reference, verify
from hmdc.cli import main
from hmdc.data import Data
from hmdc.errors import HmdcError
from hmdc.frontends.dicts import tensors
from hmdc.frontends.dicts.architecture import read

CORPUS = Path(__file__).parent / "corpus" / "windows"
EXPECTED = np.load(CORPUS / "expected.npz")
STEPS = 12

CONV1 = ['{type = "conv1d", weights = "conv1", padding = 1}', '{type = "batchnorm", weights = "bn"}',
         '{type = "relu"}', '{type = "maxpool", size = 2}',
         '{type = "conv1d", weights = "conv2", dilation = 2, groups = 2, activation = "tanh"}',
         '{type = "gru", weights = "gru"}', '{type = "last"}', '{type = "dense", weights = "fc"}']  # fmt: skip
CONV2 = ['{type = "conv2d", weights = "conv1", activation = "relu"}',
         '{type = "conv2d", weights = "conv2", stride = [2, 1], padding = 1, activation = "relu"}',
         '{type = "batchnorm", weights = "bn"}', '{type = "avgpool", size = [1, 2]}',
         '{type = "lstm", weights = "lstm"}', '{type = "mean"}']  # fmt: skip
TOKENS = ['{type = "embedding", weights = "emb"}',
          '{type = "conv1d", weights = "conv", padding = "causal", activation = "relu"}',
          '{type = "lstm", weights = "rnn"}', '{type = "max"}', '{type = "dense", weights = "fc"}']  # fmt: skip
SQUARE = ['{type = "embedding", weights = "emb"}', '{type = "lstm", weights = "rnn"}', '{type = "last"}',
          '{type = "dense", weights = "fc"}']  # fmt: skip
CASES = {"conv1": CONV1, "conv2": CONV2, "tokens": TOKENS, "tokens_last": [], "tokens_square": SQUARE}


def told(name: str, folder: Path) -> Path | None:
    more = "input = 4" if name == "conv2" else ""
    return architecture(folder, *CASES[name], more=more) if CASES[name] else None


def case(name: str, folder: Path):
    """The model, inputs and what PyTorch computes."""
    model = frontends.load(CORPUS / f"{name}.pt", STEPS, None, told(name, folder))
    return model, EXPECTED[f"{name}/x"], EXPECTED[f"{name}/y"]


@pytest.mark.parametrize("name", CASES)
def test_equals_pytorch(name, tmp_path):
    model, x, y = case(name, tmp_path)
    assert_close(reference.evaluate(model, {"x": x})["y"], y.astype(np.float64), 1e-6, name)


@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_compiled(name, precision, tmp_path):
    model, x, _ = case(name, tmp_path)
    np.savez(tmp_path / "c.npz", x=x)
    build = hmdc.compile(model, tmp_path / "out", calibration=tmp_path / "c.npz", precision=precision)
    result = verify.verify(hmdc.load(build.path), Data({"x": x.astype(np.float64)}, None))
    assert result.passed and result.figures["snr_db"] > (20 if precision == "int8" else 90)


def test_same_padding(tmp_path):
    """padding = "same" is what padding = 1 is to three taps, and more behind than in front for an even number."""
    found = []
    for text in ('"same"', "1"):
        file = architecture(tmp_path, CONV1[0].replace("1}", f"{text}}}"), *CONV1[1:])
        model = frontends.load(CORPUS / "conv1.pt", STEPS, None, file)
        found.append(reference.evaluate(model, {"x": EXPECTED["conv1/x"]})["y"])
    assert np.array_equal(*found)
    file = architecture(tmp_path, *[line.replace("dilation = 2", 'padding = "same"') for line in CONV1])
    convs = [n for n in frontends.load(CORPUS / "conv1.pt", STEPS, None, file).nodes if n.op == "conv"]
    assert [n.attrs["pads"] for n in convs] == [(1, 1), (0, 1)]


def test_found_embedding():
    rows = frontends.load(CORPUS / "tokens_last.pt", STEPS).found
    assert [(r["layer"], r["output"], r["found"]) for r in rows[:2]] == [("embedding", 5, "9 tokens"), ("lstm", 6, "-")]


def test_page(tmp_path):
    """The network of docs/state_dicts.md is that of PyTorch, and its table has no option that is not known."""
    page = (Path(__file__).parents[1] / "docs" / "state_dicts.md").read_text()
    (block,) = re.findall(r"```\n(layer = .*?)```", page, re.DOTALL)
    (tmp_path / "page.toml").write_text(block)
    model = frontends.load(CORPUS / "conv1.pt", STEPS, None, tmp_path / "page.toml")
    y = reference.evaluate(model, {"x": EXPECTED["conv1/x"]})["y"]
    assert_close(y, EXPECTED["conv1/y"].astype(np.float64), 1e-6, "page")
    rows = re.findall(r"^\| `(\{type = .*\})` \|", page, re.MULTILINE)
    assert len(rows) == 5 and [len(read(architecture(tmp_path, row)).layers) for row in rows] == [1] * 5


def changed(number: int, old: str, new: str, lines=CONV1):
    return [line.replace(old, new) if i == number else line for i, line in enumerate(lines)]


REFUSED = [
    ("choices", "conv1", [], "", r'strides and padding.*\{type = "conv1d", weights = "conv1", stride = 1, padding = 0'),
    ("table or dense", "tokens_square", [], "", r'table of tokens or a dense layer: .*\{type = "embedding . dense", '),
    ("stride", "conv1", changed(0, "padding = 1", "stride = 0"), "", "stride is a number of 1 to 4096$"),
    ("padding", "conv1", changed(0, "1}", '"both"}'), "", 'padding is a number of 0 to 4096, "same" or "causal"'),
    ("pair", "conv1", changed(0, "padding = 1", "stride = [1, 1]"), "", "stride is a number of 1 to 4096$"),
    ("groups", "conv1", changed(4, "groups = 2", "groups = 3"), "", "8 outputs cannot be in 3 groups"),
    ("channels", "conv1", changed(4, "groups = 2", "groups = 4"), "", "takes 12 values but gets 6"),
    ("function", "conv1", changed(4, '"tanh"', '"elu"'), "", "activation is tanh, relu or sigmoid"),
    ("reach", "conv1", changed(4, "dilation = 2", "dilation = 9"), "", "looks at 10 values at once where there are 6"),
    ("size", "conv1", changed(3, "size = 2", "size = [2, 2]"), "", r"size \[2, 2\] is for conv2d"),
    ("pool", "conv1", changed(3, "size = 2", "size = true"), "", "size is a number of 1 to 4096$"),
    ("kind", "conv1", changed(0, "conv1d", "conv2d"), "input = 4", "are those of type 'conv1d', not 'conv2d'"),
    ("input", "conv2", CONV2, "", "how many values a step has; write input = N"),
    ("not first", "tokens", [TOKENS[1], TOKENS[0], *TOKENS[2:]], "", "reads tokens; it comes first"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "layers", "more", "pattern"), [pytest.param(*c[1:], id=c[0]) for c in REFUSED])
def test_refused(name, layers, more, pattern, tmp_path):
    file = ["--architecture", str(architecture(tmp_path, *layers, more=more))] if layers else []
    done = CliRunner().invoke(main, ["inspect", str(CORPUS / f"{name}.pt"), "--steps", str(STEPS), *file])
    one_line(done.exit_code, done.stdout, done.stderr, pattern)


def test_bias_makes_it_dense(tmp_path):
    """A matrix with a bias is no table, whatever its shape."""
    arrays = dict(tensors.read(CORPUS / "tokens_last.pt").arrays)
    np.savez(tmp_path / "m.npz", **{"emb.weight": arrays.pop("emb.weight"), "emb.bias": np.zeros(9)}, **arrays)
    with pytest.raises(HmdcError, match="do not fit in the order of the file"):
        frontends.load(tmp_path / "m.npz", STEPS)
