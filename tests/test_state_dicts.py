"""Files of weights: PyTorch's own results, the choices that names leave open, and files that are not to be trusted.

tests/corpus/make_state_dicts.py made the files; PyTorch is not needed here.
"""

import io
import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from networks import assert_close
from test_bad_input import one_line

import hmdc
from hmdc import frontends, reference, verify
from hmdc.cli import main
from hmdc.data import Data
from hmdc.errors import HmdcError

CORPUS = Path(__file__).parent / "corpus" / "dicts"
EXPECTED = np.load(CORPUS / "expected.npz")
STEPS = 7

RNN, FC = '{type = "%s", weights = "rnn"%s}', '{type = "dense", weights = "fc"}'
# file -> its layers where names and shapes do not tell
TOLD = {
    "rnn_relu": [RNN % ("rnn", ', activation = "relu"'), '{type = "last"}', FC],
    "both_last": [RNN % ("lstm", ", bidirectional = true"), '{type = "last"}', FC],
    "both_final": [RNN % ("gru", ""), '{type = "final"}', FC],
    "projected_both": [RNN % ("lstm", ""), '{type = "final"}', FC],
    "mean": [RNN % ("lstm", ""), '{type = "mean"}', FC],
    "all": [RNN % ("gru", ""), FC],
    "cells": ['{type = "dense", weights = "front"}', '{type = "relu"}', '{type = "gru", weights = "gru"}',
              '{type = "lstm", weights = "lstm"}', '{type = "last"}'],
    "layer_norm": [RNN % ("gru", ""), '{type = "last"}', '{type = "layernorm", weights = "ln", epsilon = 1e-5}', FC],
}  # fmt: skip
FILES = ["lstm.pt", "lstm.safetensors", "gru.pt", "rnn.pt", "no_bias.pt", "norm.pt", "projected.pt",
         "both_last.safetensors", *(f"{name}.pt" for name in TOLD)]  # fmt: skip


def architecture(folder: Path, *layers: str, more: str = "") -> Path:
    path = folder / "arch.toml"
    path.write_text(f"{more}\nlayer = [{', '.join(layers)}]\n" if layers else more)
    return path


def case(file: str, folder: Path):
    """The model, inputs and what PyTorch computes."""
    name = file.partition(".")[0]
    told = architecture(folder, *TOLD[name]) if name in TOLD else None
    return frontends.load(CORPUS / file, STEPS, None, told), EXPECTED[f"{name}/x"], EXPECTED[f"{name}/y"]


@pytest.mark.parametrize("file", FILES)
def test_equals_pytorch(file, tmp_path):
    model, x, y = case(file, tmp_path)
    assert_close(reference.evaluate(model, {"x": x})["y"], y.astype(np.float64), 1e-6, file)


@pytest.mark.parametrize(
    "file", ["lstm.pt", "both_final.pt", "cells.pt", "all.pt", "projected.pt", "projected_both.pt"]
)
def test_int8_on_the_host(file, tmp_path):
    model, x, _ = case(file, tmp_path)
    np.savez(tmp_path / "c.npz", x=x)
    build = hmdc.compile(model, tmp_path / "out", calibration=tmp_path / "c.npz")
    result = verify.verify(hmdc.load(build.path), Data({"x": x.astype(np.float64)}, None))
    assert result.passed and result.figures["snr_db"] > 20


def test_projection_has_factors(tmp_path):
    """The product of W_hh and W_hr is never stored."""
    build = hmdc.compile(CORPUS / "projected.pt", tmp_path / "out", steps=STEPS, precision="float32")
    structures = {m["name"]: (m["structure"], m["parameters"]) for r in build.report["layers"] for m in r["matrices"]}
    assert structures["lstm1.u"] == structures["lstm2.u"] == ("lowrank", 24 * 3 + 3 * 6)


def test_same_c_as_from_onnx(tmp_path):
    """The example network from its weights and from its export: the same constants, the same calls."""
    examples = Path(__file__).parents[1] / "examples"
    texts = []
    for file in ("vowels_gru.pt", "vowels_gru.onnx"):
        calibration = examples / "vowels_calibration.npz"
        build = hmdc.compile(examples / file, tmp_path / file, steps=29, calibration=calibration, name="vowels")
        text = build.source.read_text().replace("logits", "y")
        texts.append([line for line in text.splitlines() if "sha256" not in line])
    assert texts[0] == texts[1]


