"""Measure code and stack of every kernel on Cortex-M4: writes code_size.json beside this file (make code-size)."""

import json
import re
import subprocess
import tempfile
from itertools import product
from pathlib import Path

from hmdc import runtime
from hmdc.boards import load_boards

HERE = Path(__file__).parent
TYPES = ("int8_t", "int16_t", "int32_t")


def instances() -> dict[str, str]:
    """Function name -> C text, for every kernel file in every combination of element types."""
    out = {}
    for path in sorted(HERE.glob("*.c")):
        body = runtime.PREAMBLE.sub("", path.read_text())
        parameters = [p for p in ("x", "a", "b", "y", "h") if re.search(rf"\b{p}_t\b", body)]
        for types in product(TYPES, repeat=len(parameters)):
            if path.stem == "table8" and types[0] == "int32_t":
                continue
            name, text = runtime.instantiate(path.stem, "m", dict(zip(parameters, types)))
            out[name] = text.replace("static void", "void")
    return out


def measure() -> dict[str, dict[str, int]]:
    """Kernel instance -> bytes of code and of stack at -O3."""
    texts = instances()
    board = load_boards()["mps2-an386"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernels.c"
        helpers = runtime.math_source("m", [*texts.values(), "m_sigmoidf m_tanhf m_reluf"])
        source.write_text(
            "#include <stdint.h>\n#include <stddef.h>\n#include <math.h>\n" + helpers + "\n".join(texts.values())
        )
        flags = [*board.cflags, "-std=c99", "-O3", "-fno-inline-functions", "-fstack-usage", "-c"]
        subprocess.run(["arm-none-eabi-gcc", *flags, "-o", source.with_suffix(".o"), source], check=True, cwd=folder)
        listing = subprocess.run(
            ["arm-none-eabi-nm", "-S", source.with_suffix(".o")], check=True, capture_output=True, text=True
        )
        code = {row[3]: int(row[1], 16) for row in map(str.split, listing.stdout.splitlines()) if len(row) == 4}
        frames = [line.split("\t") for line in source.with_suffix(".su").read_text().splitlines()]
        stack = {where.rsplit(":", 1)[1]: int(n) for where, n, _ in frames}
    return {n.removeprefix("m_"): {"code": code[n], "stack": stack[n]} for n in texts}


if __name__ == "__main__":
    table = {"compiler": "arm-none-eabi-gcc 12.2 -O3 -mcpu=cortex-m4", "kernels": measure()}
    (HERE / "code_size.json").write_text(json.dumps(table, indent=1) + "\n")
