"""Data sets are made once and kept in the cache."""

import functools
import hashlib
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .fetch import cache
from .sets import PARTS, Part, Splits

OURS = (__package__, "examples.")


def kept(make: Callable[[], Splits]) -> Callable[[], Splits]:
    """make, which reads NAME-DIGEST.npz in the cache where it is there, and writes it where not."""

    @functools.wraps(make)
    def found_or_made() -> Splits:
        path = cache() / f"{make.__name__}-{digest(make)}.npz"
        if not path.exists():
            print(f"making {make.__name__}", file=sys.stderr)
            write(path, make())
        with np.load(path) as data:
            parts = [Part(data[f"x_{part}"], data[f"y_{part}"]) for part in PARTS]
            return Splits(*parts, tuple(data["classes"].tolist()))

    return found_or_made


def write(path: Path, data: Splits) -> None:
    """All or nothing, whoever else writes the same file."""
    parts = zip(PARTS, data[:3], strict=True)
    arrays = {f"{axis}_{name}": array for name, part in parts for axis, array in part._asdict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.npz")
    np.savez_compressed(unfinished, classes=np.array(data.classes), **arrays)
    unfinished.replace(path)


def digest(make: Callable) -> str:
    """Of the source files that make and what it uses are in: with other code, a set is made again."""
    users = vars(sys.modules[make.__module__]).values()
    modules = {make.__module__} | {getattr(used, "__module__", None) or "" for used in users}
    sources = [inspect.getsource(sys.modules[name]) for name in sorted(modules) if name.startswith(OURS)]
    return hashlib.sha256("".join(sources).encode()).hexdigest()[:8]
