"""One row of the table: a network trained in one way, its size, accuracy and work.  METHODS says what the ways are."""

import json
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import numpy as np

from hmdc import __version__, bench, compiler, data, frontends, recipe
from hmdc.boards import gcc_version
from hmdc.cells import CELLS
from hmdc.compress import CALIBRATION
from hmdc.errors import HmdcError
from hmdc.model import Model
from hmdc.verify import verify

from .data import Splits
from .networks import Network
from .train import OUTPUTS_ONLY, Trainer

BOARD = "mps2-an386"  # Cortex-M4
VIDEO = "m=(8, 8, 4, 4), n=(11, 11, 20, 24)"  # 121 rows of 160 pixels, the last for h; 24: 8 pixels of 3 colors


@dataclass(frozen=True)
class Method:
    """recipe: {} stands for a size.  like: the method whose bytes the largest of `sizes` does not exceed.

    longer: trained for more epochs, on mixed samples.  streamed: for networks whose data are streamed; trained from
    random factors.
    """

    title: str
    recipe: str = ""
    like: str = ""
    sizes: Sequence = ()
    longer: bool = False
    streamed: bool = False


def _sized(like: str, words: str) -> dict[str, Method]:
    """The baselines of equal size; small dense has as many units as fit."""
    suffix, densities = like[3:] if like.startswith("hmd") else "", [k / 1000 for k in range(1, 501)]
    return {
        f"small{suffix}": Method(f"small dense, {words}", "", like),
        f"lowrank{suffix}": Method(f"low-rank, {words}", "lowrank(rank={}, stacked=True)", like, range(1, 101)),
        f"pruned{suffix}": Method(f"pruned, {words}", "pruned(density={})", like, densities),
    }


def _joined(kind: str, sizes: str) -> Method:
    title = f"{kind.replace('_', ' ').replace('tucker', 'Tucker')}, all gates joined"
    return Method(title, f"{kind}({VIDEO}, {sizes}, stacked=True)", streamed=True)


METHODS: dict[str, Method] = {
    "dense": Method("dense"),
    "kronecker": Method("Kronecker", "kronecker"),
    "kronecker_longer": Method("Kronecker, trained longer", "kronecker", longer=True),
    **_sized("kronecker", "size of Kronecker"),
    "tensor_train": Method("tensor train, size of Kronecker", "tensor_train(rank={})", "kronecker", range(1, 65)),
    "hybrid_10x": Method("hybrid Kronecker 10x", "hybrid_kronecker(ratio=10)"),
    "hybrid_20x": Method("hybrid Kronecker 20x", "hybrid_kronecker(ratio=20)"),
    "hmd_2x": Method("HMD 2x", "hmd(ratio=2)"),
    **_sized("hmd_2x", "size of HMD 2x"),
    "hmd_4x": Method("HMD 4x", "hmd(ratio=4)"),
    **_sized("hmd_4x", "size of HMD 4x"),
    "hierarchical_tucker": _joined("hierarchical_tucker", "rank=9"),  # the others have no fewer parameters
    "tensor_train_joined": _joined("tensor_train", "rank=5"),
    "tensor_ring": _joined("tensor_ring", "rank=4"),
    "block_term": _joined("block_term", "rank=5, terms=2"),
}


def methods(network: Network) -> list[str]:
    """Those that a network can be trained in."""
    fits = lambda m: m.streamed == network.streamed and (network.longer or not m.longer)
    return [name for name, m in METHODS.items() if name == "dense" or fits(m)]


def row(trainer: Trainer, method: str) -> dict:
    """Train, compile and measure; the test part is read here alone, at the end.  "impossible": why a size cannot be."""
    m, found = METHODS[method], {"network": trainer.name, "method": method, "seed": trainer.seed}
    original = trainer.dense()
    try:
        text, hidden = chosen(m, original, trainer)
    except HmdcError as e:
        return found | {"impossible": str(e)}
    path, options = original, trainer.labels
    if hidden:
        path, options = trainer.small(original, hidden), trainer.distilled | OUTPUTS_ONLY
    elif text:
        options = trainer.longer if m.longer else trainer.distilled
        path = trainer.compressed(original, text, options)
    return found | {"recipe": text, "hidden": hidden or trainer.network.hidden, "options": options,
                    **measure(path, trainer.data)}  # fmt: skip


