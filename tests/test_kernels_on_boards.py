"""Every kernel gives the bits of its numpy truth on every board: the assembly of its core, compiled at -O3.

Another seed: HMDC_SEED=2 pytest tests/test_kernels_on_boards.py
"""

from collections import Counter
from dataclasses import replace

import pytest
from kernel_c import SUBJECTS, Example, examples, instances_of

from hmdc import boards
from hmdc.check import check
from hmdc.firmware import run_board
from hmdc.isa import ISAS, fit
from hmdc.kernels import Copy
from hmdc.place import place
from hmdc.program import Block, Buffer, Port, Program, View
from hmdc.render import Renderer, state_bytes
from hmdc.simulate import simulate
from hmdc.target import TARGETS

DRAWN, KEPT = 120, 6  # cases of a kernel and its types; cases for each way in which they are fitted
TARGET = {t.board: t for t in reversed(TARGETS.values()) if t.board}


class Merged:
    """One program of many calls.  What they read are inputs of run, what they write are outputs.

    A buffer that a call both reads and writes is a temporary between two copies.
    """

    def __init__(self):
        self.program, self.inputs = Program(functions={"reset": [], "run": [Block()]}), {}

    def add(self, name: str, e: Example) -> None:
        rename = lambda v: replace(v, buf=f"{name}_{v.buf}")
        calls = [replace(c.moved(rename), name=f"{name}_{c.name}") for c in e.program.calls()]
        reads, writes = {v.buf for c in calls for v in c.reads()}, {v.buf for c in calls for v in c.writes()}
        before, after = [], []
        for b in e.program.buffers.values():
            here = given = result = f"{name}_{b.name}"
            if b.role == "temp":
                self.buffer(here, b, "temp")
                continue
            if here in reads & writes:
                given, result = f"{here}_in", f"{here}_out"
                copied = self.buffer(here, b, "temp")
                before.append(Copy(given, self.buffer(given, b, "input"), copied))
                after.append(Copy(result, copied, self.buffer(result, b, "output")))
            else:
                self.buffer(here, b, "input" if here in reads else "output")
            if here in reads:
                self.program.inputs.append(Port(given, given, (b.size,), b.size))
                self.inputs[given] = e.contents[b.name]
            if here in writes:
                self.program.outputs.append(Port(result, result, (b.size,), b.size))
        self.program.functions["run"][0].calls += [*before, *calls, *after]

    def buffer(self, name: str, like: Buffer, role: str) -> View:
        self.program.buffers[name] = replace(like, name=name, role=role)
        return View(name, 0, (like.size,), (1,))


def all_kernels(isa: str) -> Merged:
    """Every integer kernel in every way in which that instruction set computes it."""
    merged = Merged()
    for subject in SUBJECTS:
        kept = Counter()
        for e in examples(subject, DRAWN if subject.integer else 0):
            way = instances_of(fit(e.program, ISAS[isa]), isa)
            kept[way] += 1
            if kept[way] <= KEPT:
                merged.add(f"{subject}_seed{e.seed}", e)
    return merged


@pytest.mark.parametrize("board", boards.load_boards())
def test_board_is_numpy(board, tmp_path):
    isa = TARGET[board].isa
    merged = all_kernels(isa.name)
    program = check(fit(check(merged.program), isa))
    plan = place(program)
    renderer = Renderer(program, plan, "net", isa)
    renderer.collect()
    figures = {"RAM_BYTES": (state_bytes(program, plan), "")}
    for suffix, text in renderer.render([], figures).items():
        (tmp_path / f"net{suffix}").write_text(text)
    got = run_board(board, program, tmp_path / "net.c", merged.inputs)["run"]
    want = simulate(merged.program, merged.inputs)
    assert not [name for name, a in want.items() if not (got[name] == a).all()]
