"""The board room on real tools: a tiny model and harness in QEMU.  Nothing skips: `make test` installs the tools."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from hmdc import boards, paths
from hmdc.errors import HmdcError

ALL = boards.load_boards()
MODEL_H = """
#include <stdint.h>
int32_t model_table(int i);
int32_t model_divide(int32_t a, int32_t b);
void model_frame(void);
void model_deep(void);
void model_spin(uint32_t n);
"""
MODEL_C = """
#include "model.h"
static const int32_t table[25] = {3, 1, 4};
static int32_t counter[6];
static int32_t start = 7;
int32_t model_table(int i) { counter[i % 6] += start++; return table[i] + counter[i % 6]; }
int32_t model_divide(int32_t a, int32_t b) { return a / b; }
void model_frame(void) { volatile char a[400]; a[0] = 1; }
void model_deep(void) { volatile char a[100000]; for (int i = 99999; i >= 0; i -= 4) a[i] = 1; }
void model_spin(uint32_t n) {  /* 3 n + 1 instructions */
    __asm volatile(".syntax unified\\n1: nop\\n subs %0, #1\\n bne 1b" : "+l"(n) : : "cc");
}
"""
MAIN_C = """
#include "semihost.h"
#include "model.h"
struct { int32_t state[33]; } hmdc_instance;
int main(void) { @BODY@ return hmdc_instance.state[0]; }
"""


@pytest.fixture(params=sorted(ALL))
def board(request):
    return ALL[request.param]


def make(board, folder: Path, body: str, model: str = MODEL_C, **options) -> Path:
    """The firmware whose main() runs `body`."""
    (folder / "model.h").write_text(MODEL_H)
    (folder / "model.c").write_text(model)
    (folder / "main.c").write_text(MAIN_C.replace("@BODY@", body))
    return boards.build(board, [folder / "main.c"], folder / "model.c", [folder], folder, **options)


def test_boards_are_folders():
    assert {board.core for board in ALL.values()} >= {f"cortex-m{core}" for core in (0, 3, 4, 7, 33, 55)}
    for name, board in ALL.items():
        assert board.name == name and board.description and (board.path / "memory.ld").is_file()
        assert f"-mcpu={board.core}" in board.cflags
        assert "-O2" in boards.model_flags(board, ["-O2"])


def test_files_and_text(board, tmp_path):
    body = """
        unsigned char data[7];
        size_t n;
        int in = board_open("in.bin", BOARD_READ), out = board_open("out.bin", BOARD_WRITE);
        while ((n = board_read(in, data, sizeof data)) != 0)
            if (board_write(out, data, n) != n) return 9;
        if (board_close(in) != 0 || board_close(out) != 0 || board_open("absent", BOARD_READ) != -1) return 10;
        board_print("hello ");
        board_print_hex(0x1234abcd);"""
    (tmp_path / "in.bin").write_bytes(bytes(range(256)) * 3)
    done = boards.execute(board, make(board, tmp_path, body), tmp_path)
    assert (tmp_path / "out.bin").read_bytes() == bytes(range(256)) * 3
    assert done.text == "hello 1234abcd" and done.regions == [] and done.histograms == []


def test_counts_are_exact_and_repeatable(board, tmp_path):
    body = """
        board_mark_begin(); board_mark_end();
        for (int i = 0; i < 2; i++) { board_mark_begin(); model_spin(1000); board_mark_end(); }
        board_mark_begin(); model_spin(123456); board_mark_end();"""
    elf = make(board, tmp_path, body)
    first = boards.execute(board, elf, tmp_path, histogram=True)
    assert boards.execute(board, elf, tmp_path, count=True).regions == first.regions
    empty, small, again, large = first.regions
    assert empty == 0 and small == again
    assert 3000 < small <= 3004  # load of the argument, call, loop, return
    assert large - small in (3 * 122456, 3 * 122456 + 1)  # 123456 may take two instructions to load
    for region, histogram in zip(first.regions, first.histograms, strict=True):
        assert sum(histogram.values()) == region
    assert sorted(first.histograms[3].values())[-3:] == [123456] * 3


def test_inline_loop_counts_exactly(board, tmp_path):
    loop = '__asm volatile(".syntax unified\\n movs r0, #50\\n1: subs r0, #1\\n bne 1b" : : : "r0", "cc");'
    elf = make(board, tmp_path, f"board_mark_begin(); {loop} board_mark_end();")
    assert boards.execute(board, elf, tmp_path, count=True).regions == [101]


def test_origins_of_instructions(board, tmp_path):
    body = "board_mark_begin(); model_spin(1000); model_divide(900, 7); board_mark_end();"
    model = MODEL_C.replace("a / b", "(int32_t)((int64_t)a * a / b)")
    elf = make(board, tmp_path, body, model)
    (histogram,) = boards.execute(board, elf, tmp_path, histogram=True).histograms
    lines, parts = Counter(), Counter()
    for address, origin in boards.origins(elf, histogram).items():
        lines[origin.function, origin.line] += histogram[address]
        parts[origin.part] += histogram[address]
    at = 1 + next(i for i, line in enumerate(model.splitlines()) if "1: nop" in line)
    assert lines["model_spin", at] == 3000 and lines["model_spin", at + 1] == 1  # its return
    assert parts["harness"] <= 8 and parts["support"] > 50 and parts["model"] == 3001 + sum(
        count for (function, _), count in lines.items() if function == "model_divide"
    )  # fmt: skip


def test_stack_is_exact(board, tmp_path):
    body = """
        uint32_t used[3];
        board_stack_paint();
        used[0] = board_stack_used();
        model_frame();
        used[1] = board_stack_used();
        board_stack_paint();
        used[2] = board_stack_used();
        int out = board_open("out.bin", BOARD_WRITE);
        board_write(out, used, sizeof used);"""
    boards.execute(board, make(board, tmp_path, body), tmp_path)
    used = memoryview((tmp_path / "out.bin").read_bytes()).cast("I").tolist()
    assert used == [0, 400, 0]


def test_variables_start_with_their_values(board, tmp_path):
    body = "static int first = 5, zero; static char odd = 9; zero++; if (first++ + odd++ + zero != 15) return 1;"
    boards.execute(board, make(board, tmp_path, body), tmp_path)
    body += "if (model_table(2) != 11 || model_table(2) != 19) return 2;"
    boards.execute(board, make(board, tmp_path, body), tmp_path)


def test_sizes(board, tmp_path):
    plain = boards.sizes(make(board, tmp_path, "model_frame();"))
    assert plain["const_bytes"] == 0 and plain["ram_bytes"] == 33 * 4 and plain["support_bytes"] == 0
    assert 0 < plain["code_bytes"] == plain["model_code_bytes"] < 40
    table = boards.sizes(make(board, tmp_path, "hmdc_instance.state[0] = model_table(1);"))
    assert table["const_bytes"] == 25 * 4 + 4 and table["ram_bytes"] == 33 * 4 + 6 * 4 + 4


def test_library_code_counts_as_the_models(board, tmp_path):
    model = MODEL_C.replace("a / b", "(int32_t)((int64_t)a * a / b)")
    elf = make(board, tmp_path, "return model_divide(30, 9) - 100;", model)
    found = boards.sizes(elf)
    assert found["support_bytes"] > 100 and found["code_bytes"] == found["model_code_bytes"] + found["support_bytes"]
    boards.execute(board, elf, tmp_path)


def test_float_model_links_libm(board, tmp_path):
    model = '#include <math.h>\n#include "model.h"\nint32_t model_divide(int32_t a, int32_t b) '
    model += "{ return (int32_t)(1000.0f * tanhf((float)a / (float)b)); }"
    elf = make(board, tmp_path, "if (model_divide(1, 2) != 462) return 1;", model, libs=["-lm", "-lc_nano"])
    boards.execute(board, elf, tmp_path)
    assert boards.sizes(elf)["support_bytes"] > 100


@pytest.mark.parametrize(
    "body, line",
    [
        ("return 42;", "mps2-an386 stopped with status 42; it printed nothing"),
        ('board_print("one\\ntwo\\n"); return 4;', "mps2-an386 stopped with status 4; its last line: two"),
        ("__builtin_trap();", "its last line: fault: exception 0x00000003 at pc 0x000"),
        ("model_deep();", "its last line: fault: stack overflow, all of 0x00010000 bytes"),
    ],
)
def test_failure_is_one_clear_line(tmp_path, body, line):
    board = ALL["mps2-an386"]
    with pytest.raises(HmdcError) as error:
        boards.execute(board, make(board, tmp_path, body), tmp_path)
    assert line in str(error.value) and "\n" not in str(error.value)


def test_timeout_kills_qemu(tmp_path):
    board = ALL["mps2-an386"]
    elf = make(board, tmp_path, 'board_print("going round\\n"); for (;;) model_spin(1);')
    with pytest.raises(HmdcError, match="did not finish within 0.5 s; its last line: going round; raise the timeout"):
        boards.execute(board, elf, tmp_path, timeout=0.5)
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(elf) not in running


def test_compiler_errors_are_one_line(tmp_path):
    board = ALL["mps2-an386"]
    with pytest.raises(HmdcError, match=r"arm-none-eabi-gcc failed: .*model.c:2:.*error: .*oops"):
        make(board, tmp_path, "", "\nint f(void) { return oops; }")
    with pytest.raises(HmdcError, match="undefined reference to .absent"):
        make(board, tmp_path, "void absent(void); absent();")


def test_counting_needs_the_markers(tmp_path):
    board = ALL["mps2-an386"]
    with pytest.raises(HmdcError, match="cannot be counted: it never calls board_mark_begin and board_mark_end"):
        boards.execute(board, make(board, tmp_path, ""), tmp_path, count=True)


def test_missing_tools_say_what_to_install(tmp_path, monkeypatch):
    board = ALL["mps2-an386"]
    elf = make(board, tmp_path, "")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(HmdcError, match="arm-none-eabi-gcc is not installed: .*apt-get install gcc-arm-none-eabi"):
        make(board, tmp_path, "")
    with pytest.raises(HmdcError, match="qemu-system-arm is not installed: .*apt-get install qemu-system-arm"):
        boards.execute(board, elf, tmp_path)


def test_board_file_with_a_mistake(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "BOARDS", tmp_path)
    file = tmp_path / "copy" / "board.toml"
    file.parent.mkdir()
    file.write_text('core = "cortex-m4"\n')
    with pytest.raises(HmdcError, match="copy/board.toml has the keys core; it needs exactly description, core"):
        boards.load_boards()


def test_c_is_free_of_warnings(board, tmp_path):
    strict = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic", "-Werror", "-c"]
    for source in sorted((paths.BOARDS / "common").glob("*.c")):
        on_host = source.name == "insn_count.c"
        compiler = ["gcc", "-fPIC"] if on_host else ["arm-none-eabi-gcc", *board.cflags]
        subprocess.run([*compiler, *strict, str(source), "-o", "out.o"], cwd=tmp_path, check=True)
