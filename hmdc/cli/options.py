"""Options that several commands take, and the checks of their values."""

import os
import re
from pathlib import Path

import click

from ..boards import load_boards
from ..errors import HmdcError
from ..firmware import board


def parse_shape(_ctx, _param, values: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """NAME=1x49x10 -> {NAME: (1, 49, 10)}."""
    out = {}
    for text in values:
        name, _, sizes = text.rpartition("=")
        parts = sizes.split("x")
        if not name or not all(re.fullmatch("0*[1-9][0-9]{0,8}", p) for p in parts):
            raise HmdcError(f"--input-shape {text}: write it like {name or 'x'}=1x49x10")
        out[name] = tuple(int(p) for p in parts)
    return out


def parse_file(_ctx, param, path: Path | None) -> Path | None:
    """A file to write: complain before the work is done, not after."""
    if path is not None:
        parent = next(p for p in path.absolute().parents if p.exists())
        if path.is_dir() or not parent.is_dir() or not os.access(path if path.exists() else parent, os.W_OK):
            raise HmdcError(f"{param.opts[-1]} {path} cannot be written; choose another file")
    return path


def parse_place(_ctx, _param, place: str) -> str:
    return "host" if place == "host" else board(place).name


def parse_places(ctx, param, places: tuple[str, ...]) -> tuple[str, ...]:
    """Each place once; "all" are all boards."""
    named = (load_boards() if p == "all" else [parse_place(ctx, param, p)] for p in places)
    return tuple(dict.fromkeys(name for names in named for name in names))


json_option = click.option("--json", "json_file", type=click.Path(path_type=Path), callback=parse_file,
                           help="Write the figures to this file.")  # fmt: skip
on_option = click.option("--on", "places", multiple=True, callback=parse_places, metavar="host|BOARD|all",
                         help="Where to run; all: every board. May be repeated.")  # fmt: skip
model_argument = click.argument("model", type=click.Path(path_type=Path))
steps_option = click.option("--steps", type=click.IntRange(min=1), metavar="N",
                            help="Time steps of a sequence, where the model leaves it open.")  # fmt: skip
shape_option = click.option("--input-shape", "shapes", multiple=True, callback=parse_shape, metavar="NAME=1x49x10",
                            help="Bind open axes.")  # fmt: skip
architecture_option = click.option("--architecture", type=click.Path(path_type=Path), metavar="ARCH.toml",
                                   help="What a file of weights does not tell.")  # fmt: skip
build_argument = click.argument("build", metavar="DIR", type=click.Path(path_type=Path))
data_option = click.option("--data", "data_file", required=True, type=click.Path(path_type=Path), metavar="F.npz",
                           help="Samples: one array per input, labels y optional.")  # fmt: skip
limit_option = click.option("--limit", type=click.IntRange(min=1), help="Use the first N samples only.")
