"""How the command line speaks: one line for an error, tables, progress, and the switches -v and -q everywhere."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import HmdcError
from ..model import Model

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


class Command(click.Command):
    """Takes -v and -q like the group: users write them before and after the name of the command."""

    def __init__(self, *args, params=None, **kwargs):
        super().__init__(*args, params=[*(params or ()), *switches()], **kwargs)


class Group(click.Group):
    """Whatever is wrong with the input becomes one line and exit code 2; with -v the traceback comes first."""

    command_class = Command

    def parse_args(self, ctx, args):
        return super().parse_args(ctx, args or ["--help"])

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (HmdcError, OSError, MemoryError) as e:
            if switched("verbose"):
                errors.print_exception()
            raise click.ClickException(str(e) or "not enough memory") from e

    def main(self, *args, **kwargs):
        try:
            code = super().main(*args, **kwargs | {"prog_name": "hmdc", "standalone_mode": False})
        except click.UsageError as e:
            complain(f"{e.format_message().rstrip('.')}; see {e.ctx.command_path if e.ctx else 'hmdc'} --help")
            code = 2
        except click.ClickException as e:
            complain(e.format_message())
            code = 2
        except click.Abort:
            complain("interrupted")
            code = 130
        sys.exit(code)


def switches() -> list[click.Option]:
    def turn(ctx, param, on):
        ctx.ensure_object(dict)[param.name] = on or switched(param.name)

    verbose = "Tracebacks of errors, and every layer after compile."
    return [
        click.Option(["-v", "--verbose"], is_flag=True, expose_value=False, callback=turn, help=verbose),
        click.Option(["-q", "--quiet"], is_flag=True, expose_value=False, callback=turn, help="Print only errors."),
    ]


def switched(name: str) -> bool:
    return (click.get_current_context().obj or {}).get(name, False)


def complain(text: str) -> None:
    """One printable line, whatever a file or a name says."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))
    click.echo(f"hmdc: {line if len(line) <= 1000 else line[:1000] + '...'}", err=True)


def say(content: str | Table) -> None:
    if not switched("quiet"):
        console.print(content, markup=False)


def progress(text: str):
    """A spinner on a terminal, nothing elsewhere."""
    return errors.status(escape(text)) if errors.is_terminal and not switched("quiet") else nullcontext()


def write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as e:
        raise HmdcError(f"{path} cannot be written: {e.strerror}; choose another file") from e


def write_json(path: Path | None, content) -> None:
    if path is not None:
        write(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def table(title: str, rows: list[dict]) -> Table:
    t = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for key in rows[0] if rows else ():
        t.add_column(key, justify="right" if isinstance(rows[0][key], (int, float)) else "left")
    for row in rows:
        t.add_row(*("-" if v is None else str(v) for v in row.values()))
    return t


def say_found(network: Model) -> None:
    """What a file without a graph was taken for."""
    if network.found:
        say(table(f"read from {network.path}, {network.steps} steps", network.found))
