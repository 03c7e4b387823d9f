"""Keras' own files: what Keras computes, and what is refused.  tests/corpus/make_keras_files.py made them."""

import json
import shutil
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from networks import assert_close
from test_bad_input import one_line

import hmdc
from hmdc import frontends, reference, verify
from hmdc.cli import main
from hmdc.data import Data

CORPUS = Path(__file__).parent / "corpus" / "dicts"
EXPECTED = np.load(CORPUS / "keras.npz")
FILES = ["deep.keras", "before.keras", "backward.h5", "ends.keras", "windows.keras", "tokens.h5"]


@pytest.mark.parametrize("file", FILES)
def test_equals_keras(file):
    model, x, y = frontends.load(CORPUS / file, 7), EXPECTED[f"{file}/x"], EXPECTED[f"{file}/y"]
    assert_close(reference.evaluate(model, {"x": x})["y"], y.astype(np.float64), 1e-6, file)


@pytest.mark.parametrize("file", ["before.keras", "windows.keras", "tokens.h5"])
def test_int8_on_the_host(file, tmp_path):
    x = EXPECTED[f"{file}/x"]
    np.savez(tmp_path / "c.npz", x=x)
    build = hmdc.compile(CORPUS / file, tmp_path / "out", calibration=tmp_path / "c.npz")
    result = verify.verify(hmdc.load(build.path), Data({"x": x.astype(np.float64)}, None))
    assert result.passed and result.figures["snr_db"] > 20


def configured(change):
    """before.keras with another configuration."""

    def spoil(folder):
        with zipfile.ZipFile(CORPUS / "before.keras") as z:
            members = {m: z.read(m) for m in z.namelist()}
        config = json.loads(members["config.json"])
        change(config["config"]["layers"])
        with zipfile.ZipFile(folder / "m.keras", "w") as z:
            for m, content in (members | {"config.json": json.dumps(config).encode()}).items():
                z.writestr(m, content)

    return spoil


def weights(change):
    """backward.h5 with other weights."""

    def spoil(folder):
        shutil.copy(CORPUS / "backward.h5", folder / "m.h5")
        with h5py.File(folder / "m.h5", "r+") as file:
            change(file)

    return spoil


def replaced(link):
    def change(file):
        name = next(n for n in _datasets(file) if "/dense" in n and n.endswith("/bias"))
        del file[name]
        file[name] = link

    return weights(change)


def _datasets(file) -> list[str]:
    names = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


def option(layer: int, **options):
    return configured(lambda layers: layers[layer]["config"].update(options))


def h5(file: str, **options):
    """A file of .h5 with another configuration of its layers that have these options."""

    def spoil(folder):
        shutil.copy(CORPUS / file, folder / "m.h5")
        with h5py.File(folder / "m.h5", "r+") as content:
            config = json.loads(content.attrs["model_config"])
            for layer in config["config"]["layers"]:
                layer["config"].update({k: v for k, v in options.items() if k in layer["config"]})
            content.attrs["model_config"] = json.dumps(config)

    return spoil


def windows(**options):
    """windows.keras likewise."""

    def spoil(folder):
        with zipfile.ZipFile(CORPUS / "windows.keras") as z, zipfile.ZipFile(folder / "m.keras", "w") as out:
            config = json.loads(z.read("config.json"))
            for layer in config["config"]["layers"]:
                layer["config"].update({k: v for k, v in options.items() if k in layer["config"]})
            out.writestr("config.json", json.dumps(config))
            out.writestr("model.weights.h5", z.read("model.weights.h5"))

    return spoil


KERAS, H5 = "inspect m.keras --steps 7", "inspect m.h5 --steps 7"
REFUSED = [
    ("steps", lambda f: shutil.copy(CORPUS / "ends.keras", f / "m.keras"), "inspect m.keras", "how many time steps"),
    ("other steps", option(1), "inspect m.keras --steps 9", "--steps 9 contradicts the model, whose input has 7"),
    ("architecture", option(1), KERAS + " --architecture a.toml", "m.keras tells all but --steps"),
    ("layer", configured(lambda layers: layers[1].update(class_name="Conv2D")), KERAS, "is a Conv2D; known are LSTM"),
    ("activation", option(1, recurrent_activation="hard_sigmoid"), KERAS, "'tanh' and 'hard_sigmoid'.*tf2onnx"),
    ("stateful", option(1, stateful=True), KERAS, "is stateful"),
    ("backward", option(1, go_backwards=True), KERAS, "gives its steps backward"),
    ("units", option(1, units=5), KERAS, r"has weights \[\[4, 12\], \[4, 12\], \[12\]\] where"),
    ("branch", configured(lambda layers: layers[2].update(inbound_nodes=[[["other", 0, 0, {}]]])), KERAS,
     "reads something else than the layer before"),
    ("input", option(0, batch_shape=[None, 4]), KERAS, "the input has shape .None, 4."),
    ("mask", h5("tokens.h5", mask_zero=True), H5, "masks its token 0.*tf2onnx"),
    ("channels first", windows(data_format="channels_first"), KERAS, "'channels_first'; valid, same or causal and"),
    ("means", windows(padding="same"), KERAS, "has padding 'same', which its means leave out"),
    ("filters", windows(filters=5), KERAS, "has weights .* where"),
    ("no config", weights(lambda file: file.attrs.__delitem__("model_config")), H5, "without the model's config"),
    ("external", replaced(h5py.ExternalLink("/etc/other.h5", "/w")), H5, "no .* of their own"),
    ("soft", replaced(h5py.SoftLink("/nowhere")), H5, "no .* of their own"),
    ("integers", replaced(np.ones(2, int)), H5, "holds no plain float numbers"),
    ("NaN", replaced(np.full(2, np.nan, np.float32)), H5, "NaN or infinite"),
    ("damaged", lambda f: (f / "m.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), H5, "m.h5 is damaged"),
    ("no zip", lambda f: (f / "m.keras").write_bytes(b"PK"), KERAS, "m.keras is damaged"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "command", "pattern"), [pytest.param(*c[1:], id=c[0]) for c in REFUSED])
def test_refused(tmp_path, monkeypatch, spoil, command, pattern):
    monkeypatch.chdir(tmp_path)
    spoil(tmp_path)
    done = CliRunner().invoke(main, command.split())
    one_line(done.exit_code, done.stdout, done.stderr, pattern)


def test_without_h5py(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    done = CliRunner().invoke(main, ["inspect", str(CORPUS / "deep.keras"), "--steps", "7"])
    one_line(done.exit_code, done.stdout, done.stderr, r"pip install 'hmdc\[keras\]'")
