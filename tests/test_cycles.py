"""Estimated cycles against counts by hand, from the tables of the reference manuals."""

import pytest
from test_boards import ALL, MODEL_C, make

from hmdc import boards, cycles

M0, M3, M4 = "cortex-m0", "cortex-m3", "cortex-m4"


def listing(*lines: str) -> str:
    """As objdump prints it; every instruction has 2 bytes, the first is at 0x100."""
    return "".join(f"     {0x100 + 2 * i:x}:\t4770      \t{line}\n" for i, line in enumerate(lines))


@pytest.mark.parametrize(
    "line, expected",
    [
        ("adds\tr0, r0, r1", {M0: 1, M3: 1, M4: 1, "cortex-m7": None, "cortex-m33": None, "cortex-m55": None}),
        ("ldr\tr3, [pc, #12]\t@ (140 <f+0x40>)", {M0: 2, M3: 2, M4: 2}),
        ("strb.w\tr3, [r0], #1", {M3: 2, M4: 2}),
        ("ldrd\tr0, r1, [r2]", {M3: 3, M4: 3}),
        ("stmia\tr0!, {r1, r2, r3}", {M0: 4, M3: 4, M4: 4}),
        ("push\t{r4, r5, lr}", {M0: 4, M3: 4, M4: 4}),
        ("pop\t{r4, pc}", {M0: 6, M3: 5, M4: 5}),
        ("ldmia.w\tsp!, {r4, r5, r6, pc}", {M3: 7, M4: 7}),
        ("ldr.w\tpc, [sp], #4", {M3: 4, M4: 4}),
        ("muls\tr0, r1", {M0: 1, M3: 1, M4: 1}),
        ("mla\tr0, r1, r2, r3", {M3: 2, M4: 1}),
        ("smull\tr0, r1, r2, r3", {M3: 4, M4: 1}),
        ("smlal\tr0, r1, r2, r3", {M3: 6, M4: 1}),
        ("udiv\tr0, r0, r1", {M3: 7, M4: 7}),
        ("smlad\tr0, r1, r2, r0", {M4: 1}),
        ("vfma.f32\ts0, s1, s2", {M4: 3}),
        ("vdiv.f32\ts0, s1, s2", {M4: 14}),
        ("vldr\ts15, [r3]", {M4: 2}),
        ("vldr\td7, [r3]", {M4: 3}),
        ("vpush\t{d8-d10}", {M4: 7}),
        ("vmov\tr0, r1, d0", {M4: 2}),
        ("vmov.f32\ts0, s1", {M4: 1}),
        ("b.n\t140 <f+0x40>", {M0: 3, M3: 3, M4: 3}),
        ("bl\t140 <f>", {M0: 4, M3: 3, M4: 3}),
        ("bx\tlr", {M0: 3, M3: 3, M4: 3}),
        ("mov\tpc, r3", {M0: 3, M3: 3, M4: 3}),
        ("tbb\t[pc, r3]", {M3: 4, M4: 4}),
    ],
)
def test_one_instruction(line, expected):
    for core, count in expected.items():
        assert cycles.estimate(core, listing(line), {0x100: 5}) == (count and 5 * count), core


@pytest.mark.parametrize("core", [M0, M3, M4])
def test_loop_with_a_branch(core):
    """Ten rounds, of which three skip the addition: 1 + 10 (2 + 1 + 1) + 3 * 2 + 7 + 10 (1 + 1) + 9 * 2 + 3."""
    code = listing("movs\tr0, #10", "ldrb\tr1, [r2, r0]", "lsls\tr1, r1, #31", "beq.n\t10a <f+0xa>", "adds\tr3, #1",
                   "subs\tr0, #1", "bne.n\t102 <f+0x2>", "bx\tlr")  # fmt: skip
    counts = dict(zip(range(0x100, 0x110, 2), [1, 10, 10, 10, 7, 10, 10, 1], strict=True))
    assert cycles.estimate(core, code, counts) == 95


def test_what_the_counts_leave_open_is_in_the_middle():
    """A test before the loop and one at its end: 43 entries, 38 rounds; of 5 to 43 entries none."""
    code = cycles.parse(listing("cbz\tr0, 106 <f+0x6>", "subs\tr0, #1", "bne.n\t102 <f+0x2>", "bx\tlr"))
    counts = {0x100: 43, 0x102: 38, 0x104: 38, 0x106: 43}
    assert cycles.taken(code, counts) == {0x100: 24, 0x104: 19, 0x106: 43}


@pytest.mark.parametrize("board", ["microbit", "mps2-an385", "mps2-an386"])
def test_on_a_board(board, tmp_path):
    """1 + 50 (1 + 1) + 49 * 2, a return within a call, and the call itself."""
    body = """board_mark_begin();
        __asm volatile(".syntax unified\\n movs r0, #50\\n1: subs r0, #1\\n bne 1b\\n bl empty" : : : "r0", "lr", "cc");
        board_mark_end();"""
    empty = '\n__attribute__((naked)) void empty(void) { __asm volatile("bx lr"); }\n'
    elf = make(ALL[board], tmp_path, body, MODEL_C + empty)
    (histogram,) = boards.execute(ALL[board], elf, tmp_path, histogram=True).histograms
    core = ALL[board].core
    assert cycles.estimate(core, boards.disassembly(elf), histogram) == 199 + 3 + (4 if core == M0 else 3)
