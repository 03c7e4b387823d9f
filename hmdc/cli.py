"""The command line.  Errors become one line and exit code 2."""

import json
import os
import re
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from . import __version__, bench, compiler, data, frontends, verify
from .boards import load_boards
from .compiler import MODES, PRECISIONS, Build
from .errors import HmdcError
from .firmware import board
from .report import layer_table, reuse_line
from .savings import savings
from .target import TARGETS

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


@click.group(
    cls=Group, params=switches(), context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="hmdc")
def main() -> None:
    """Compile trained recurrent networks to static-memory C for Arm Cortex-M.

    \b
    hmdc compile model.onnx --calibration data.npz -o build/kws
    hmdc verify build/kws --data test.npz --on host --on mps2-an386
    """
    if not switched("verbose"):
        warnings.simplefilter("ignore")  # numpy's, about numbers that a message of ours names


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
build_argument = click.argument("build", metavar="DIR", type=click.Path(path_type=Path))


def write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as e:
        raise HmdcError(f"{path} cannot be written: {e.strerror}; choose another file") from e


def write_json(path: Path | None, content) -> None:
    if path is not None:
        write(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


@main.command()
@model_argument
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Folder to write.")
@click.option("--name", help="Prefix of all C symbols and files; default: the model's file name.")
@click.option("--target", default="cortex-m4", show_default=True, help="See hmdc targets.")
@click.option(
    "--calibration", type=click.Path(path_type=Path), metavar="F.npz", help="Typical inputs, for int8 and int16."
)
@click.option("--precision", default="int8", show_default=True, help=", ".join(PRECISIONS))
@click.option("--mode", default="auto", show_default=True, help=", ".join(MODES))
@steps_option
@shape_option
@click.option("--compress", multiple=True, metavar="RECIPE",
              help="[pattern=]structure(options), or @FILE.toml; repeatable.")  # fmt: skip
@click.option("--factors", type=click.Path(path_type=Path), metavar="F.npz", help="Trained factors, used as they are.")
@click.option("--time-block", metavar="N|auto", help="Steps whose input products share reads of the weights.")
@click.option("--ram-budget", type=click.IntRange(min=1), metavar="BYTES", help="RAM that the network may take.")
@json_option
def compile(model, out, shapes, json_file, **options) -> None:
    """Compile MODEL to DIR/NAME.c, NAME.h and NAME.json.

    \b
    hmdc compile kws.onnx --target cortex-m4 --calibration typical.npz -o build/kws
    """
    with progress(f"compiling {model}"):
        build = compiler.compile(model, out, input_shapes=shapes, **options)
    r = build.report
    entries = " and ".join(f"{build.name}_{e}" for e in build.program.entries)
    say(f"{build.source}: {entries}; flash {r['flash_bytes']} bytes, of which weights {r['weights_bytes']}; "
                  f"RAM {r['ram_bytes']} bytes; {r['macs']} MACs per sequence")  # fmt: skip
    matrices = [m for layer in r["layers"] for m in layer["matrices"]]
    if dre := reuse_line(r):
        say(dre)
    if any(m["structure"] != "dense" for m in matrices):
        say(f"matrix parameters {r['ratio']} x smaller, bytes {r['bytes_ratio']} x")
    for m in matrices:
        if m["macs"] > m["dense_macs"]:
            errors.print(
                f"warning: {m['name']}: {m['structure']} takes {m['macs']} MACs, dense {m['dense_macs']}", markup=False
            )
    if switched("verbose"):
        say(table("layers", [{k: v for k, v in layer.items() if k != "matrices"} for layer in r["layers"]]))
        say(table("matrices", [m | {"note": m.get("note", "")} for m in matrices]))
    write_json(json_file, r)


def table(title: str, rows: list[dict]) -> Table:
    t = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for key in rows[0] if rows else ():
        t.add_column(key, justify="right" if isinstance(rows[0][key], (int, float)) else "left")
    for row in rows:
        t.add_row(*("-" if v is None else str(v) for v in row.values()))
    return t


def read_data(build: Build, path: Path, limit: int | None) -> data.Data:
    optional = {p.name for p in build.program.inputs if p.kind == "state"}
    return data.load(path, build.model.inputs, optional).first(limit)


data_option = click.option("--data", "data_file", required=True, type=click.Path(path_type=Path), metavar="F.npz",
                           help="Samples: one array per input, labels y optional.")  # fmt: skip
limit_option = click.option("--limit", type=click.IntRange(min=1), help="Use the first N samples only.")


@main.command("verify")
@build_argument
@data_option
@on_option
@limit_option
@json_option
@click.pass_context
def verify_command(ctx, build, data_file, places, limit, json_file) -> None:
    """Does the C equal the integer simulator bit for bit, and how close is it to the float network?

    \b
    hmdc verify build/kws --data test.npz --on host --on mps2-an386
    """
    build = compiler.load(build)
    samples = read_data(build, data_file, limit)
    with progress(f"verifying {samples.samples} samples"):
        result = verify.verify(build, samples, places or ("host",))
    write_json(json_file, result.as_json())
    for where, figures in result.on.items():
        say(f"{where}: {_verdict(figures)}")
    f = result.figures
    snr = "exact" if f["snr_db"] is None else f"{f['snr_db']:.1f} dB"
    say(
        f"against float, {result.samples} samples: argmax agreement {f['agreement']:.4f}, "
        f"signal-to-noise {snr}, error max {f['max_abs_error']:.3g}, rms {f['rms_error']:.3g}"
    )
    if f["float_accuracy"] is not None:
        say(f"accuracy: float {f['float_accuracy']:.4f}, compiled {f['int_accuracy']:.4f}")
    for difference in result.differences:
        complain(str(difference))
    ctx.exit(0 if result.passed else 1)


def _verdict(figures: dict) -> str:
    if "first_difference" in figures:
        return "C and simulator differ"
    return (
        "C equals the float program within 1e-5"
        if figures["bit_exact"] is None
        else "C equals the simulator bit for bit"
    )


@main.command()
@build_argument
@data_option
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), callback=parse_file, metavar="OUT.npz",
              help="File to write.")  # fmt: skip
