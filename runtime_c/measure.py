"""Measure code and stack of the kernels: writes code_size.json beside this file (make code-size).

Arguments: instruction sets, all of them by default.
"""

import json
import re
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

from hmdc import runtime
from hmdc.boards import load_boards
from hmdc.isa import ISAS, Isa
from hmdc.target import TARGETS

HERE = Path(__file__).parent
NAKED_STACK = 112  # bytes that a function written in assembly pushes at most
TYPES = ("int8_t", "int16_t", "int32_t")


def instances(isa: str) -> dict[str, str]:
    """Function name -> C text, for every kernel file in every combination of element types."""
    out = {}
    for path in sorted([*HERE.glob("*.c"), *(HERE / isa).glob("*.c")]):
        body = runtime.PREAMBLE.sub("", path.read_text())
        parameters = [p for p in ("x", "a", "b", "y", "h") if re.search(rf"\b{p}_t\b", body)]
        for types in product(TYPES, repeat=len(parameters)):
            if path.stem == "table8" and types[0] == "int32_t":
                continue
            name, text = runtime.instantiate(path.stem, "m", dict(zip(parameters, types)), isa)
            out[name] = text.replace("static void", "void")
    return out


def measure(isa: Isa) -> dict[str, dict[str, int]]:
    """Kernel instance, or helper that is not inlined -> bytes of code and of stack at -O3."""
    texts = instances(isa.name)
    own = [t.board for t in TARGETS.values() if t.board and t.isa is isa]
    board = load_boards()[(own or ["mps2-an386"])[0]]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernels.c"
        helpers = runtime.math_source("m", list(texts.values()), isa.name)
        headers = ["<stdint.h>", "<stddef.h>", "<math.h>", *filter(None, [isa.header])]
        head = "".join(f"#include {h}\n" for h in headers) + "#define M_ASM 1\n"
        source.write_text(head + helpers + "\n".join(texts.values()))
        flags = [*board.cflags, "-std=c99", "-O3", "-fno-inline-functions", "-fstack-usage", "-c"]
        subprocess.run(["arm-none-eabi-gcc", *flags, "-o", source.with_suffix(".o"), source], check=True, cwd=folder)
        listing = subprocess.run(
            ["arm-none-eabi-nm", "-S", source.with_suffix(".o")], check=True, capture_output=True, text=True
        )
        rows = [row for row in map(str.split, listing.stdout.splitlines()) if len(row) == 4 and row[2] in "tT"]
        frames = [line.split("\t") for line in source.with_suffix(".su").read_text().splitlines()]
        stack = {where.rsplit(":", 1)[1]: int(n) for where, n, _ in frames}
    for name, text in texts.items():  # GCC says 0 for what is written in assembly
        if name in stack and "naked" in runtime.math_source("m", [text], isa.name):
            stack[name] += NAKED_STACK
    return {name.removeprefix("m_"): {"code": int(size, 16), "stack": stack.get(name, NAKED_STACK)}
            for _, size, _, name in rows}  # fmt: skip


if __name__ == "__main__":
    file = HERE / "code_size.json"
    table = json.loads(file.read_text())
    table |= {"compiler": "arm-none-eabi-gcc 12.2 -O3"}
    table["kernels"] |= {name: measure(ISAS[name]) for name in sys.argv[1:] or ISAS}
    file.write_text(json.dumps(table, indent=1) + "\n")
