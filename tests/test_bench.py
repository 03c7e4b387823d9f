"""The figures of `hmdc bench`: sums of the breakdown, comparison with earlier figures."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from spoil import network, samples

import hmdc
from hmdc import bench
from hmdc.boards import load_boards
from hmdc.cli import main
from hmdc.compiler import retarget

FIGURES = {"instructions_per_step", "instructions_per_sequence", "code_bytes", "const_bytes", "ram_bytes",
           "stack_bytes"}  # fmt: skip


def command(*args) -> str:
    done = CliRunner().invoke(main, ["bench", *map(str, args)])
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    return done.stdout


@pytest.fixture(scope="module", params=["auto", "sequence"])
def build(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "m.onnx").write_bytes(network().SerializeToString())
    np.savez(folder / "c.npz", **samples())
    return hmdc.compile(folder / "m.onnx", folder / "b", calibration=folder / "c.npz", mode=request.param)


@pytest.mark.parametrize("board", ["microbit", "mps2-an386", "mps3-an547"])
def test_breakdown_adds_up(build, board):
    figures = bench.bench_board(board, build.program, build.source, breakdown=True)
    found, steps = figures["breakdown"], "step" in build.program.entries
    assert found["entry"] == ("step" if steps else "run")
    count = figures["instructions_per_step"] if steps else figures["instructions_per_sequence"]
    assert count == found["instructions"] == sum(row["instructions"] for row in found["functions"])
    assert count == sum(row["instructions"] for row in found["lines"])
    functions = {row["function"] for row in found["functions"]}
    assert f"m_{found['entry']}" in functions and "(the call)" in functions
    assert board != "microbit" or "__muldi3" in functions  # 64-bit products are functions of libgcc there
    text = build.source.read_text().splitlines()
    assert len(found["lines"]) == bench.TOP_LINES + 1 and found["lines"][-1]["line"].endswith(" more")
    for row in found["lines"][:-1]:
        name, _, number = row["line"].partition(":")
        assert (name, row["text"]) == ("m.c", text[int(number) - 1].strip()) if number else name in functions


@pytest.mark.parametrize("build", ["auto"], indirect=True)
def test_all_boards_and_change(build, tmp_path):
    folder, old, new = build.source.parent, tmp_path / "old.json", tmp_path / "new.json"
    text = command(folder, "--on", "all", "--on", "microbit", "--json", old)
    earlier = json.loads(old.read_text())["boards"]
    assert list(earlier) == list(load_boards()) and text.count("arm-none-eabi-gcc") == len(earlier)
    estimated = {b["core"] for b in earlier.values() if b["cycles_estimate"] is not None}
    assert estimated == {"cortex-m0", "cortex-m3", "cortex-m4"} and "cycles" in text and "(estimate)" in text
    assert all(b["cycles_estimate"] is None or 1 < b["cycles_estimate"] / b["instructions_per_step"] < 3
               for b in earlier.values())  # fmt: skip
    targets = ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m4", "cortex-m4", "cortex-m55"]  # M7, M33: as M4
    assert sorted(b["target"] for b in earlier.values()) == targets
    assert "the build is for cortex-m4: generated again for microbit, mps2-an385, mps3-an547; --as-built" in text
    assert all(b.keys() >= FIGURES and b["gcc"][0].isdigit() for b in earlier.values())
    earlier["microbit"] |= {"code_bytes": 2 * earlier["microbit"]["code_bytes"], "ram_bytes": 0, "gcc": "0.1"}
    del earlier["mps3-an547"]
    old.write_text(json.dumps({"boards": earlier}))
    text = command(folder, "--on", "microbit", "--on", "mps2-an386", "--on", "mps3-an547", "--breakdown",
                   "--against", old, "--json", new)  # fmt: skip
    assert "by source line" in text
    assert "microbit: earlier figures are of C for cortex-m0, arm-none-eabi-gcc 0.1" in text
    assert "mps3-an547: no earlier figures" in text
    boards = json.loads(new.read_text())["boards"]
    rows = {(r["board"], r["figure"]): (r["old"], r["new"], r["change"]) for r in bench.compare(earlier, boards)}
    code, ram = (boards["microbit"][key] for key in ("code_bytes", "ram_bytes"))
    assert rows["microbit", "code"] == (2 * code, code, "-50.0 %") and rows["microbit", "ram"] == (0, ram, None)
    numbers = {k for k, v in boards["mps2-an386"].items() if isinstance(v, int)}
    assert len([1 for board, _ in rows if board == "mps2-an386"]) == len(numbers)
    assert {change for (board, _), (*_, change) in rows.items() if board == "mps2-an386"} == {"+0.0 %"}


@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m55", "generic"])
@pytest.mark.parametrize("compress", [(), ("lowrank(rank=1)",)])
def test_retarget_is_compile(target, compress, tmp_path):
    """The files are those that compile writes for the other target, those that load reads included."""
    (tmp_path / "m.onnx").write_bytes(network().SerializeToString())
    np.savez(tmp_path / "c.npz", **samples())
    options = {"calibration": tmp_path / "c.npz", "compress": compress}
    build = hmdc.compile(tmp_path / "m.onnx", tmp_path / "b", **options)
    wanted = hmdc.compile(tmp_path / "m.onnx", tmp_path / "wanted", target=target, **options)
    retarget(build, target, tmp_path / "got")
    for path in (p for p in wanted.path.iterdir() if p.is_file()):
        assert (tmp_path / "got" / path.name).read_text() == path.read_text()
    assert hmdc.load(tmp_path / "got").report == wanted.report


@pytest.mark.parametrize("build", ["auto"], indirect=True)
def test_as_built(build, tmp_path):
    """The C of another core is measured only when asked for; plain C is the same for every core."""
    text = command(build.path, "--on", "microbit", "--as-built", "--json", tmp_path / "b.json")
    plain = json.loads((tmp_path / "b.json").read_text())["boards"]["microbit"]
    assert plain["target"] == "cortex-m4" and "C for cortex-m4" in text and "generated again" not in text
    assert plain != bench.measure(build, "microbit")
    generic = retarget(build, "generic", tmp_path / "generic")
    assert bench.measure(generic, "microbit")["target"] == "generic"


@pytest.mark.parametrize("content", ["", "[]", '{"boards": []}', '{"boards": {"a": 1}}', '{"boards": {"a": {}}}', "["])
def test_no_figures(tmp_path, content):
    (tmp_path / "f.json").write_text(content)
    done = CliRunner().invoke(main, ["bench", str(tmp_path), "--against", str(tmp_path / "f.json")])
    line = f"hmdc: --against {tmp_path}/f.json is no file that hmdc bench --json wrote\n"
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", line)


def test_missing_figures(tmp_path):
    done = CliRunner().invoke(main, ["bench", str(tmp_path), "--against", str(tmp_path / "f.json")])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1) and "f.json cannot be read: No such" in done.stderr
