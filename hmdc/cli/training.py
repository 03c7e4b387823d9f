"""The commands that train."""

from contextlib import contextmanager
from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from .. import frontends
from ..compiler import PRECISIONS
from ..compress import STARTS, VALIDATION, compress
from ..errors import HmdcError
from .options import (
    architecture_option,
    data_option,
    json_option,
    model_argument,
    parse_file,
    shape_option,
    steps_option,
)
from .shell import errors, say, say_found, switched, table, write_json

SHOWN = 10  # epochs from one line to the next where there is no terminal


@click.command("compress")
@model_argument
@data_option
@click.option("--compress", "recipes", multiple=True, required=True, metavar="RECIPE",
              help="[pattern=]structure(options), or @FILE.toml; repeatable.")  # fmt: skip
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), callback=parse_file, metavar="OUT.onnx",
              help="File to write.")  # fmt: skip
@click.option(
    "--validate",
    type=click.Path(path_type=Path),
    metavar="F.npz",
    help=f"Samples to choose the best epoch by; default: a fifth of --data, at most {VALIDATION}.",
)
@click.option("--epochs", type=click.IntRange(min=1), default=100, show_default=True, help="At most.")
@click.option("--integer-epochs", "integer", type=click.IntRange(min=0), default=5, show_default=True,
              help="The last of them, on the integers of the compiled network.")  # fmt: skip
@click.option("--precision", default="int8", show_default=True,
              help=f"{', '.join(PRECISIONS)}: of the C to come; float32 has no integer epochs.")  # fmt: skip
@click.option("--start", default="decomposed", show_default=True,
              help=f"{' or '.join(STARTS)}: the factors that are trained.")  # fmt: skip
@click.option("--stages", type=click.IntRange(1, 10), default=1, show_default=True,
              help="Steps in which matrices become smaller; they share the epochs.")  # fmt: skip
@click.option("--patience", type=click.IntRange(min=1), default=40, show_default=True,
              help="Stop after so many epochs that were no better.")  # fmt: skip
@click.option("--batch", type=click.IntRange(min=1), default=32, show_default=True, help="Samples of one update.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), default=None,
              help="Of learning; default: the best of some, after a short trial.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same file.")
@click.option("--freeze", is_flag=True, help="Train the factors alone.")
@steps_option
@shape_option
@architecture_option
@json_option
def compress_command(model, data_file, recipes, out, validate, steps, shapes, architecture, json_file, **options):
    """Decompose matrices of MODEL and train it again to do what it did; labels y in the data help.

    Interrupted, the same command goes on where it was.  Needs PyTorch: pip install 'hmdc[torch]'.

    \b
    hmdc compress kws.onnx --data train.npz --compress 'lstm=kronecker(ratio=16)' -o kws16.onnx
    hmdc compile kws16.onnx --calibration typical.npz -o build/kws16
    """
    network = frontends.load(model, steps, shapes, architecture)
    if out.exists() and out.samefile(model):
        raise HmdcError(f"--out {out} is the model itself; choose another file")
    say_found(network)
    with epochs(options["epochs"], "trying learning rates" * (options["rate"] is None)) as show:
        result = compress(network, out, data_file, recipes, validate, show, **options)
    say(table(f"{out}, validation", result.rows))
    write_json(json_file, result.rows)


@contextmanager
def epochs(most: int, first: str):
    """A function that shows an Epoch: a bar on a terminal, some lines elsewhere.  first: what is done before."""
    if switched("quiet"):
        yield lambda epoch: None
    elif errors.is_terminal:
        columns = (TextColumn("epoch {task.completed}/{task.total}"), BarColumn(), TextColumn("{task.description}"),
                   TimeRemainingColumn())  # fmt: skip
        with Progress(*columns, console=errors) as bar:
            task = bar.add_task(first, total=most)
            yield lambda e: bar.update(task, completed=e.number, description=_figures(e))
    else:
        yield lambda e: (e.number % SHOWN == 0 or e.number == most) and errors.print(f"epoch {e.number}: {_figures(e)}")


def _figures(epoch) -> str:
    agreement = "" if epoch.agreement is None else f", agreement with the original {epoch.agreement:.4f}"
    accuracy = "" if epoch.accuracy is None else f", accuracy {epoch.accuracy:.4f}"
    return f"{'integers, ' * epoch.integer}loss {epoch.loss:.4f}{agreement}{accuracy}"
