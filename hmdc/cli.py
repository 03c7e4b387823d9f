"""The command line.  Errors become one line and exit code 2."""

import json
import sys
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from . import __version__, compiler, data, frontends, verify
from .compiler import MODES, PRECISIONS, Build
from .errors import HmdcError
from .firmware import bench_board
from .report import layer_table
from .target import TARGETS

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


class Group(click.Group):
    """Turns HmdcError into one line; with -v the traceback comes first."""

    def invoke(self, ctx: click.Context):
        try:
            return super().invoke(ctx)
        except HmdcError as e:
            if ctx.params.get("verbose"):
                errors.print_exception()
            click.echo(f"hmdc: {' '.join(str(e).split())}", err=True)
            ctx.exit(2)
        except BrokenPipeError:
            sys.stderr.close()
            ctx.exit(0)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="hmdc")
@click.option("-v", "--verbose", is_flag=True, help="Tracebacks of errors, and every layer after compile.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.pass_context
def main(ctx: click.Context, verbose: bool, quiet: bool) -> None:
    """Compile trained recurrent networks to static-memory C for Arm Cortex-M.

    \b
    hmdc compile model.onnx --calibration data.npz -o build/kws
    hmdc verify build/kws --data test.npz --on host --on mps2-an386
    """
    ctx.obj = {"verbose": verbose}
    console.quiet = quiet


def progress(text: str):
    """A spinner on a terminal, nothing elsewhere."""
    return errors.status(text) if errors.is_terminal and not console.quiet else _Silent()


class _Silent:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def parse_shape(_ctx, _param, values: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """NAME=1x49x10 -> {NAME: (1, 49, 10)}."""
    out = {}
    for text in values:
        name, _, sizes = text.rpartition("=")
        parts = sizes.split("x")
        if not name or not all(p.isascii() and p.isdigit() and 0 < int(p) < 2**31 for p in parts):
            raise HmdcError(f"--input-shape {text}: write it like {name or 'x'}=1x49x10")
        out[name] = tuple(int(p) for p in parts)
    return out


json_option = click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures to this file."
)
on_option = click.option("--on", "places", multiple=True, metavar="host|BOARD", help="Where to run; may be repeated.")
build_argument = click.argument("build", metavar="DIR", type=click.Path(path_type=Path))


def write_json(path: Path | None, content) -> None:
    if path is None:
        return
    try:
        path.write_text(json.dumps(content, indent=2) + "\n")
    except OSError as e:
        raise HmdcError(f"--json {path} cannot be written: {e.strerror}") from e


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Folder to write.")
@click.option("--name", help="Prefix of all C symbols and files; default: the model's file name.")
@click.option("--target", default="cortex-m4", show_default=True, help="See hmdc targets.")
@click.option(
    "--calibration", type=click.Path(path_type=Path), metavar="F.npz", help="Typical inputs, for int8 and int16."
)
@click.option("--precision", default="int8", show_default=True, help=", ".join(PRECISIONS))
@click.option("--mode", default="auto", show_default=True, help=", ".join(MODES))
@click.option(
    "--steps", type=click.IntRange(1, 1 << 20), help="Time steps of a sequence, where the model leaves it open."
)
@click.option(
    "--input-shape", "shapes", multiple=True, callback=parse_shape, metavar="NAME=1x49x10", help="Bind open axes."
)
@json_option
@click.pass_context
def compile(ctx, model, out, name, target, calibration, precision, mode, steps, shapes, json_file) -> None:
    """Compile MODEL to DIR/NAME.c, NAME.h and NAME.json.

    \b
    hmdc compile kws.onnx --target cortex-m4 --calibration typical.npz -o build/kws
    """
    with progress(f"compiling {model}"):
        build = compiler.compile(model, out, name=name, target=target, calibration=calibration, precision=precision,
                                 mode=mode, steps=steps, input_shapes=shapes)  # fmt: skip
    r = build.report
    entries = " and ".join(f"{build.name}_{e}" for e in build.program.entries)
    console.print(f"{build.source}: {entries}; flash {r['flash_bytes']} bytes, of which weights {r['weights_bytes']}; "
                  f"RAM {r['ram_bytes']} bytes; {r['macs']} MACs per sequence", markup=False)  # fmt: skip
    if ctx.obj["verbose"]:
        console.print(table("layers", r["layers"]))
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
        result = verify.verify(build, samples, tuple(dict.fromkeys(places)) or ("host",))
    write_json(json_file, result.as_json())
    for where, figures in result.on.items():
        console.print(f"{where}: {_verdict(figures)}", markup=False)
    f = result.figures
    snr = "exact" if f["snr_db"] is None else f"{f['snr_db']:.1f} dB"
    console.print(
        f"against float, {result.samples} samples: argmax agreement {f['agreement']:.4f}, "
        f"signal-to-noise {snr}, error max {f['max_abs_error']:.3g}, rms {f['rms_error']:.3g}",
        markup=False,
    )
    if f["float_accuracy"] is not None:
        console.print(f"accuracy: float {f['float_accuracy']:.4f}, compiled {f['int_accuracy']:.4f}")
    for difference in result.differences:
        click.echo(f"hmdc: {difference}", err=True)
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
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), metavar="OUT.npz", help="File to write.")
@click.option("--on", "place", default="host", show_default=True, metavar="host|BOARD", help="Where to run.")
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
    try:
        with out.open("wb") as f:
            np.savez(f, **arrays)
    except OSError as e:
        raise HmdcError(f"{out} cannot be written: {e.strerror}") from e
    console.print(f"{out}: {', '.join(f'{k} {list(a.shape)}' for k, a in arrays.items())}", markup=False)


