"""C text of the kernels: files of runtime_c with names and type parameters filled in.

A kernel file has a comment, a preamble for linting it alone, a struct of constants and a function, both called
hmdc_KERNEL; element types that vary are spelled x_t, y_t, ...  Files in the folder of an instruction set take the
place of those above it.  The layout of the helpers is told in hmdc_math.h.
"""

import re
from collections.abc import Iterable
from functools import cache

from .functions import Function
from .paths import RUNTIME_C

SUFFIX = {"int8_t": "_s8", "int16_t": "_s16", "int32_t": "_s32", "float": ""}
PREAMBLE = re.compile(r"#ifndef HMDC_GENERATED\n.*?#endif\n+", re.DOTALL)
DEFINED = re.compile(r"^(?:#define|struct) (\w+)|^(?:__attribute__.* )?static .*?\b(\w+)\(", re.MULTILINE)
PORTABLE = "portable"


def instantiate(kernel: str, prefix: str, types: dict[str, str], isa: str = PORTABLE) -> tuple[str, str]:
    """kernel: name of a file of runtime_c; types: parameter -> C type.  Returns the function's name and the C text."""
    text = PREAMBLE.sub("", _read(kernel, isa), count=1)
    for parameter, c_type in types.items():
        text = re.sub(rf"\b{parameter}_t\b", c_type, text)
    name = kernel + "".join(SUFFIX[t] for t in types.values())
    text = re.sub(rf"\bhmdc_{kernel}\b", f"hmdc_{name}", text)
    return f"{prefix}_{name}", _rename(text, prefix)


def math_source(prefix: str, texts: list[str], isa: str = PORTABLE, functions: Iterable[Function] = ()) -> str:
    """The helpers that C texts with this prefix use, directly or through each other, then the scalar functions."""
    own = list(dict.fromkeys(_rename(p, prefix) for f in functions for p in f.source.split("\n\n") if p))
    texts = [*texts, *own, *(_rename(f.c, prefix) for f in functions)]
    used: list[str] = []
    for names, text in reversed(_helpers(isa)):
        names = [_rename(n, prefix) for n in names]
        if any(re.search(rf"\b(?:{'|'.join(names)})\b", t) for t in [*texts, *used]):
            used.insert(0, _rename(text, prefix))
    return "\n\n".join(used + own) + "\n" if used else ""


def _rename(text: str, prefix: str) -> str:
    return re.sub(r"\bHMDC_", prefix.upper() + "_", re.sub(r"\bhmdc_", prefix + "_", text))


@cache
def _read(kernel: str, isa: str) -> str:
    own = RUNTIME_C / isa / f"{kernel}.c"
    return (own if own.exists() else RUNTIME_C / f"{kernel}.c").read_text(encoding="utf-8")


@cache
def _helpers(isa: str) -> list[tuple[list[str], str]]:
    """(names, text) of every piece of the headers; each uses only earlier ones."""
    own = sorted((RUNTIME_C / isa).glob("*.h"), key=lambda path: (path.stem != "math", path.stem))
    mine = {tuple(names): text for path in own for names, text in _pieces(path)}
    general = [piece for header in ("hmdc_math.h", "float_math.h") for piece in _pieces(RUNTIME_C / header)]
    replaced = [(names, mine.pop(tuple(names), text)) for names, text in general]
    return replaced + [(list(names), text) for names, text in mine.items()]


def _pieces(header) -> list[tuple[list[str], str]]:
    pieces = [p.strip("\n") for p in header.read_text(encoding="utf-8").split("\n\n")]
    return [(n, p) for p in pieces if "_H\n" not in p and (n := [a or b for a, b in DEFINED.findall(p)])]