@click.option("--on", "place", default="host", show_default=True, callback=parse_place, metavar="host|BOARD",
              help="Where to run.")  # fmt: skip
@limit_option
def run(build, data_file, out, place, limit) -> None:
    """Write what the compiled C computes: NAME (real values) and NAME.raw (integers) for every output.

    \b
    hmdc run build/kws --data test.npz --on host -o out.npz
    """
    build = compiler.load(build)
    samples = read_data(build, data_file, limit)
    with progress(f"running {samples.samples} samples on {place}"):
        found = verify.whole(
            build.program, verify.execute(build, place, data.to_integers(build.program, samples.inputs))
        )
    arrays = {}
    for port in build.program.outputs:
        raw = found[port.name]
        arrays[port.name] = verify.to_real(build.program, port.name, raw)
        if build.program.precision != "float32":
            arrays[f"{port.name}.raw"] = data.from_port(port, build.program.steps, raw)
    write(out, data.npz(arrays))
    say(f"{out}: {', '.join(f'{k} {list(a.shape)}' for k, a in arrays.items())}")


@main.command("bench")
@build_argument
@on_option
@json_option
@click.option("--breakdown", is_flag=True, help="Where the instructions of a step go, by function and source line.")
@click.option("--as-built", is_flag=True, help="Measure the files of DIR on every board, for whatever core they are.")
@click.option("--against", "earlier", type=click.Path(path_type=Path), metavar="F.json",
              callback=lambda _ctx, _param, path: path and bench.read_figures(path),
              help="Compare with an earlier --json.")  # fmt: skip
def bench_command(build, places, json_file, breakdown, as_built, earlier) -> None:
    """Count instructions exactly and measure code, RAM and stack on emulated boards.

    \b
    hmdc bench build/kws --on all --json before.json
    hmdc bench build/kws --on all --against before.json

    On a core with other instructions than the build's target has, the network is generated again for that core.
    Instructions are not cycles: wait states, unaligned loads and dual issue are invisible to the emulator.
    Cycles of one step (or run) are an estimate, for Cortex-M0, M3 and M4: zero wait states, no stalls.
    """
    if "host" in places:
        raise HmdcError(f"--on host: instructions are counted on emulated boards; known are {', '.join(load_boards())}")
    build = compiler.load(build)
    boards = {}
    for place in places or (TARGETS[build.report["target"]].board or "mps2-an386",):
        with progress(f"measuring on {place}"):
            boards[place] = bench.measure(build, place, breakdown, as_built)
    write_json(json_file, {"boards": boards})
    for title, rows in bench.tables(build.name, boards, earlier):
        say(table(title, rows))
    for note in bench.notes(boards, earlier, build.report["target"]):
        say(note)


@main.command()
@model_argument
@steps_option
@shape_option
@json_option
@click.option("--compress-table", is_flag=True, help="What each structure would save, cost and keep of each matrix.")
def inspect(model, steps, shapes, json_file, compress_table) -> None:
    """Show the inputs, outputs, layers and matrices of MODEL, and whether it streams.

    \b
    hmdc inspect kws.onnx
    hmdc inspect kws.onnx --compress-table
    """
    network = frontends.load(model, steps, shapes)
    content = layer_table(network)
    if compress_table:
        with progress("decomposing every matrix in every structure"):
            content["compress"] = savings(network)
    write_json(json_file, content)
    for kind in ("inputs", "outputs"):
        say(f"{kind}: {', '.join(f'{n} {s}' for n, s in content[kind].items())}")
    say(f"steps: {content['steps']}; {content['streaming']}")
    say(table("layers", content["layers"]))
    if compress_table:
        say(table("structures", content["compress"]))


@main.command()
@json_option
def targets(json_file) -> None:
    """List the cores that --target takes.

    \b
    hmdc targets
    """
    rows = [{"target": t.name, "core": t.core, "instructions": t.isa.instructions, "kernels": t.isa.kernels,
             "board": t.board} for t in TARGETS.values()]  # fmt: skip
    write_json(json_file, rows)
    say(table("targets", rows))


@main.command()
@json_option
def demo(json_file) -> None:
    """Compile a bundled network, run it on an emulated Cortex-M4 over real test data and print what it takes.

    \b
    hmdc demo
    """
    from .demo import demo as run_demo

    with progress("compiling, emulating and measuring the bundled example"):
        result, notes = run_demo()
    write_json(json_file, result)
    say(table("JapaneseVowels GRU on Cortex-M4, emulated", result["rows"]))
    for note in notes:
        say(note)
