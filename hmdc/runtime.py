"""C text of the kernels: files of runtime_c with names and type parameters filled in.

A kernel file has a comment, a preamble for linting it alone, a struct of constants and a function, both called
hmdc_KERNEL; element types that vary are spelled x_t, y_t, ...  The layout of the helpers is told in hmdc_math.h.
"""

import re
from functools import cache

from .paths import RUNTIME_C

SUFFIX = {"int8_t": "_s8", "int16_t": "_s16", "int32_t": "_s32", "float": ""}
PREAMBLE = re.compile(r"#ifndef HMDC_GENERATED\n.*?#endif\n+", re.DOTALL)
HELPER = re.compile(r"^static inline \w+ (\w+)\(", re.MULTILINE)


def instantiate(kernel: str, prefix: str, types: dict[str, str]) -> tuple[str, str]:
    """kernel: name of a file of runtime_c; types: parameter -> C type.  Returns the function's name and the C text."""
    text = PREAMBLE.sub("", _read(f"{kernel}.c"), count=1)
    for parameter, c_type in types.items():
        text = re.sub(rf"\b{parameter}_t\b", c_type, text)
    name = kernel + "".join(SUFFIX[t] for t in types.values())
    text = re.sub(rf"\bhmdc_{kernel}\b", f"hmdc_{name}", text)
    return f"{prefix}_{name}", _rename(text, prefix)


def math_source(prefix: str, texts: list[str]) -> str:
    """The helper functions that C texts with this prefix use, directly or through each other."""
    used: list[str] = []
    for name, text in reversed(_helpers()):
        name = _rename(name, prefix)
        if any(re.search(rf"\b{name}\b", t) for t in [*texts, *used]):
            used.insert(0, _rename(text, prefix))
    return "\n\n".join(used) + "\n" if used else ""


def _rename(text: str, prefix: str) -> str:
    return re.sub(r"\bhmdc_", prefix + "_", text)


@cache
def _read(name: str) -> str:
    return (RUNTIME_C / name).read_text(encoding="utf-8")


@cache
def _helpers() -> list[tuple[str, str]]:
    """(name, text) of every helper; each uses only earlier ones."""
    pieces = [p.strip("\n") for header in ("hmdc_math.h", "float_math.h") for p in _read(header).split("\n\n")]
    return [(m[1], p) for p in pieces if (m := HELPER.search(p))]