@main.command()
@build_argument
@on_option
@json_option
def bench(build, places, json_file) -> None:
    """Count instructions exactly and measure code, RAM and stack on emulated boards.

    \b
    hmdc bench build/kws --on mps2-an386

    Instructions are not cycles: wait states, unaligned loads and dual issue are invisible to the emulator.
    """
    build = compiler.load(build)
    default = TARGETS[build.report["target"]].board
    boards = {}
    for place in dict.fromkeys(places or ([default] if default else ["mps2-an386"])):
        with progress(f"measuring on {place}"):
            boards[place] = bench_board(place, build.program, build.source)
    write_json(json_file, {"boards": boards})
    rows = [{"board": name, **{k.removesuffix("_bytes").replace("_", " "): v for k, v in b.items() if k != "flags"}}
            for name, b in boards.items()]  # fmt: skip
    console.print(table(f"{build.name}: instructions (not cycles) and bytes", rows))
    for name, b in boards.items():
        console.print(f"{name}: arm-none-eabi-gcc {b['flags']}", markup=False)


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--steps", type=click.IntRange(1, 1 << 20), help="Time steps of a sequence, where the model leaves it open."
)
@click.option(
    "--input-shape", "shapes", multiple=True, callback=parse_shape, metavar="NAME=1x49x10", help="Bind open axes."
)
@json_option
def inspect(model, steps, shapes, json_file) -> None:
    """Show the inputs, outputs, layers and matrices of MODEL, and whether it streams.

    \b
    hmdc inspect kws.onnx
    """
    content = layer_table(frontends.load(model, steps, shapes))
    write_json(json_file, content)
    for kind in ("inputs", "outputs"):
        console.print(f"{kind}: {', '.join(f'{n} {s}' for n, s in content[kind].items())}", markup=False)
    console.print(f"steps: {content['steps']}; {content['streaming']}", markup=False)
    console.print(table("layers", content["layers"]))


@main.command()
@json_option
def targets(json_file) -> None:
    """List the cores that --target takes.

    \b
    hmdc targets
    """
    rows = [{"target": t.name, "core": t.core, "kernels": t.isa, "board": t.board} for t in TARGETS.values()]
    write_json(json_file, rows)
    console.print(table("targets", rows))


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
    console.print(table("JapaneseVowels GRU on Cortex-M4, emulated", result["rows"]))
    for note in notes:
        console.print(note, markup=False)
