"""The architecture file: what names and shapes do not tell.  docs/state_dicts.md shows one."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import HmdcError
from .assemble import RECURRENT
from .families import OPTIONS, WITHOUT_WEIGHTS

WITH_WEIGHTS = (*RECURRENT, "dense", "batchnorm", "layernorm", "conv1d", "conv2d", "embedding")
KINDS = {"steps": int, "input": int, "prefix": str, "ignore": list, "layer": list}
HOW_TO = 'see docs/state_dicts.md; e.g. layer = [{type = "gru", weights = "rnn"}, {type = "last"}]'
MAX_LAYERS = 256
LONGEST = 4096  # of windows, strides and paddings


@dataclass(frozen=True)
class Architecture:
    """layers: one table each, from the input to the output; None: as the names tell.

    prefix: only tensors below it are read.  ignore: patterns of tensors that the network does not use.
    """

    steps: int | None = None
    input: int | None = None
    prefix: str = ""
    ignore: list[str] = field(default_factory=list)
    layers: list[dict] | None = None
    content: bytes = b""


def read(path: Path | None) -> Architecture:
    """Raises HmdcError naming the key that is wrong."""
    if path is None:
        return Architecture()
    try:
        content = path.read_bytes()
        tables = tomllib.loads(content.decode())
    except OSError as e:
        raise HmdcError(f"--architecture {path} cannot be read: {e.strerror}") from e
    except (ValueError, RecursionError) as e:
        raise HmdcError(f"--architecture {path} is no TOML ({e}); {HOW_TO}") from e
    for key, value in tables.items():
        if key not in KINDS:
            raise HmdcError(f"--architecture {path}: no key {key!r}; known are {', '.join(KINDS)}; {HOW_TO}")
        if type(value) is not KINDS[key] or (KINDS[key] is int and value < 1):
            raise HmdcError(f"--architecture {path}: {key} = {value!r} is no {_what(KINDS[key])}; {HOW_TO}")
    if not all(isinstance(p, str) for p in tables.get("ignore", [])):
        raise HmdcError(f"--architecture {path}: ignore is a list of names of tensors, with * for any letters")
    layers = tables.pop("layer", None)
    if layers is not None and not 0 < len(layers) <= MAX_LAYERS:
        raise HmdcError(f"--architecture {path}: it has {len(layers)} layers; 1 to {MAX_LAYERS} are compiled")
    for table in layers or ():
        _check(path, table)
    return Architecture(**tables, layers=layers, content=content)


def _what(kind: type) -> str:
    return {int: "number of 1 or more", str: "text", list: "list"}[kind]


def _check(path: Path, table) -> None:
    """A layer has a known type, weights where it needs them, and known options."""
    where = f"--architecture {path}: layer {table}"[:400]
    kind = table.get("type") if isinstance(table, dict) else None
    if not isinstance(kind, str) or kind not in (*WITH_WEIGHTS, *WITHOUT_WEIGHTS):
        raise HmdcError(f"{where}: type is one of {', '.join((*WITH_WEIGHTS, *WITHOUT_WEIGHTS))}; {HOW_TO}")
    if (kind in WITHOUT_WEIGHTS) == ("weights" in table) or not isinstance(table.get("weights", ""), str):
        wants = (
            "takes no weights"
            if kind in WITHOUT_WEIGHTS
            else 'needs weights = "...", the beginning of the tensors\' names'
        )
        raise HmdcError(f"{where}: {kind} {wants}")
    known = {"type", "weights", "bidirectional", "hidden", *OPTIONS.get(kind, ())}
    for key in table:
        if key not in known:
            raise HmdcError(f"{where}: {kind} has no option {key!r}; known are {', '.join(sorted(known))}")
    functions = ("tanh", "relu") if kind == "rnn" else ("tanh", "relu", "sigmoid")
    if table.get("activation", "tanh") not in functions:
        raise HmdcError(f"{where}: activation is {', '.join(functions[:-1])} or {functions[-1]}")
    if not isinstance(table.get("transposed", False), bool):
        raise HmdcError(f"{where}: transposed is true or false")
    if not isinstance(table.get("epsilon", 1.0), (int, float)):
        raise HmdcError(f"{where}: epsilon is a number")
    _check_window(where, kind, table)


def _check_window(where: str, kind: str, table: dict) -> None:
    """Numbers of windows are one for each axis, or one for all."""
    size = table.get("size", 2)
    axes = len(size) if isinstance(size, list) else 2 if kind == "conv2d" else 1
    if axes > 2 or (axes == 2 and kind not in ("conv2d", "maxpool", "avgpool")):
        raise HmdcError(f"{where}: size is a number, or [time, values]")
    for key, least in (("size", 1), ("stride", 1), ("dilation", 1), ("groups", 1), ("padding", 0)):
        value = table.get(key, least)
        if key == "padding" and value in ("same", "causal") and kind.startswith("conv"):
            continue
        every = value if isinstance(value, list) and axes == 2 and key != "groups" else [value]
        if len(every) not in (1, axes) or not all(type(v) is int and least <= v <= LONGEST for v in every):
            pair = " or [time, values]" if axes == 2 and key != "groups" else ""
            words = ', "same" or "causal"' if key == "padding" and kind.startswith("conv") else ""
            raise HmdcError(f"{where}: {key} is a number of {least} to {LONGEST}{pair}{words}")