def test_npz_equals_pt(tmp_path):
    np.savez(tmp_path / "lstm.npz", **torch_arrays("lstm.pt"))
    x = EXPECTED["lstm/x"]
    y = reference.evaluate(frontends.load(tmp_path / "lstm.npz", STEPS), {"x": x})["y"]
    assert_close(y, EXPECTED["lstm/y"].astype(np.float64), 1e-6, "npz")


def torch_arrays(file: str) -> dict[str, np.ndarray]:
    from hmdc.frontends.dicts.tensors import read

    return read(CORPUS / file).arrays


def test_found(tmp_path):
    """The table says what was found and what was assumed, and a checkpoint's optimizer is left alone."""
    model = frontends.load(CORPUS / "checkpoint.pt", STEPS)
    rows = [(r["layer"], r["weights"], r["input"], r["output"]) for r in model.found]
    assert rows == [("lstm", "model_state.module.rnn", 4, 6), ("last", "-", 6, 6),
                    ("dense", "model_state.module.fc", 6, 3)]  # fmt: skip
    assert "assumed" in model.found[1]["found"]
    told = architecture(tmp_path, more='steps = 9\ninput = 4\nprefix = "model_state.module"')
    model = frontends.load(CORPUS / "checkpoint.pt", None, None, told)
    assert model.steps == 9 and model.found[0]["weights"] == "rnn"
    command = ["inspect", str(CORPUS / "checkpoint.pt"), "--steps", "7", "--json", str(tmp_path / "r.json")]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0 and "model_state.module.fc" in done.stdout and "7 steps" in done.stdout
    assert json.loads((tmp_path / "r.json").read_text())["found"][0]["layer"] == "lstm"


def test_bfloat16():
    for a in torch_arrays("bfloat16.pt").values():
        assert 0.01 < np.abs(a).max() < 0.41 and not (a.astype(np.float32).view(np.uint32) & 0xFFFF).any()


# --- what is refused


def with_arrays(**changes):
    """lstm.pt as .npz, changed; None: without."""

    def spoil(folder):
        arrays = torch_arrays("lstm.pt") | {k.replace("__", "."): v for k, v in changes.items()}
        np.savez(folder / "m.npz", **{k: v for k, v in arrays.items() if v is not None})

    return spoil


def copy(file):
    return lambda folder: shutil.copy(CORPUS / file, folder / file)


def toml(text, file="lstm.pt"):
    def spoil(folder):
        shutil.copy(CORPUS / file, folder / "m.pt")
        (folder / "a.toml").write_text(text)

    return spoil