def chosen(m: Method, original: Path, trainer: Trainer) -> tuple[str, int | None]:
    """The recipe, and the units of a small dense network."""
    model, network = frontends.load(original), trainer.network
    stacked = not any(n.op == "gru" for n in model.nodes)
    form = lambda m: m.recipe if stacked else m.recipe.replace(", stacked=True", "")
    if not m.like:
        recipe.apply(model, [m.recipe] * bool(m.recipe))
        return m.recipe, None
    limit = taken(model, form(METHODS[m.like]))
    if not m.recipe:
        small = lambda hidden: taken(network.model(trainer.data, trainer.seed, hidden))
        return "", largest(range(1, network.hidden), limit, small)
    return form(m).format(largest(m.sizes, limit, lambda size: taken(model, form(m).format(size)))), None


def largest(sizes: Sequence, limit: int, key: Callable) -> int | float:
    """Of ascending sizes the last whose key does not exceed the limit; a rank beyond the full one is too large."""

    def bytes_of(size) -> float:
        try:
            return key(size)
        except HmdcError:
            return inf

    n = bisect_right(sizes, limit, key=bytes_of)
    if n == 0:
        raise HmdcError(f"even the smallest takes {key(sizes[0])} bytes, more than {limit}")
    return sizes[n - 1]


def taken(model: Model, text: str = "") -> int:
    """Bytes of all layers, dense W and U apart: weights, indices, a multiplier for each row, and biases."""
    biases = sum(4 * len(n.weights["w"]) for n in model.nodes if "w" in n.weights)
    return biases + sum(m.nbytes() + 4 * m.multipliers() for m in recipe.apply(model, [text] * bool(text)).values())


def measure(path: Path, splits: Splits) -> dict:
    """Of a trained network.  The compiled C classifies the test part, and must do so as its simulator does."""
    with tempfile.TemporaryDirectory(prefix="hmdc-accuracy-") as folder:
        np.savez(Path(folder) / "calibration.npz", x=splits.train.x[:CALIBRATION])
        np.savez(Path(folder) / "test.npz", x=splits.test.x, y=splits.test.y)
        build = compiler.compile(path, Path(folder) / "build", name="net", target="cortex-m4",
                                 calibration=Path(folder) / "calibration.npz")  # fmt: skip
        checked = verify(build, data.load(Path(folder) / "test.npz", build.model.inputs))
        board, report = bench.bench_board(BOARD, build.program, build.source), build.report
    if not checked.passed:
        raise HmdcError(f"{path}: {checked.differences[0]}")
    return {
        "items": checked.samples, "bit_exact": checked.figures["bit_exact"],
        "float_accuracy": checked.figures["float_accuracy"], "int8_accuracy": checked.figures["int_accuracy"],
        **figures(report, board),
    }  # fmt: skip


def figures(report: dict, board: dict) -> dict:
    """Size and work of a compiled network."""
    layers, recurrent = report["layers"], [x for x in report["layers"] if x["op"] in CELLS]
    numbers = lambda some, key="parameters": sum(m[key] for layer in some for m in layer["matrices"])
    return {
        "layer_parameters": numbers(recurrent), "parameters": numbers(layers),
        "layer_ratio": round(numbers(recurrent, "dense_parameters") / numbers(recurrent), 2),
        "layer_bytes": sum(x["bytes"] for x in recurrent), "bytes": sum(x["bytes"] for x in layers),
        "instructions": board["instructions_per_sequence"], "code_bytes": board["code_bytes"],
        "ram_bytes": board["ram_bytes"], "hmdc": __version__, "gcc": gcc_version(),
    }  # fmt: skip


def too_large(model: Model) -> dict:
    """The same of a dense one that fits no board and is not compiled."""
    cell, *_, last = model.nodes
    layer, whole = (sum(m.parameters() for m in recipe.apply(replace(model, nodes=nodes)).values())
                    for nodes in ([cell], model.nodes))  # fmt: skip
    return {
        "bit_exact": None, "int8_accuracy": None, "layer_parameters": layer, "parameters": whole, "layer_ratio": 1.0,
        "layer_bytes": taken(replace(model, nodes=[cell])), "bytes": taken(model), "instructions": None,
        "code_bytes": None, "ram_bytes": None, "hmdc": __version__, "gcc": gcc_version(),
    }  # fmt: skip


def save(found: dict, folder: Path) -> Path:
    path = folder / "{network}.{method}.{seed}.json".format(**found)
    folder.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(found, indent=1) + "\n")
    fresh.replace(path)
    return path


def load(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
