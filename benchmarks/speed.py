"""Every figure of speed, measured again: executed instructions on six emulated boards, beside those of the peers.

    python benchmarks/speed.py                                # writes speed.md, .json, .svg and the README's table
    python benchmarks/speed.py --only 'microbit LSTM 28->40'  # measures those rows and only prints them

The networks of one layer are random (networks.py), the figures of the peers are in peers.toml.  A row is held when
ours / theirs is at most its bar.  The MNIST network of others is left out where --models has it not.
"""

import json
import tempfile
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import networks
import numpy as np
import readme
import speed_page

from hmdc import __version__, bench, compiler, frontends, recipe
from hmdc.boards import gcc_version
from hmdc.target import TARGETS

HERE = Path(__file__).resolve().parent
M4 = "mps2-an386"
SHAPES = ((10, 118), (77, 179), (28, 40), (64, 128))
LSTM_BARS = {"microbit": 0.55, "mps2-an385": 0.56, M4: 0.43, "mps2-an500": 0.43, "mps2-an505": 0.43, "mps3-an547": 0.30}
GRU_BAR, FASTGRNN_BAR = 0.52, 0.40
MNIST_BARS = {"microbit": 0.60, M4: 0.35, "mps3-an547": 0.35}
MNIST_CODE = 6 * 1024
HMD, KRONECKER = "hmd(ratio=2)", "kronecker(left=(59, 8))"
HMD_TIMES = {(10, 118): 1.6, (77, 179): 1.7}  # faster than our own dense step
PRUNED_TIMES, KRONECKER_TIMES = 2.0, 4.0


@dataclass(frozen=True)
class Network:
    name: str
    model: Path
    calibration: Path


@dataclass(frozen=True)
class Row:
    """One comparison.  bar: what ours / theirs must not exceed.  table: key of speed_page.TABLES."""

    table: str
    board: str
    network: str
    peer: str
    ours: int
    theirs: float
    bar: float
    cycles_estimate: int | None = None
    bytes: int | None = None  # of the recurrent layer
    bytes_theirs: int | None = None

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    @property
    def held(self) -> bool:
        return self.ratio <= self.bar

    def as_json(self) -> dict:
        return asdict(self) | {"ratio": round(self.ratio, 4), "held": self.held}


@dataclass(frozen=True)
class Case:
    label: str
    measure: Callable[[], Row]


class Lab:
    """Compiles and measures everything once.  figures: what was measured, by network, recipe and board."""

    def __init__(self, folder: Path, models: Path):
        self.folder, self.models = folder, models
        self.builds: dict[tuple, compiler.Build] = {}
        self.figures: dict[str, dict] = {}

    def random(self, cell: str, inputs: int, hidden: int) -> Network:
        return Network(f"{cell.upper()} {inputs}->{hidden}", *networks.save(self.folder, cell, inputs, hidden))

    def mnist(self) -> Network | None:
        """The example of TensorFlow Lite Micro, where its files are there."""
        model, digits = self.models / "tflm_mnist_lstm.onnx", self.models / "mnist_u8.npz"
        if not (model.is_file() and digits.is_file()):
            return None
        calibration = self.folder / "mnist.npz"
        np.savez(calibration, x=np.load(digits)["X"][:100] / 255.0)
        return Network("MNIST LSTM", model, calibration)

    def build(self, network: Network, compress: str = "") -> compiler.Build:
        key = (network.name, compress)
        if key not in self.builds:
            out = self.folder / f"build{len(self.builds)}"
            self.builds[key] = compiler.compile(
                network.model, out, name="net", calibration=network.calibration,
                compress=[compress] if compress else [],
                steps=networks.STEPS if network.model.suffix == ".npz" else None,
            )  # fmt: skip
        return self.builds[key]

    def measure(self, network: Network, board: str, compress: str = "") -> dict:
        """What hmdc bench gives, for the board's own target, with the work and the bytes of the recurrent layer."""
        key = f"{network.name}, {compress or 'dense'}, {board}"
        if key not in self.figures:
            target = next(t.name for t in TARGETS.values() if t.board == board)
            build = compiler.retarget(self.build(network, compress), target, self.folder / "target")
            figures = bench.bench_board(board, build.program, build.source)
            layer = next(layer for layer in build.report["layers"] if layer["op"] != "dense")
            self.figures[key] = {"target": target, **figures, "macs_per_step": build.report["macs_per_step"],
                                 "layer_bytes": layer["bytes"]}  # fmt: skip
        return self.figures[key]

    def sized(self, network: Network, structure: str) -> str:
        """The recipe; for the names of structures alone, the one that takes as many bytes as HMD, or just less."""
        if structure == "pruned":
            return self.equal_bytes(network, "pruned(density={})", [k / 1000 for k in range(1, 501)])
        if structure == "lowrank":
            return self.equal_bytes(network, "lowrank(rank={})", range(1, 101))
        return structure

    def equal_bytes(self, network: Network, form: str, sizes: Sequence) -> str:
        """form with the largest of the ascending sizes whose matrix takes no more bytes than that of HMD."""
        model = frontends.load(network.model)

        def taken(text: str) -> int:
            (matrix,) = recipe.decompose(recipe.assign(model, recipe.read([text]), {}), {}).values()
            return matrix.nbytes() + 4 * matrix.multipliers()

        limit = taken(HMD)
        return form.format(sizes[bisect_right(sizes, limit, key=lambda size: taken(form.format(size))) - 1])


