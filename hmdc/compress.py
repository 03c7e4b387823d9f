"""Decompose the matrices of a trained network and train it again: `hmdc compress`.  PyTorch is needed here only."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import numpy as np

from . import compiler, data, factor_file, frontends, recipe
from .classes import check_labels, classes
from .data import MAX_TRAINING, Data
from .errors import HmdcError
from .frontends.onnx.write import write
from .model import Model
from .moments import second_moments
from .reference import evaluate
from .simulate import simulate
from .verify import compare, real_outputs

CALIBRATION = 256  # samples
STARTS = ("decomposed", "random")
VALIDATION = 4096  # samples, or a fifth where that is less and no file is given


@dataclass(frozen=True)
class Compressed:
    """model: dense weights, with the factors.  rows: a table for people, before and after."""

    model: Model
    rows: list[dict]


def compress(
    model: str | Path | Model,
    out: str | Path,
    samples: str | Path,
    recipes: Sequence[str],
    validate: str | Path | None = None,
    on_epoch: Callable | None = None,
    stages: int = 1,
    precision: str = "int8",
    start: str = "decomposed",
    **options,
) -> Compressed:
    """Write OUT, an ONNX file with the factors in its metadata.

    samples, validate: data files, with labels y or without.  options: of hmdc.torch.distill.Options.  on_epoch: called
    with every Epoch.  stages: trainings that share the epochs; each reaches the same part of the ratio, and the next
    decomposes what it trained.  precision: of the C to come; float32 has no integer epochs.  start: the first factors,
    from the trained matrices or random.  A checkpoint beside OUT lets an interrupted training go on.
    """
    from .torch.distill import Options

    out, chosen = Path(out), Options(**options)
    if out.suffix != ".onnx" or out.is_dir():
        raise HmdcError(f"{out}: the result is an ONNX file; give it a name with the suffix .onnx")
    compiler.known("--precision", precision, compiler.PRECISIONS)
    compiler.known("--start", start, STARTS)
    if stages > chosen.epochs:
        raise HmdcError(f"--stages {stages}: they share {chosen.epochs} epochs; use fewer stages or more epochs")
    if chosen.rate is not None and not 0 < chosen.rate < inf:
        raise HmdcError(f"--rate {chosen.rate}: use a positive number, or leave it out")
    network = model if isinstance(model, Model) else frontends.load(Path(model))
    train, valid = _data(network, Path(samples), validate and Path(validate), chosen.seed)
    if train.samples < 2 or valid.samples < 1:
        raise HmdcError(f"{train.samples} samples to train on and {valid.samples} to validate with are too few")
    for part in (train, valid):
        check_labels(part.labels, network)
    parsed = recipe.read(recipes)
    kept = recipe.trained(network, parsed, {})
    assignments = recipe.assign(network, parsed, kept)
    if all(a.structure == "dense" for a in assignments.values()):
        raise HmdcError("nothing to compress: give --compress, e.g. --compress 'lstm=kronecker(ratio=16)'")
    network, assignments = recipe.reorder(network, assignments, kept)
    judge = _judge(network, _few(train), valid, precision)
    before = judge("before", network)  # what int8 cannot hold is refused now, not after the training
    folder, key = out.parent / f"{out.stem}.training", _key(network, [*recipes, precision, start], train, valid)
    job = _Job(network, parsed, train, valid, precision, start, key, on_epoch or (lambda epoch: None))
    found = job.run(assignments, chosen, stages, folder)
    content = write(found, {factor_file.METADATA: factor_file.encode(found.factors)})
    _put(out, content)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        return Compressed(found, [before, judge("after", out)])
    except HmdcError as e:
        raise HmdcError(f"{out} is written, but does not compile: {e}") from e


def _data(network: Model, path: Path, validate: Path | None, seed: int) -> tuple[Data, Data]:
    train = compiler.read_samples(network, path, MAX_TRAINING)
    if validate is not None:
        return train, compiler.read_samples(network, validate)
    order = np.random.default_rng(seed).permutation(train.samples)
    n = min(train.samples // 5, VALIDATION)
    return train.pick(np.sort(order[n:])), train.pick(np.sort(order[:n]))


def _key(network: Model, texts: Sequence[str], *sets: Data) -> str:
    """What a checkpoint must have in common with this training."""
    layers = [(n.op, n.name, n.attrs) for n in network.nodes]  # of one file there may be several descriptions
    digest = hashlib.sha256(str((network.sha256, layers, texts)).encode())
    for d in sets:
        for a in (*d.inputs.values(), *([] if d.labels is None else [d.labels])):
            digest.update(np.ascontiguousarray(a))
    return digest.hexdigest()


def _few(train: Data) -> dict[str, np.ndarray]:
    return {k: a[:CALIBRATION] for k, a in train.inputs.items()}


@dataclass(frozen=True)
class _Job:
    """What all stages of a training share.  key: of the checkpoints."""

    original: Model
    recipes: list[recipe.Recipe]
    train: Data
    valid: Data
    precision: str
    start: str
    key: str
    on_epoch: Callable

    def run(self, assignments: dict[str, recipe.Assignment], options, stages: int, folder: Path) -> Model:
        """Trained again and again, with ever smaller matrices; the integers come at the end."""
        found, before = self.original, 0
        for stage in range(1, stages + 1):
            last, kept = stage == stages, recipe.trained(found, self.recipes, {})
            own = replace(options, epochs=options.epochs * stage // stages - before, integer=options.integer * last)
            aim = recipe.on(found, assignments if last else recipe.relaxed(assignments, stage / stages, kept))
            shown = lambda e, before=before: self.on_epoch(replace(e, number=before + e.number))
            found = self._stage(found, aim, kept, own, folder / str(stage), shown)
            before += own.epochs
        return found

    def _stage(self, model: Model, assignments, kept: dict[str, np.ndarray], options, folder: Path, on_epoch) -> Model:
        """model, trained to do what the original does, with its factors.  kept: factors that it has already."""
        import torch

        from .torch.distill import Training
        from .torch.integers import Integers
        from .torch.network import Network

        torch.set_num_threads(1)  # the matrices are small, and sums of one thread are the same everywhere
        few = _few(self.train)
        moments = second_moments(model, few, recipe.needs_moments(assignments, True, kept))
        student = Network(model, assignments, recipe.decompose(assignments, moments, kept))
        if self.start == "random" and model is self.original:
            student.draw(options.seed, kept)
        integers = None if self.precision == "float32" else Integers(assignments, few, self.precision)
        training = Training(Network(self.original), student, self._samples(self.train), self._samples(self.valid),
                            options, integers, folder, self.key)  # fmt: skip
        for epoch in training.run():
            on_epoch(epoch)
        return replace(student.trained(), factors=student.factors())

    def _samples(self, d: Data):
        import torch

        from .torch.distill import Samples

        as_is = lambda v, a: torch.tensor(a, dtype=torch.int64 if v in self.original.integers else torch.float32)
        labels = None if d.labels is None else torch.tensor(d.labels.reshape(len(d.labels), -1))
        return Samples({v: as_is(v, a) for v, a in d.inputs.items()}, labels)


def _put(out: Path, content: bytes) -> None:
    """All or nothing."""
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.with_name(f".{out.name}.new")
    fresh.write_bytes(content)
    fresh.replace(out)


def _judge(original: Model, calibration: dict[str, np.ndarray], valid: Data, precision: str) -> Callable[..., dict]:
    """(name, model) -> a row: bytes, MACs, and what validation says of floats and of the compiled integers."""
    reference, n_classes = evaluate(original, valid.inputs), classes(original, original.outputs[0])
    shown = "int_accuracy" if valid.labels is not None else "agreement" if n_classes else "snr_db"

    def judge(name: str, model: Model | Path) -> dict:
        with tempfile.TemporaryDirectory(prefix="hmdc-compress-") as scratch:
            typical = Path(scratch) / "calibration.npz"
            typical.write_bytes(data.npz(calibration))
            build = compiler.compile(model, Path(scratch) / "build", calibration=typical, precision=precision)
        program, r = build.program, build.report
        found = {"float": evaluate(build.model, valid.inputs)}
        if precision != "float32":
            integers = simulate(program, data.to_integers(program, valid.inputs))
            found[precision] = real_outputs(program, {"run": integers})
        outputs = {p.name: reference[p.name] for p in program.outputs}
        row = {"": name, "parameters": _parameters(r), "weights": r["weights_bytes"], "flash": r["flash_bytes"],
               "MACs": r["macs"]}  # fmt: skip
        for kind, values in found.items():
            figure = compare(outputs, {v: values[v] for v in outputs}, valid.labels, n_classes)[shown]
            row[f"{shown.removeprefix('int_')} {kind}"] = "exact" if figure is None else round(figure, 4)
        return row

    return judge


def _parameters(report: dict) -> int:
    return sum(m["parameters"] for layer in report["layers"] for m in layer["matrices"])