def archive(content: bytes, name: str = "net/data.pkl", **more: bytes):
    def spoil(folder):
        with zipfile.ZipFile(folder / "m.pt", "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr(name, content)
            for k, v in more.items():
                z.writestr(f"net/{k}", v)

    return spoil


class System:
    def __reduce__(self):
        return os.system, ("touch owned",)


def tensor(storage=b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04",
           size=b"K\x04\x85", stride=b"K\x01\x85", offset=b"K\x00"):  # fmt: skip
    """The pickle of {'w': a tensor}."""
    return (b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((" + storage + b"tQ" + offset + size
            + stride + b"\x89ccollections\nOrderedDict\n)RtRs.")  # fmt: skip


def safe(header: bytes, size: int | None = None):
    content = (len(header) if size is None else size).to_bytes(8, "little") + header
    return lambda folder: (folder / "m.safetensors").write_bytes(content)


LAUGHS = b"\x80\x02}" + b"".join(b"q%c}(X\x01\x00\x00\x00ah%cX\x01\x00\x00\x00bh%cu" % (i, i, i) for i in range(40))
F32 = b'"dtype":"F32"'
BIG = (
    np.lib.format.magic(1, 0) + b"\x76\x00" + b"{'descr':'<f4','fortran_order':False,'shape':(99999999999,)}".ljust(118)
)
PT, NPZ, SAFE = (f"inspect m.{s} --steps 7" for s in ("pt", "npz", "safetensors"))
ARCH = "inspect m.pt --steps 7 --architecture a.toml"

REFUSED = [
    ("steps", copy("lstm.pt"), "inspect lstm.pt", "does not tell how many time steps a sequence has: --steps N"),
    ("many steps", copy("lstm.pt"), "inspect lstm.pt --steps 99999999", "--steps 99999999: 1 to 65536"),
    ("input shape", copy("lstm.pt"), "inspect lstm.pt --steps 7 --input-shape x=7x4", "--input-shape is for ONNX"),
    ("legacy", copy("legacy.pt"), "inspect legacy.pt --steps 7", "before 1.6.*torch.save"),
    ("module", copy("module.pt"), "inspect module.pt --steps 7", "holds __main__.Net.*state_dict"),
    ("both", copy("both_last.pt"), "inspect both_last.pt --steps 7",
     r'bidirectional .*layer = \[\{type = "lstm", weights = "rnn"\}, \{type = "last . final . mean"\}, \{type = '),
    ("activation", copy("cells.pt"), "inspect cells.pt --steps 7",
     r"which activation comes between dense 'front' and gru .*weights = \"front\"\}, \{type = \"relu\"\}"),
    # tensors
    ("two heads", with_arrays(fc2__weight=np.ones((2, 6))), NPZ, "fit .*order.*dense 'fc' 6 -> 3, dense 'fc2' 6 -> 2"),
    ("mlp", with_arrays(fc2__weight=np.ones((2, 3))), NPZ, "which activation comes between dense 'fc' and dense 'fc2'"),
    ("norm", with_arrays(ln__weight=np.ones(6)), NPZ, 'which norm .*"layernorm", weights = "ln", epsilon = 1e-5'),
    ("conv", with_arrays(conv__weight=np.ones((4, 4, 3))), NPZ, "strides and padding of convolutions"),
    ("stranger", with_arrays(alpha=np.ones(1)), NPZ, r"'alpha' \[1\] belongs to no layer .* ignore = \[\"alpha\"\]"),
    ("stranger inside", with_arrays(rnn__peephole=np.ones(6)), NPZ, "'rnn.peephole'.*belongs to no layer"),
    ("no half", with_arrays(rnn__weight_hh_l0=None), NPZ, "'rnn.weight_hh_l0' is missing"),
    ("one bias", with_arrays(rnn__bias_hh_l0=None), NPZ, "'rnn.bias_hh_l0' is missing"),
    ("rows", with_arrays(rnn__weight_hh_l0=np.ones((12, 6))), NPZ, "12, 6.; an LSTM has 4 rows per hidden unit"),
    ("columns", with_arrays(rnn__weight_ih_l0=np.ones((23, 4))), NPZ, r"\[23, 4\] where \[24, any\]"),
    ("empty", with_arrays(rnn__weight_hh_l0=np.ones((0, 0))), NPZ, r"shape \[0, 0\]"),
    ("NaN", with_arrays(fc__bias=np.full(3, np.nan)), NPZ, "'fc.bias' has values that are NaN"),
    ("integers", with_arrays(fc__bias=np.ones(3, int)), NPZ, "'fc.bias' has type int64"),
    ("objects", with_arrays(fc__bias=np.array([System()])), NPZ, "Object arrays cannot be loaded"),
    ("no cell", with_arrays(**{f"rnn__{k}_l0": None for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}),
     NPZ, "no recurrent layer is found by name, only dense 'fc'"),
    # the architecture file
    ("no toml", toml("layer = ["), ARCH, "a.toml is no TOML"),
    ("key", toml("layers = []"), ARCH, "no key 'layers'; known are steps, input, prefix, ignore, layer"),
    ("kind", toml('steps = "7"'), ARCH, "steps = '7' is no number"),
    ("type", toml('layer = [{type = "conv"}]'), ARCH, "type is one of lstm, gru"),
    ("weights", toml('layer = [{type = "lstm"}]'), ARCH, "lstm needs weights"),
    ("option", toml('layer = [{type = "lstm", weights = "rnn", units = 3}]'), ARCH, "no option 'units'; known are"),
    ("name", toml('layer = [{type = "lstm", weights = "r"}]'), ARCH, r"no tensor is called r\.\*; there are rnn, fc"),
    ("cell", toml('layer = [{type = "gru", weights = "rnn"}]'), ARCH, "are those of type 'lstm', not 'gru'"),
    ("directions", toml('layer = [{type = "lstm", weights = "rnn", bidirectional = true}]'), ARCH,
     "bidirectional = false"),
    ("left over", toml('layer = [{type = "lstm", weights = "rnn"}]'), ARCH, "'fc.weight' .*ignore"),
    ("order", toml(f'layer = [{FC}, {RNN % ("lstm", "")}]'), ARCH, "lstm 'rnn' takes 4 values but gets 3"),
    ("input", toml("input = 5"), ARCH, "input = 5|fit"),
    ("after last", toml(f'layer = [{{type = "last"}}, {RNN % ("lstm", "")}, {FC}]'), ARCH, "needs every time step"),
    ("final after dense", toml(f'layer = [{RNN % ("lstm", "")}, {FC}, {{type = "final"}}]'), ARCH,
     "final comes right after a recurrent layer"),
    ("onnx", lambda f: (f / "m.onnx").touch(), "inspect m.onnx --architecture a.toml", "is for files of weights"),
    # files that lie
    ("system", archive(pickle.dumps({"w": System()})), PT, "holds posix.system|holds os.system"),
    ("eval", archive(pickle.dumps({"w": eval})), PT, "holds builtins.eval|holds __builtin__.eval"),
    ("numpy", archive(pickle.dumps({"w": np.ones(3)})), PT, "holds numpy.*_reconstruct"),
    ("persistent", archive(b"\x80\x02}X\x01\x00\x00\x00wX\x03\x00\x00\x00fooQs."), PT, "without its storage"),
    ("instance", archive(b"(ios\nsystem\n."), PT, r"holds objects \(INST\)"),
    ("object", archive(b"\x80\x02cos\nsystem\n)\x81."), PT, r"holds os.system"),
    ("set state", archive(b"\x80\x02K\x01}b."), PT, "no dict"),
    ("tuples as keys", archive(b"\x80\x02})K\x01s."), PT, "keys that are no names"),
    ("laughs", archive(LAUGHS + b"."), PT, "too deeply"),
    ("cycle", archive(b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s."), PT, "too deeply"),
    ("memo", archive(b"\x80\x02}r\xff\xff\xff\x7f."), PT, "holds no tensors"),
    ("marks", archive(b"\x80\x02" + b"(" * 900_000 + b"t" * 900_000 + b"."), PT, "holds no tensors"),
    ("no storage", archive(tensor()), PT, "data/0"),
    ("outside", archive(tensor(), **{"data/0": bytes(8)}), PT, "ends at number 3 of 2"),
    ("path", archive(tensor().replace(b"\x01\x00\x00\x000", b"\x0a\x00\x00\x00../../../x")), PT, "no item named"),
    ("huge", archive(tensor(size=b"J\xff\xff\xff\x7f\x85", stride=b"K\x00\x85"), **{"data/0": bytes(8)}), PT,
     "tensors of 2147483647 numbers"),
    ("negative", archive(tensor(offset=b"J\xff\xff\xff\xff"), **{"data/0": bytes(8)}), PT, "impossible shape"),
    ("bomb", archive(tensor(), **{"data/0": bytes(1 << 27)}), PT, "unpacks to 134"),
    ("script", archive(b"", **{"constants.pkl": b""}), PT, "TorchScript"),
    ("no list", archive(b"", "a/b/data.pkl"), PT, "no list of tensors data.pkl"),
    ("one tensor", archive(tensor()[:2] + tensor()[9:-2] + b"."), PT, "data/0|no tensors by name"),
    ("truncated", lambda f: (f / "m.pt").write_bytes((CORPUS / "lstm.pt").read_bytes()[:900]), PT, "no zip file"),
    ("npz that lies", lambda f: archive(BIG, "w.npy")(f) or (f / "m.pt").rename(f / "m.npz"), NPZ, "m.npz is damaged"),
    ("safetensors header", safe(b"{}", 1 << 60), SAFE, "m.safetensors is damaged"),
    ("safetensors offset", safe(b'{"w":{' + F32 + b',"shape":[4],"data_offsets":[0,16]}}'), SAFE, "is damaged"),
    ("safetensors shape", safe(b'{"w":{' + F32 + b',"shape":[9999999999,99],"data_offsets":[0,0]}}'), SAFE, "is"),
    ("safetensors type", safe(b'{"w":{"dtype":"I8","shape":[0],"data_offsets":[0,0]}}'), SAFE, "'w' has type I8"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "command", "pattern"), [pytest.param(*c[1:], id=c[0]) for c in REFUSED])
def test_refused(tmp_path, monkeypatch, spoil, command, pattern):
    monkeypatch.chdir(tmp_path)
    spoil(tmp_path)
    done = CliRunner().invoke(main, command.split())
    one_line(done.exit_code, done.stdout, done.stderr, pattern)
    assert not (tmp_path / "owned").exists()


def test_order_of_safetensors(tmp_path):
    """Sizes tell the order; where they do not, both orders are shown."""
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    cell = lambda i, h: {"weight_ih": rng.normal(size=(4 * h, i)), "weight_hh": rng.normal(size=(4 * h, h))}
    save = lambda **cells: save_file(
        {f"{k}.{n}": a for k, c in cells.items() for n, a in c.items()}, tmp_path / "m.safetensors"
    )
    save(a=cell(5, 6), b=cell(4, 5), c=cell(6, 2))
    assert [r["weights"] for r in frontends.load(tmp_path / "m.safetensors", 3).found] == ["b", "a", "c", "-"]
    save(a=cell(5, 5), b=cell(5, 5))
    with pytest.raises(HmdcError, match=r'several orders; .*layer = \[\{type = "lstm", weights = "a"\}.* or layer = '):
        frontends.load(tmp_path / "m.safetensors", 3)


FUZZ = """
import sys, signal, resource
from pathlib import Path
import numpy as np
from hmdc import frontends
from hmdc.errors import HmdcError
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
rng, folder = np.random.default_rng(5), Path(sys.argv[1])
for file in sorted(folder.glob("seed*")):
    blob, path = file.read_bytes(), folder / ("m" + file.suffix)
    for _ in range(int(sys.argv[2])):
        content = bytearray(blob[: rng.integers(1, len(blob))] if rng.random() < 0.1 else blob)
        for at in rng.integers(len(content), size=rng.integers(1, 5)):
            content[at] = rng.integers(256)
        path.write_bytes(content)
        signal.alarm(10)
        try:
            frontends.load(path, 7)
        except HmdcError as e:
            assert "\\n" not in str(e)
"""


def test_fuzz(tmp_path):
    """Mutated files: a model or one line, in little time and memory.  The pickle is stored with a right checksum."""
    shutil.copy(CORPUS / "lstm.pt", tmp_path / "seed1.pt")
    shutil.copy(CORPUS / "lstm.safetensors", tmp_path / "seed2.safetensors")
    np.savez(tmp_path / "seed3.npz", **torch_arrays("lstm.pt"))
    done = subprocess.run([sys.executable, "-c", FUZZ, tmp_path, "300"], capture_output=True, text=True, timeout=60,
                          env=os.environ | {"OPENBLAS_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def test_fuzz_pickle():
    """The reader of pickles alone, whose input the zip file's checksum otherwise protects from mutation."""
    from hmdc.frontends.dicts.torch_zip import read_torch

    with zipfile.ZipFile(CORPUS / "checkpoint.pt") as z:
        members = {m: z.read(m) for m in z.namelist()}
    (name,) = (m for m in members if m.endswith("/data.pkl"))
    rng = np.random.default_rng(1)
    limit = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + (1 << 18)
    for _ in range(400):
        content = bytearray(members[name])
        for at in rng.integers(len(content), size=rng.integers(1, 4)):
            content[at] = rng.integers(256)
        blob = io.BytesIO()
        with zipfile.ZipFile(blob, "w") as z:
            for m, c in (members | {name: bytes(content)}).items():
                z.writestr(m, c)
        try:
            read_torch(Path("m.pt"), zipfile.ZipFile(blob), 1 << 24)
        except Exception as e:  # frontends.load makes one line of what is not one
            assert isinstance(e, HmdcError | ValueError | TypeError | KeyError | IndexError | AttributeError), repr(e)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < limit
