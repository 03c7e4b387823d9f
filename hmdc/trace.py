"""Find the first kernel call whose result differs: an instrumented copy of the C logs what every call wrote."""

import re
import tempfile
from pathlib import Path

import numpy as np

from .host import Host, complete, element
from .kernels import Kernel
from .program import Program
from .simulate import simulate

ORDER = ("frame", "tail", "reset", "set", "get", "run")  # of the kinds of functions in templates/model.c.j2
HOOK = """
#include <stdio.h>
static FILE *hmdc_log;
void hmdc_open(const char *path) { hmdc_log = fopen(path, "wb"); }
void hmdc_close(void) { fclose(hmdc_log); }
static void hmdc_trace(const void *p, size_t n) { fwrite(p, 1, n, hmdc_log); }
"""


def first_call(program: Program, source: Path, ram_bytes: int, inputs: dict[str, np.ndarray], entry: str) -> str | None:
    """One sample (inputs as in simulate).  A sentence that names the first differing call, or None.

    None too when the C was edited so that its calls are no longer those of the program.
    """
    text = instrument(program, source)
    if text is None:
        return None
    with tempfile.TemporaryDirectory(prefix="hmdc-trace-") as folder:
        copy, log = Path(folder) / source.name, Path(folder) / "log"
        copy.write_text(text)
        copy.with_suffix(".h").write_text(source.with_suffix(".h").read_text())
        host = Host(program, copy, ram_bytes, "void hmdc_open(const char *); void hmdc_close(void);")
        host.lib.hmdc_open(str(log).encode())
        host.sample(entry, {k: a[0] for k, a in complete(program, inputs).items()})
        host.lib.hmdc_close()
        return _compare(program, log.read_bytes(), inputs, entry)


def _written(call: Kernel) -> list[tuple[str, object]]:
    """(field, view) of the results that are one piece of memory."""
    return [(f, v) for f in call.WRITES if (v := getattr(call, f)) is not None and v.contiguous]


def instrument(program: Program, source: Path) -> str | None:
    """The C with a line behind every call that logs its results."""
    kind = lambda f: ORDER.index(re.match("[a-z]+", f)[0])
    calls = iter(program.calls(*sorted(program.functions, key=kind)))
    pattern = re.compile(rf"^\s+{source.stem}_\w+\(&\w+, (.*)\);$")
    lines = []
    for line in source.read_text().splitlines():
        lines.append(line)
        if found := pattern.match(line):
            call = next(calls, None)
            pointers = found[1].split(", ")
            if call is None or len(pointers) != len(call.views()):
                return None
            names = dict(zip(call.views(), pointers))
            for f, v in _written(call):
                lines.append(f"hmdc_trace({names[f]}, {v.size} * sizeof *({names[f]}));")
    if next(calls, None) is not None:
        return None
    at = lines.index(f'#include "{source.stem}.h"')
    return "\n".join([*lines[: at + 1], HOOK, *lines[at + 1 :], ""])


def _compare(program: Program, log: bytes, inputs, entry: str) -> str | None:
    at, result, count = 0, None, {}

    def watch(call: Kernel, env) -> None:
        nonlocal at, result
        count[call.name] = count.get(call.name, 0) + 1
        for _, v in _written(call):
            want = env.view(v).ravel()
            dtype = np.dtype(element(program, program.buffers[v.buf]))
            got = np.frombuffer(log, dtype, want.size, at)
            at += got.nbytes
            if result is None and (got != want).any():
                i = int(np.flatnonzero(got != want)[0])
                result = (f"first differing call: {call.name} (call {count[call.name]} of it), "
                          f"element {i} of {v.buf}: C gives {got[i]}, the simulator {want[i]}")  # fmt: skip

    simulate(program, inputs, entry, watch)
    return result
