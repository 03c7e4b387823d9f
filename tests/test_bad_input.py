"""Bad input: exactly one line that says what is wrong, exit code 2, and nothing written.

A case is a name, what spoils the folder (see spoil.py), the command, and what the line must say.
"""

import json
import os
import pickle
import re
import resource
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto
from spoil import (
    NAMES,
    Bomb,
    arrays,
    attribute,
    before,
    bomb,
    both,
    constant_output,
    cut,
    cyclic,
    declared,
    edit,
    external,
    functions,
    like,
    link,
    model,
    network,
    no_tools,
    nothing,
    samples,
    shape,
    subgraph,
    text,
    weight,
    zeros,
)

from hmdc.cli import main

GOOD = "compile m.onnx --calibration c.npz -o out"
MEMORY = 1 << 30  # bytes
DAMAGED = "not a readable ONNX file|no ONNX graph"
VERIFY = "verify b --data c.npz"
BIG = np.array([1 << 20, 1 << 20], np.int64)

CASES = [
    # the file
    ("missing", nothing, "compile nope.onnx --calibration c.npz -o out", "nope.onnx: no such model file"),
    ("folder", lambda f: (f / "d.onnx").mkdir(), "inspect d.onnx", "d.onnx: a folder, not a model file"),
    ("empty", text("m.onnx", ""), GOOD, DAMAGED),
    ("text", text("m.onnx", "hello, I am a network\n" * 9), GOOD, DAMAGED),
    ("random", text("m.onnx", np.random.default_rng(3).bytes(999)), GOOD, DAMAGED),
    ("suffix", text("m.tflite", "x"), "inspect m.tflite", "'.tflite' are not read; known: .onnx, .npz"),
    ("no suffix", text("m", "x"), "inspect m", "'none' are not read"),
    ("no graph", model(lambda g: onnx.ModelProto(ir_version=8)), GOOD, DAMAGED),
    ("no outputs", model(lambda g: g.ClearField("output")), GOOD, DAMAGED),
    ("no nodes", model(lambda g: g.ClearField("node")), GOOD, "output 'y' .*no node"),
    # operators
    ("unknown operator", model(lambda g: setattr(g.node[0], "op_type", "Frobnicate")), GOOD,
     r"'gru' \(Frobnicate\): hmdc cannot compile this operator; known: "),
    ("custom domain", before("GRU", domain="my.ops"), GOOD, r"'early' \(my.ops.GRU\): hmdc cannot compile"),
    ("If", subgraph("If"), GOOD, r"\(If\).*; export one branch"),
    ("Loop", subgraph("Loop"), GOOD, r"\(Loop\).*; keep the recurrent layer whole"),
    ("Scan", subgraph("Scan"), GOOD, r"\(Scan\).*; keep the recurrent layer whole"),
    ("random numbers", before("RandomNormalLike"), GOOD, r"\(RandomNormalLike\): hmdc cannot compile"),
    ("functions without end", functions(["f1"], ["f0"]), GOOD, "calls itself"),
    ("billion laughs", functions(*([f"f{i + 1}"] * 9 for i in range(30)), ["Relu"]), GOOD, "stand for [0-9]{9,} nodes"),
    # weights
    ("W of rank 2", weight("W", np.ones((6, 4), np.float32)), GOOD, r"'gru'.*W has shape \[6, 4\], \[1, 6, 4\] fits"),
    ("R of rank 4", weight("R", np.ones((1, 6, 2, 1), np.float32)),
     GOOD, r"hidden_size is 2 but R has shape \[1, 6, 2, 1\]"),
    ("B of rank 1", weight("B", np.ones(12, np.float32)), GOOD, "'gru'.*B"),
    ("X of rank 2", shape(0, (3, 4)), GOOD, "'gru'"),
    ("W for other inputs", weight("W", np.ones((1, 6, 5), np.float32)), GOOD, "4 features but W takes 5"),
    ("W of another size", weight("W", np.ones((1, 9, 4), np.float32)),
     GOOD, r"W has shape \[1, 9, 4\], \[1, 6, 4\] fits"),
    ("R of another size", weight("R", np.ones((1, 9, 3), np.float32)),
     GOOD, r"hidden_size is 2 but R has shape \[1, 9, 3\]"),
    ("hidden_size", model(lambda g: setattr(g.node[0].attribute[0], "i", 5)), GOOD,
     r"hidden_size is 5 but R has shape \[1, 6, 2\]"),
    ("NaN", like("W", value=np.nan), GOOD, "'W' has values that are NaN"),
    ("infinity", like("R", value=np.inf), GOOD, "'R' has values that are NaN or infinite"),
    ("huge", like("V", value=1e38), GOOD, "beyond 1e30"),
    ("integers", like("V", np.int32, 1), GOOD, "'gru2'.*int32"),
    ("gru of integers", like("W", np.int64, 1), GOOD, "'gru'.*int64"),
    ("strings", weight("V", np.array([["a", "b", "c"]] * 2, object)), GOOD, "'V' have type object"),
    ("complex", like("V", np.complex64, 1), GOOD, "'V' have type complex64"),
    ("no data", declared("W", (1, 6, 4)), GOOD, r"'W' of shape \[1, 6, 4\] cannot be read"),
    ("memory without data", declared("W", (1 << 20, 1 << 20)), GOOD, "'W' has shape .* numbers"),
    ("negative shape", declared("W", (-6, -4)), GOOD, r"'W' has shape \[-6, -4\]"),
    ("overflowing shape", declared("W", (1 << 62, 4)), GOOD, "'W' has shape"),
    # memory bombs
    ("ConstantOfShape", bomb("ConstantOfShape", ["s"], s=BIG), GOOD, "'bomb' .* numbers"),
    ("ConstantOfShape beyond int64", bomb("ConstantOfShape", ["s"], s=np.array([1 << 40, 1 << 40])), GOOD, "'bomb'"),
    ("Expand", bomb("Expand", ["v", "s"], v=np.float32(1), s=BIG), GOOD, "'bomb' .* numbers"),
    ("Tile", bomb("Tile", ["v", "s"], v=np.ones((1, 1), np.float32), s=BIG), GOOD, "'bomb' .* numbers"),
    ("Range", bomb("Range", ["a", "b", "d"], a=np.float32(0), b=np.float32(1e15), d=np.float32(1)), GOOD, "'bomb'"),
    ("Range of integers", bomb("Range", ["a", "b", "d"], a=np.int64(0), b=np.int64(1 << 50), d=np.int64(1)),
     GOOD, "'bomb'"),
    ("Range to infinity", bomb("Range", ["a", "b", "d"], a=np.float32(0), b=np.float32(np.inf), d=np.float32(1)),
     GOOD, "'bomb'"),
    ("Pad", bomb("Pad", ["v", "s"], v=np.ones(1, np.float32), s=np.array([0, 1 << 40])), GOOD, "'bomb'"),
    ("huge input", shape(0, (1 << 30, 1, 4)), GOOD, "input 'x' has shape .* numbers"),
    ("many steps", nothing, "inspect m.onnx --input-shape x=3x1x999999999", "does not fit"),
    # the graph
    ("cycle", model(cyclic), GOOD, "'gru'.* reads 'z', which nothing before it computes"),
    ("undefined value", model(lambda g: g.node[1].input.__setitem__(0, "ghost")), GOOD, "'gru2'.* reads 'ghost'"),
    ("value written twice", model(lambda g: g.node[1].output.__setitem__(0, "last")),
     GOOD, "writes 'last', which exists"),
    ("output twice", model(lambda g: setattr(g.output[1], "name", "y")), GOOD, "output 'y' is listed twice"),
    ("constant output", model(constant_output), GOOD, "output 'z' is a constant"),
    ("constant data", model(lambda g: g.node[1].input.__setitem__(0, "R")), GOOD, "output 'y' is a constant"),
    ("input of text", model(lambda g: setattr(g.input[0].type.tensor_type, "elem_type", TensorProto.STRING)),
     GOOD, "x|gru"),
    ("input of integers", model(lambda g: setattr(g.input[0].type.tensor_type, "elem_type", TensorProto.INT64)),
     GOOD, "x|gru"),
    ("sequence input", model(lambda g: g.input[0].type.sequence_type.elem_type.tensor_type.SetInParent()),
     GOOD, "'x' is no tensor"),
    ("activations", attribute(activations=["Erf", "Tanh"]), GOOD, "'erf', 'tanh'.* are not compiled; use "),
    ("no alpha", attribute(activations=["Affine", "Tanh"]), GOOD, r"'affine\(,\)' needs numbers"),
    ("too many alphas", attribute(activations=["Elu", "Tanh"], activation_alpha=[1.0, 2.0]), GOOD, "more values than"),
    ("direction", attribute(direction="sideways"), GOOD, "direction .*sideways"),
    # external weights
    ("external missing", external("gone.bin"), GOOD, "'gone.bin' is missing; keep it beside"),
    ("external above", external("../w.bin"), GOOD, "outside the model's folder"),
    ("external hidden above", external("a/../../w.bin"), GOOD, "outside the model's folder"),
    ("external absolute", external("/etc/passwd"), GOOD, "outside the model's folder"),
    ("external on Windows", external("C:\\w.bin"), GOOD, "outside the model's folder"),
    ("external link", both(external(files=()), link), GOOD, "outside the model's folder"),
    ("external offset", external(offset=90), GOOD, "which has 96|cannot be read"),
    ("external offset beyond", external(offset=97), GOOD, r"need bytes 97\.\..* which has 96"),
    ("external length", external(length=-4), GOOD, r"need bytes 0\.\.-4"),
    ("external words", external(length="many"), GOOD, "no valid offset and length"),
    ("external folder", both(external("d"), lambda f: (f / "d").mkdir()), GOOD, "missing"),
    # shapes and steps
    ("batch", shape(0, (3, 2, 4)), GOOD, "batch of 2|shapes do not fit"),
    ("open time", shape(0, ("t", 1, 4)), GOOD, "axis 0 of input 'x' is time and open; .* --steps N"),
    ("no steps", shape(0, ("t", 1, 4)), GOOD + " --steps 0", "0 is not in the range x>=1; see hmdc compile --help"),
    ("zero steps", shape(0, (0, 1, 4)), GOOD, "axis 0 of input 'x' is time and open"),
    ("empty sequence", before("Slice", ["x", "c", "c"], {"c": np.array([2])}), GOOD, "'early'.* gives nothing"),
    ("contradicting steps", nothing, GOOD + " --steps 9", "--steps 9 contradicts the model, .* run 3 steps"),
    ("too many steps", shape(0, ("t", 1, 4)), GOOD + " --steps 9999999", "run 9999999 steps; 1 to|numbers"),
    ("shape syntax", nothing, GOOD + " --input-shape x=3,1,4", "--input-shape x=3,1,4: write it like x=1x49x10"),
    ("shape digits", nothing, GOOD + " --input-shape x=" + "9" * 5000, "input-shape x=9999"),
    ("shape zero", nothing, GOOD + " --input-shape x=0x1x4", "write it like"),
    ("shape name", nothing, GOOD + " --input-shape q=3x1x4", "--input-shape q: no such input; the inputs are x, h"),
    ("fixed steps", before("Reshape", ["x", "c"], {"c": np.array([4, 1, 4])}), GOOD,
     r"cannot make \[4, 1, 4\] of \[3, 1, 4\]"),
    ("shape fit", nothing, GOOD + " --input-shape x=3x1x5", r"x=3x1x5 does not fit the model's \[3, 1, 4\]"),
    # options
    ("name", nothing, GOOD + " --name a-b", "--name 'a-b' cannot prefix C symbols; try --name a_b"),
    ("name of a header", nothing, GOOD + " --name math", "try --name math_"),
    ("target", nothing, GOOD + " --target z80", "--target z80: unknown; known are cortex-m0, .*cortex-m4, "),
    ("precision", nothing, GOOD + " --precision int4", "--precision int4: unknown; known are int8, int16, float32"),
    ("mode", nothing, GOOD + " --mode fast", "--mode fast: unknown; known are auto, stream, sequence"),
    ("option", nothing, GOOD + " --fast", "No such option.*--fast.*; see hmdc compile --help"),
    ("argument", nothing, "compile -o out", "Missing argument 'MODEL'; see hmdc compile --help"),
    ("command", nothing, "decompile", "No such command 'decompile'"),
    ("place", nothing, VERIFY + " --on arduino", "--on arduino: no such board; known are host, .*mps2-an386"),
    ("bench on host", nothing, "bench b --on host", "--on host: .* emulated boards"),
    # calibration
    ("no calibration", nothing, "compile m.onnx -o out",
     r"needs typical inputs: --calibration DATA.npz; .*\(samples, 3, 1, 4\)"),
    ("calibration missing", nothing, "compile m.onnx --calibration n.npz -o out", "n.npz: no such data file"),
    ("calibration empty", arrays(), GOOD, "has no array 'x'"),
    ("no samples", arrays(x=np.zeros((0, 3, 1, 4))), GOOD, "at least 1"),
    ("wrong shape", arrays(x=np.zeros((5, 3, 1, 5))), GOOD, r"\(5, 3, 1, 5\) but \(samples, 3, 1, 4\) is wanted"),
    ("scalar", arrays(x=np.float32(1)), GOOD, r"has shape \(\)"),
    ("wrong array", arrays(z=np.zeros((5, 3, 1, 4))), GOOD, "array 'z' is no input of the model; its inputs are x, h"),
    ("texts", arrays(x=np.full((5, 3, 1, 4), "a")), GOOD, "has type <U1; numbers"),
    ("objects", arrays(x=np.full((5, 3, 1, 4), Bomb())), GOOD, "plain arrays"),
    ("pickle", text("c.npz", pickle.dumps(Bomb())), GOOD, "plain arrays"),
    ("NaN in data", arrays(x=np.full((5, 3, 1, 4), np.nan)), GOOD, r"'x' has the value nan at \[0, 0, 0, 0\]"),
    ("beyond float", arrays(x=np.full((5, 3, 1, 4), 1e39)), GOOD, "'x' has the value 1e"),
    ("counts", arrays(**samples(), h=np.zeros((4, 1, 1, 2))), GOOD, "numbers of samples .* must be equal"),
    ("truncated", cut("c.npz", 300), GOOD, "not a readable .npz"),
    ("zip bomb", zeros(1 << 25), GOOD, "holds 402653.* bytes of arrays; the most is .*: use fewer"),
    ("many small numbers", zeros(1 << 22), GOOD, "holds 50331648 values; the most is .*: use fewer"),
    ("infinite activations", both(like("V", value=1e29), arrays(x=samples()["x"] * 1e30)), GOOD, "beyond int32"),
    # labels
    ("labels too few", arrays(**samples(), y=np.zeros(4, int)), VERIFY, r"labels y .*\(4,\); 5 integers are wanted"),
    ("labels of text", arrays(**samples(), y=np.full(5, "a")), VERIFY, "labels y have type <U1"),
    ("labels of another shape", arrays(**samples(), y=np.zeros((5, 7), int)), VERIFY, r"labels y have shape \(5, 7\)"),
    # places to write
    ("folder of others", both(lambda f: (f / "out").mkdir(), lambda f: (f / "out/mine").touch()),
     GOOD, "out exists and was not made by hmdc"),
    ("file in place", lambda f: (f / "out").touch(), GOOD, "out exists and was not made by hmdc"),
    ("parent is a file", nothing, "compile m.onnx --calibration c.npz -o c.npz/out", "c.npz/out cannot be written"),
    ("proc", nothing, "compile m.onnx --calibration c.npz -o /proc/x", "/proc/x cannot be written"),
    ("long name", nothing, "compile m.onnx --calibration c.npz -o " + "o" * 300,
     "cannot be written: File name too long"),
    ("json in no folder", nothing, GOOD + " --json c.npz/r.json", "--json c.npz/r.json cannot be written"),
    ("json is a folder", nothing, "inspect m.onnx --json b", "--json b cannot be written"),
    ("json in proc", nothing, "verify b --data c.npz --json /proc/x", "/proc/x cannot be written"),
    ("run to a folder", nothing, "run b --data c.npz -o b", "--out b cannot be written"),
    ("run to nowhere", nothing, "run b --data c.npz -o /proc/x/y.npz", "/proc/x/y.npz cannot be written"),
    # builds
    ("verify no build", nothing, "verify . --data c.npz", "is no folder that hmdc compile made; run hmdc compile"),
    ("run no build", nothing, "run . --data c.npz -o o.npz", "is no folder that hmdc compile made"),
    ("no build file", lambda f: (f / "b/.hmdc/build").unlink(), VERIFY, "b is damaged"),
    ("build file cut", cut("b/.hmdc/build", 50), VERIFY, "b is damaged"),
    ("build file of another kind", text("b/.hmdc/build", "[1, 2]"), VERIFY, "b is damaged"),
    ("model cut", cut("b/.hmdc/model.npz", 700), VERIFY, "damaged"),
    ("model empty", text("b/.hmdc/model.npz", ""), VERIFY, "damaged"),
    ("model missing", lambda f: (f / "b/.hmdc/model.npz").unlink(), VERIFY, "damaged"),
    ("another version", edit("b/.hmdc/build", '"version": "', '"version": "9.'),
     VERIFY, r"made by hmdc 9\..*, this is .*; run hmdc compile again"),
    ("another name", edit("b/.hmdc/build", '"name": "m"', '"name": "../q"'), VERIFY, "b is damaged .*/q.json"),
    ("scale lost", edit("b/.hmdc/build", '"x": [', '"q": ['), VERIFY, "b is damaged"),
    ("report edited", edit("b/m.json", '"ram_bytes": ', '"ram_bytes": 1'),
     VERIFY, "m.json is not the one that was compiled"),
    ("report cut", cut("b/m.json", 30), VERIFY, "b is damaged"),
    ("C missing", lambda f: (f / "b/m.c").unlink(), VERIFY, "m.c is missing; run hmdc compile again"),
    ("C does not compile", edit("b/m.c", "void m_reset", "boo m_reset"), VERIFY, "gcc cannot compile m.c: .*error"),
    ("C does not compile for a board", edit("b/m.c", "void m_reset", "boo m_reset"), "bench b",
     "arm-none-eabi-gcc failed: .*error"),
    ("C without a function", edit("b/m.c", "m_set_h(", "m_other("), VERIFY, "m.c has no function m_set_h"),
    ("C calls nothing", edit("b/m.c", "void m_reset(m_state *s)\n{",
     "void nowhere(void);\nvoid m_reset(m_state *s)\n{ nowhere();"), VERIFY, "m.c cannot be loaded: .* nowhere"),
    ("C that never writes", edit("b/m.c", "    return 1;", "    return 0;"),
     VERIFY, "step writes 0 values of 'y' where"),
    ("no gcc", no_tools, VERIFY, "gcc is not installed: .* apt-get install gcc"),
    ("no cross compiler", no_tools, "bench b", "arm-none-eabi-gcc is not installed: .* apt-get install"),
]  # fmt: skip

