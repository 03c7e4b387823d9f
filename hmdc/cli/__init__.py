"""The command line.  Errors become one line and exit code 2."""

import warnings
from pathlib import Path

import click

from .. import __version__, bench, compiler, data, frontends, verify
from ..boards import load_boards
from ..compiler import MODES, PRECISIONS, Build
from ..errors import HmdcError
from ..report import layer_table, reuse_line
from ..savings import savings
from ..target import TARGETS
from .options import (
    architecture_option,
    build_argument,
    data_option,
    json_option,
    limit_option,
    model_argument,
    on_option,
    parse_file,
    parse_place,
    shape_option,
    steps_option,
)
from .shell import Group, complain, errors, progress, say, say_found, switched, switches, table, write, write_json
from .training import compress_command


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


main.add_command(compress_command)


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
@architecture_option
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
    say_found(build.model)
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


def read_data(build: Build, path: Path, limit: int | None) -> data.Data:
    optional = {p.name for p in build.program.inputs if p.kind == "state"}
    return data.load(path, build.model.inputs, optional, build.model.integers).first(limit)


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
    agreement = "" if f["agreement"] is None else f"agreement {f['agreement']:.4f}, "
    say(
        f"against float, {result.samples} samples: {agreement}"
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
            arrays[f"{port.name}.raw"] = data.from_port(port, raw)
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
@architecture_option
@json_option
@click.option("--compress-table", is_flag=True, help="What each structure would save, cost and keep of each matrix.")
def inspect(model, steps, shapes, architecture, json_file, compress_table) -> None:
    """Show the inputs, outputs, layers and matrices of MODEL, and whether it streams.

    \b
    hmdc inspect kws.onnx
    hmdc inspect kws.onnx --compress-table
    """
    network = frontends.load(model, steps, shapes, architecture)
    say_found(network)
    content = layer_table(network) | ({"found": network.found} if network.found else {})
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
    from ..demo import demo as run_demo

    with progress("compiling, emulating and measuring the bundled example"):
        result, notes = run_demo()
    write_json(json_file, result)
    say(table("JapaneseVowels GRU on Cortex-M4, emulated", result["rows"]))
    for note in notes:
        say(note)
