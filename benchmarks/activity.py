"""The two activity recognition networks of the papers on HMD and KP, whole, on an emulated Cortex-M7.

    python benchmarks/activity.py                # writes the table of docs/speed.md
    python benchmarks/activity.py --only HAR1    # measures those rows and only prints them

The weights are random (networks.py): the table says what the networks take, not how well they classify.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import networks
import numpy as np
import onnx

from hmdc import bench, compiler, data, verify
from hmdc.boards import gcc_version

PAGE = Path(__file__).resolve().parents[1] / "docs" / "speed.md"
BEGIN, END = "<!-- from benchmarks/activity.py: make networks -->\n", "<!-- end -->"
TARGET, BOARD = "cortex-m7", "mps2-an500"
VERIFIED = 3  # samples that run on the board and on the PC
BUILDERS = {"HAR1": networks.bilstm, "HAR2": networks.deep_conv_lstm}
HMD, KRONECKER, LOWRANK = "lstm*=hmd(ratio=2)", "lstm*=kronecker(ratio=16)", "conv[234]=lowrank(ratio=2)"
ROWS = [("HAR1", ()), ("HAR1", (HMD,)), ("HAR1", (KRONECKER,)), ("HAR2", ()), ("HAR2", (HMD,)), ("HAR2", (KRONECKER,)),
        ("HAR2", (KRONECKER, LOWRANK))]  # fmt: skip
HEAD = ["network", "recipes", "flash", "RAM", "stack", "MACs", "instructions", "per MAC", "C = simulator"]


def measure(folder: Path, name: str, recipes: Sequence[str]) -> list[str]:
    """The cells of one row."""
    model, samples = BUILDERS[name]()
    onnx.save(model, folder / "net.onnx")
    np.savez(folder / "x.npz", x=samples)
    build = compiler.compile(folder / "net.onnx", folder / "build", name="net", target=TARGET,
                             calibration=folder / "x.npz", compress=recipes)  # fmt: skip
    found = bench.bench_board(BOARD, build.program, build.source)
    checked = data.load(folder / "x.npz", build.model.inputs).first(VERIFIED)
    same = verify.verify(build, checked, ("host", BOARD)).passed
    work, macs = found["instructions_per_sequence"], build.report["macs"]
    sizes = found["code_bytes"] + found["const_bytes"], found["ram_bytes"], found["stack_bytes"], macs, work
    text = ", ".join(f"`{r}`" for r in recipes) or "dense"
    return [name, text, *(f"{n:,}" for n in sizes), f"{work / macs:.2f}", "yes" if same else "**no**"]


@click.command()
@click.option("--only", help="Measure the rows that have this text, and print them.")
def main(only: str | None) -> None:
    """Measure, and write the table."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    with tempfile.TemporaryDirectory(prefix="hmdc-activity-") as scratch:
        for name, recipes in ROWS:
            if only is None or only in f"{name} {recipes}":
                lines.append("| " + " | ".join(measure(Path(scratch), name, recipes)) + " |")
                click.echo(lines[-1])
    if only is None:
        before, begin, rest = PAGE.read_text().partition(BEGIN)
        _, end, after = rest.partition(END)
        lines.append(f"\narm-none-eabi-gcc {gcc_version()} -O3.")
        PAGE.write_text(before + begin + "\n".join(lines) + "\n" + end + after)


if __name__ == "__main__":
    main()
