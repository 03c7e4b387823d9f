"""The import rules of the rooms, and files short enough to read."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {str(f.relative_to(ROOT)): f for f in sorted((ROOT / "hmdc").rglob("*.py")) if "_data" not in f.parts}
# room -> the rooms that it may see, beside itself
SEES = {
    "errors": set(), "intmath": {"errors"}, "functions": {"errors"}, "program": {"intmath"},
    "kernels": {"errors", "intmath", "functions", "program"},
    "isa": {"intmath", "program", "kernels"}, "target": {"isa"},
    "linear": {"errors", "intmath", "program", "kernels"},
    "cells": {"errors", "functions", "model", "program", "kernels", "build"},
    "simulate": {"program"},
    "quantize": {"errors", "intmath", "program", "kernels", "simulate"},
    "rounding": {"intmath", "program", "kernels", "simulate"},
    "place": {"program", "kernels"},
    "check": {"errors", "intmath", "program", "kernels"},
}  # fmt: skip
# package -> the only rooms that import it
ONLY = {"onnx": {"frontends"}, "jinja2": {"render"}, "click": {"cli"}, "rich": {"cli"}, "cffi": {"host"},
        "elftools": {"boards"}, "safetensors": {"frontends", "factor_file"}, "h5py": {"frontends"}}  # fmt: skip


def room(path: str) -> str:
    return Path(path).parts[1].removesuffix(".py")


def imports(path: str) -> set[str]:
    """Dotted names, ours as hmdc.ROOM..., wherever in the file they are imported."""
    found, package = set(), Path(path).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(FILES[path].read_text())):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(
                [*package[: len(package) + 1 - node.level], node.module or ""] if node.level else [node.module]
            )
            found |= {f"{base.strip('.')}.{a.name}" for a in node.names}
    return found


@pytest.mark.parametrize("path", FILES)
def test_imports(path):
    names = {tuple(name.split(".")) for name in imports(path)}
    ours, others = {n[1] for n in names if n[0] == "hmdc" and len(n) > 1}, {n[0] for n in names}
    here = room(path)
    assert here not in SEES or ours <= SEES[here] | {here}
    assert not [p for p, rooms in ONLY.items() if p in others and here not in rooms]


def test_rules_name_real_rooms():
    rooms = {room(path) for path in FILES}
    assert set(SEES) | set().union(*SEES.values(), *ONLY.values()) <= rooms
    assert "hmdc.kernels.Kernel" in imports("hmdc/build.py") and "jinja2" in imports("hmdc/render.py")


def test_no_file_is_long():
    code = [f for d in ("hmdc", "templates", "runtime_c", "tests") for f in (ROOT / d).rglob("*.*")]
    data = {"corpus", "golden", "_data"}
    code = [f for f in code if f.suffix in (".py", ".c", ".h", ".j2", ".md") and not data & set(f.parts)]
    assert len(code) > 90
    assert not {str(f.relative_to(ROOT)): n for f in code if (n := len(f.read_text().splitlines())) > 400}