def cases(lab: Lab, peers: dict) -> Iterator[Case]:
    yield from step_cases(lab, peers, "lstm", "lstm", "cmsis_nn", LSTM_BARS)
    yield from step_cases(lab, peers, "gru", "gru", "nnom_gru", {M4: GRU_BAR})
    yield from step_cases(lab, peers, "others", "fastgrnn", "edgeml", {M4: FASTGRNN_BAR})
    for peer in ("nnom_lstm", "onnx2c"):
        yield from step_cases(lab, peers, "others", "lstm", peer, {M4: 1.0})
    if network := lab.mnist():
        yield from mnist_cases(lab, peers["tflm"], network)
    yield from structured_cases(lab)


def step_cases(lab: Lab, peers: dict, table: str, cell: str, key: str, bars: dict[str, float]) -> Iterator[Case]:
    """One dense step of each shape."""

    def row(board: str, shape: tuple[int, int], theirs: int) -> Row:
        network = lab.random(cell, *shape)
        found = lab.measure(network, board)
        return Row(table, board, network.name, peers[key]["name"], found["instructions_per_step"], theirs, bars[board],
                   found["cycles_estimate"], found["layer_bytes"])  # fmt: skip

    for board in bars:
        for shape in SHAPES:
            name = "{}->{}".format(*shape)
            theirs = peers[key]["instructions"][board][name]
            label = f"{board} {cell.upper()} {name} {peers[key]['name']}"
            yield Case(label, lambda board=board, shape=shape, theirs=theirs: row(board, shape, theirs))


def mnist_cases(lab: Lab, peer: dict, network: Network) -> Iterator[Case]:
    """A whole inference, and the code that it takes."""

    def whole(board: str) -> Row:
        found = lab.measure(network, board)
        return Row("mnist", board, network.name, peer["name"], found["instructions_per_sequence"],
                   peer["instructions"][board]["mnist"], MNIST_BARS[board], found["cycles_estimate"])  # fmt: skip

    def code(board: str) -> Row:
        theirs = peer["code_kib"][board] * 1024
        ours = lab.measure(network, board)["code_bytes"]
        return Row("code", board, network.name, peer["name"], ours, theirs, MNIST_CODE / theirs)

    for table in (whole, code):
        for board in MNIST_BARS:
            yield Case(f"{board} {network.name} {table.__name__}", lambda table=table, board=board: table(board))


def structured_cases(lab: Lab) -> Iterator[Case]:
    """Structured steps against our own, on Cortex-M4."""

    def row(shape: tuple[int, int], structure: str, other: str, bar: float | None) -> Row:
        """bar: None for what the multiply-accumulates say."""
        network = lab.random("lstm", *shape)
        mine, its = (lab.sized(network, name) for name in (structure, other))
        ours, theirs = (lab.measure(network, M4, compress) for compress in (mine, its))
        said = ours["macs_per_step"] / theirs["macs_per_step"]
        return Row("structured", M4, f"{network.name} {mine}", its or "dense", ours["instructions_per_step"],
                   theirs["instructions_per_step"], said if bar is None else bar, ours["cycles_estimate"],
                   ours["layer_bytes"], theirs["layer_bytes"])  # fmt: skip

    def case(shape: tuple[int, int], structure: str, other: str, bar: float | None) -> Case:
        label = "{} LSTM {}->{} {} {}".format(M4, *shape, structure, other or "dense")
        return Case(label, lambda: row(shape, structure, other, bar))

    for shape, times in HMD_TIMES.items():
        yield case(shape, HMD, "", 1 / times)
        yield case(shape, HMD, "pruned", 1 / PRUNED_TIMES)
        yield case(shape, "lowrank", "", None)
    yield case((10, 118), KRONECKER, "", 1 / KRONECKER_TIMES)


@click.command()
@click.option("--models", type=click.Path(path_type=Path), default=HERE.parents[1] / "shared" / "models",
              help="Folder with tflm_mnist_lstm.onnx and mnist_u8.npz.")  # fmt: skip
@click.option("--only", help="Measure the rows whose label has these words, and print them.")
def main(models: Path, only: str | None) -> None:
    """Measure, and write speed.md, speed.json, speed.svg and the table in the README."""
    peers = tomllib.loads((HERE / "peers.toml").read_text())
    with tempfile.TemporaryDirectory(prefix="hmdc-speed-") as scratch:
        lab = Lab(Path(scratch), models)
        rows = []
        for case in cases(lab, peers):
            if only is None or all(word in case.label.split() for word in only.split()):
                rows.append(case.measure())
                click.echo(speed_page.line(rows[-1]))
    if only is None:
        gcc = gcc_version()
        content = {"hmdc": __version__, "gcc": gcc, "seed": 0, "rows": [r.as_json() for r in rows],
                   "figures": lab.figures}  # fmt: skip
        (HERE / "speed.json").write_text(json.dumps(content, indent=1) + "\n")
        (HERE / "speed.md").write_text(speed_page.markdown(rows, peers, gcc))
        page = HERE.parent / "README.md"
        table = speed_page.summary(rows)
        page.write_text(readme.with_table(page.read_text(), "benchmarks/speed.md: make speed", table))
        speed_page.chart(rows, HERE / "speed.svg")
    missed = sum(not row.held for row in rows)
    click.echo(f"{len(rows)} rows, {missed} not held")


if __name__ == "__main__":
    main()
