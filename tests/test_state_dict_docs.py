"""docs/state_dicts.md: every row of its table of refusals happens as it says."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file
from test_bad_input import one_line
from test_edgeml_dicts import arrays
from test_keras_files import REFUSED as KERAS
from test_onnx_docs import refusals
from test_state_dicts import NPZ, PT, SAFE, archive, with_arrays
from test_state_dicts import REFUSED as DICTS

from hmdc.cli import main

ROWS = refusals(Path(__file__).parents[1] / "docs/state_dicts.md")


def known(cases: list[tuple], name: str) -> tuple:
    """What spoils the folder, and the command, of a case in another file."""
    return next(c[1:3] for c in cases if c[0] == name)


def square(folder: Path) -> None:
    np.savez(folder / "m.npz", **arrays(np.random.default_rng(0), "fastgrnn", 5, 5))


def table_or_dense(folder: Path) -> None:
    cell = {"rnn.weight_ih_l0": np.ones((20, 5)), "rnn.weight_hh_l0": np.ones((20, 5))}
    np.savez(folder / "m.npz", **{"emb.weight": np.ones((5, 5))}, **cell)


def two_orders(folder: Path) -> None:
    cell = {"weight_ih": np.ones((20, 5)), "weight_hh": np.ones((20, 5))}
    save_file({f"{k}.{name}": a for k in "ab" for name, a in cell.items()}, folder / "m.safetensors")


CASES = {
    "a whole module, `torch.save(model, ...)`": known(DICTS, "module"),
    "NumPy numbers or other objects in a checkpoint": known(DICTS, "numpy"),
    "a pickle that calls functions": known(DICTS, "system"),
    "TorchScript, `torch.jit.save`": known(DICTS, "script"),
    "the format before PyTorch 1.6": known(DICTS, "legacy"),
    "a file cut short": (archive(b"\x80\x02}"), PT),
    "quantized or integer weights": known(DICTS, "integers"),
    "weights that are NaN": known(DICTS, "NaN"),
    "convolutions": known(DICTS, "conv"),
    "a norm that is not told": known(DICTS, "norm"),
    "parameters of a layer of your own": known(DICTS, "stranger"),
    "a layer without one of its matrices": known(DICTS, "no half"),
    "matrices that do not fit one another": known(DICTS, "rows"),
    "no recurrent layer": known(DICTS, "no cell"),
    "nothing about time": known(DICTS, "steps"),
    "a bidirectional layer": known(DICTS, "both"),
    "two dense layers in a row, or one before a cell": known(DICTS, "mlp"),
    "branches, or layers in another order": (with_arrays(fc2__weight=np.ones((2, 6))), NPZ),
    "`.safetensors` whose sizes allow two orders": (two_orders, SAFE),
    "a square matrix without a bias in front": (table_or_dense, NPZ),
    "FastGRNN with square matrices": (square, NPZ),
    "an architecture file that contradicts the tensors": known(DICTS, "cell"),
    "Keras: other layers": known(KERAS, "layer"),
    "Keras: hard_sigmoid and other gates": known(KERAS, "activation"),
    "Keras: branches": known(KERAS, "branch"),
    "Keras: stateful layers": known(KERAS, "stateful"),
    "Keras: `save_weights`": known(KERAS, "no config"),
}


def test_every_row_is_tested():
    assert list(ROWS) == list(CASES)


@pytest.mark.parametrize("what", CASES)
def test_refusal(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spoil, command = CASES[what]
    spoil(tmp_path)
    done = CliRunner().invoke(main, command.split())
    one_line(done.exit_code, done.stdout, done.stderr, "")
    assert ROWS[what] in done.stderr