# As a program of its own, with little memory: what could hang, take memory or print below Python.
PROGRAMS = [
    "missing", "random", "no outputs", "Loop", "billion laughs", "memory without data", "overflowing shape",
    "ConstantOfShape", "Expand", "Tile", "Range", "Range to infinity", "huge input", "too many steps", "pickle",
    "zip bomb", "many small numbers", "infinite activations", "model cut", "argument",
]  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    (folder / "m.onnx").write_bytes(network().SerializeToString())
    np.savez(folder / "c.npz", **samples())
    assert run(folder, GOOD.replace("out", "b")).exit_code == 0
    return folder


@pytest.fixture
def folder(good, tmp_path, monkeypatch):
    shutil.copytree(good, tmp_path / "in")
    monkeypatch.chdir(tmp_path / "in")
    return tmp_path / "in"


def run(folder, command):
    here = os.getcwd()
    os.chdir(folder)
    try:
        return CliRunner().invoke(main, command.split())
    finally:
        os.chdir(here)


def content(folder):
    return {p.relative_to(folder): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def one_line(code, out, err, pattern):
    assert (code, out) == (2, ""), err
    assert err.startswith("hmdc: ") and err.count("\n") == 1 and err.endswith("\n") and err[:-1].isprintable(), err
    assert re.search(pattern, err), err
    assert not re.search("(?<!Shape)(?<!Inference)Error: ", err) and len(err) < 1100


@pytest.mark.parametrize(("spoil", "command", "pattern"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
def test_one_line(folder, monkeypatch, capfd, spoil, command, pattern):
    spoil(folder)
    if spoil is no_tools:
        monkeypatch.setenv("PATH", str(folder / "path"))
    expected = content(folder)
    done = run(folder, command)
    one_line(done.exit_code, done.stdout, done.stderr, pattern)
    assert content(folder) == expected
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(folder, name):
    spoil, command, pattern = next(c[1:] for c in CASES if c[0] == name)
    spoil(folder)
    expected = content(folder)
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    program = [sys.executable, "-c", "from hmdc.cli import main; main()", *command.split()]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=20, preexec_fn=limit,
                          env=os.environ | {"OPENBLAS_NUM_THREADS": "1"})  # fmt: skip
    one_line(done.returncode, done.stdout, done.stderr, pattern)
    assert content(folder) == expected


@pytest.mark.parametrize("part", range(4))
def test_damaged_model(folder, capfd, part):
    """Cut off and with flipped bits: compiles, or one line."""
    blob, rng = (folder / "m.onnx").read_bytes(), np.random.default_rng(part)
    damaged = [blob[:n] for n in range(part * 7, len(blob), 28)]
    for _ in range(75):
        flipped = bytearray(blob)
        for _ in range(rng.integers(1, 4)):
            flipped[rng.integers(len(blob))] ^= 1 << rng.integers(8)
        damaged.append(bytes(flipped))
    for i, content in enumerate(damaged):
        (folder / "m.onnx").write_bytes(content)
        done = run(folder, GOOD)
        if done.exit_code:
            one_line(done.exit_code, done.stdout, done.stderr, ".")
        assert (folder / "out").exists() == (done.exit_code == 0), i
        shutil.rmtree(folder / "out", ignore_errors=True)
    assert {p.name for p in folder.iterdir()} == {"m.onnx", "c.npz", "b"}
    assert capfd.readouterr() == ("", "")


def test_older_build_stays(folder):
    before = content(folder)
    for command in ("compile nope.onnx -o b", GOOD.replace("out", "b") + " --mode fast", "compile m.onnx -o b"):
        assert run(folder, command).exit_code == 2
    assert content(folder) == before
    assert run(folder, GOOD.replace("out", "b") + " --name other").exit_code == 0
    assert {p.name for p in (folder / "b").iterdir()} == {f"other{s}" for s in (".c", ".h", "_float.h", ".json")} | {
        ".hmdc"
    }
    assert {p.name for p in folder.iterdir()} == {"m.onnx", "c.npz", "b"}


@pytest.mark.parametrize("names", [pytest.param(n, id=k) for k, n in NAMES.items()])
@pytest.mark.parametrize("turn", [0, 2])
def test_names(folder, names, turn):
    """Whatever things are called: the C builds without a warning and works."""
    names = names[turn:] + names[:turn]
    (folder / "m.onnx").write_bytes(network(*names).SerializeToString())
    done = run(folder, GOOD)
    assert done.exit_code == 0, done.output
    check_c(folder / "out/m.c")
    assert run(folder, "run out --data c.npz -q -o o.npz").exit_code == 0
    assert set(names[2:4]) <= set(np.load(folder / "o.npz").files)
    assert {p.name for p in folder.iterdir()} == {"m.onnx", "c.npz", "b", "out", "o.npz"}


def check_c(source):
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic", "-Werror", "-fsyntax-only"]
    (source.parent / "user.c").write_text(f'#include <stdint.h>\n#include "{source.stem}_float.h"\n')
    subprocess.run(["gcc", *strict, f"-I{source.parent}", source, source.parent / "user.c"], check=True)
    subprocess.run(["g++", "-x", "c++", "-fsyntax-only", "-Wall", source.parent / "user.c"], check=True)


@pytest.mark.parametrize("file", ["a-b; int x", "int", "math", "stdint", "входной", "0", "main", "*", "a" * 200, "x.y"])
def test_file_names(folder, file):
    (folder / "m.onnx").rename(folder / f"{file}.onnx")
    done = CliRunner().invoke(main, ["compile", f"{file}.onnx", "--calibration", "c.npz", "-o", "out"])
    assert done.exit_code == 0, done.output
    (source,) = (folder / "out").glob("*.c")
    assert re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,48}", source.stem)
    check_c(source)


ODD = {
    "zeros": arrays(x=np.zeros((5, 3, 1, 4))),
    "constant": arrays(x=np.full((5, 3, 1, 4), -7.5)),
    "one sample of integers": arrays(x=np.ones((1, 3, 4), np.int8)),
    "large numbers": arrays(x=samples()["x"] * 1e30),
    "zero weights": both(like("W", value=0), like("R", value=0), like("B", value=0), like("V", value=0)),
    "large weights": like("W", value=1e29),
    "no hidden_size": model(lambda g: g.node[0].ClearField("attribute")),
    "external": external(files=["w.bin"]),
    "opset of the future": lambda f: (f / "m.onnx").write_bytes(network(opset=999).SerializeToString()),
}


@pytest.mark.parametrize("spoil", [pytest.param(s, id=n) for n, s in ODD.items()])
@pytest.mark.parametrize("precision", ["int8", "int16", "float32"])
def test_odd(folder, spoil, precision):
    spoil(folder)
    done = run(folder, f"{GOOD} --precision {precision}")
    if done.exit_code:
        return one_line(done.exit_code, done.stdout, done.stderr, "beyond int32; .* --precision float32")
    assert run(folder, "verify out --data c.npz --json r.json").exit_code == 0
    json.loads((folder / "r.json").read_text(), parse_constant=pytest.fail)


def test_other_bits(folder):
    """C that computes something else: exit code 1, and where."""
    edit("b/m.c", "    return 1;", "    y[1] ^= 1;\n    return 1;")(folder)
    done = run(folder, "verify b --data c.npz")
    assert done.exit_code == 1
    line = r"hmdc: host: sample 0, step call 1, output 'y', element 1: C gives -?\d+, the simulator -?\d+.*\n"
    assert re.fullmatch(line, done.stderr), done.stderr
