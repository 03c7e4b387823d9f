"""From random weights to an ONNX file in the cache: a dense network, a small dense one, and compressed ones.

All three train by the same schedule (Adam, warm-up and half a cosine, early stopping by the validation part), go on
where they were when interrupted, and are not trained again while network, options and data are the same.
"""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from hmdc import frontends, recipe
from hmdc.compress import CALIBRATION, compress
from hmdc.frontends.onnx.write import write
from hmdc.model import Model
from hmdc.torch.distill import Epoch, Loss, Options, Samples, Training
from hmdc.torch.integers import Integers
from hmdc.torch.network import Network

from .data import Part, Splits
from .networks import LONGER
from .networks import Network as Benchmarked

OUTPUTS_ONLY = {"hidden": 0.0}  # where the hidden states of the original have no counterparts


class Labels(Loss):
    """The cross entropy alone: there is no original."""

    def __call__(self, values, original, labels):
        scores = values[self.outputs[0]]
        return scores.new_zeros(()) if labels is None else F.cross_entropy(scores.reshape(len(scores), -1), labels)


class Trainer:
    """A network of the benchmark, dense and compressed, from one seed.  folder: of the files.  name: theirs."""

    def __init__(self, network: Benchmarked, data: Splits, seed: int, folder: Path, name: str,
                 on_epoch: Callable[[Epoch], None] | None = None):  # fmt: skip
        torch.set_num_threads(1)  # the matrices are small, and sums of one thread are the same everywhere
        self.network, self.data, self.seed, self.folder, self.name = network, data, seed, folder, name
        self.labels, self.distilled = (asdict(Options(**own, seed=seed)) for own in (network.labels, network.distilled))
        self.longer = self.distilled | LONGER | {"epochs": network.longer * self.distilled["epochs"]}
        self.on_epoch = on_epoch
        self.files = {part: self._file(part) for part in ("train", "validation")}

    def _file(self, part: str) -> Path:
        """Of one part, as hmdc compress reads it."""
        values: Part = getattr(self.data, part)
        content = hashlib.sha256(values.x.tobytes() + values.y.tobytes()).hexdigest()[:12]
        path = self.folder / f"{part}-{content}.npz"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            np.savez(path, x=values.x, y=values.y)
        return path

    def dense(self) -> Path:
        options, model = Options(**self.labels), self.network.model(self.data, self.seed)

        def train(path: Path, folder: Path) -> None:
            network = Network(model)
            training = Training(network, network, *self._samples(model), options, None, folder)
            training.loss = Labels(model, training.wanted, options)
            self._run(training, path, folder)

        return self._kept("dense", (_shape(model), self.labels), train)

    def small(self, original: Path, hidden: int) -> Path:
        """A dense network with fewer units, from random weights: the loss of the compressed ones, integer epochs
        included, but for the hidden states, which have no counterparts."""
        options, model = Options(**self.distilled | OUTPUTS_ONLY), self.network.model(self.data, self.seed, hidden)

        def train(path: Path, folder: Path) -> None:
            few = {k: x[:CALIBRATION].numpy() for k, x in self._samples(model)[0].inputs.items()}
            integers = Integers(recipe.assign(model, [], {}), few)
            teacher = Network(frontends.load(original))
            self._run(Training(teacher, Network(model), *self._samples(model), options, integers, folder), path, folder)

        return self._kept("small", (original.name, _shape(model), asdict(options)), train)

    def compressed(self, original: Path, text: str, options: dict) -> Path:
        """text: a recipe."""
        train = lambda path, _: compress(original, path, self.files["train"], [text], self.files["validation"],
                                         self.on_epoch, **options)  # fmt: skip
        return self._kept(text.partition("(")[0], (original.name, text, options), train)

    def _samples(self, model: Model) -> list[Samples]:
        ((name, shape),) = model.inputs.items()
        return [Samples({name: torch.tensor(part.x.reshape(-1, *shape))}, torch.tensor(part.y))
                for part in self.data[:2]]  # fmt: skip

    def _run(self, training: Training, path: Path, folder: Path) -> None:
        for epoch in training.run():
            if self.on_epoch:
                self.on_epoch(epoch)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(write(training.network.trained()))
        fresh.replace(path)
        shutil.rmtree(folder, ignore_errors=True)

    def _kept(self, method: str, made_of: tuple, train: Callable[[Path, Path], None]) -> Path:
        """The file, made unless it is there.  made_of: what it depends on beside the data."""
        content = str((self.name, [f.name for f in self.files.values()], made_of))
        stem = f"{self.name}.{method}.{self.seed}.{hashlib.sha256(content.encode()).hexdigest()[:10]}"
        path = self.folder / f"{stem}.onnx"
        if not path.exists():
            train(path, self.folder / f"{stem}.training")
        return path


def _shape(model: Model) -> list:
    return [(n.op, n.attrs, {k: w.shape for k, w in n.weights.items()}) for n in model.nodes]
