"""Train a compressed network to do what the original does, with labels mixed in where there are some.

Loss: distance of the outputs and of the hidden states in units of their variance, the Kullback-Leibler divergence of
softened classes (Hinton et al., arXiv 1503.02531), and cross entropy with the labels.  The last epochs see the outputs
of the compiler's own integers, with the gradients of the float network (straight-through).
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain, islice
from math import cos, inf, isfinite, pi
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor
from torch.nn import functional as F

from ..cells import CELLS
from ..classes import classes, logits
from ..errors import HmdcError
from ..model import Model
from .integers import Integers
from .matrix import sparsify
from .network import Network, hidden

TEMPERATURE = 2.0
CLIP = 1.0  # norm of the gradient
WARM_UP = 0.05  # of all steps
NO_LABEL = -100  # what cross_entropy passes over
RATES = (2e-2, 1e-2, 4e-3)  # which of them is best differs from structure to structure
TRIAL = 0.07  # of all steps, with each rate: some of them at its highest
PRUNING = 0.6  # of all epochs: entries go one after the other, and the best epoch is one after that

Values = dict[str, Tensor]


@dataclass(frozen=True)
class Options:
    """epochs: at most; integer: the last of them, on integer outputs.  patience: epochs without a better one.

    labels: weight of the cross entropy where labels are there; hidden: of the hidden states.
    mix: how many of the samples are mixed with another one (Zhang et al., arXiv 1710.09412): the original tells what
    comes out, so that few recordings teach more.
    rate: of Adam at its highest; without one that of RATES whose loss is least after a trial.
    """

    epochs: int = 100
    integer: int = 5
    patience: int = 30
    batch: int = 32
    rate: float | None = None
    seed: int = 0
    labels: float = 0.5
    hidden: float = 0.5
    mix: float = 0.5
    freeze: bool = False


@dataclass(frozen=True)
class Samples:
    """inputs: name -> [samples, *shape]; labels: [samples] or [samples, steps] or None."""

    inputs: Values
    labels: Tensor | None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def pick(self, index) -> "Samples":
        labels = None if self.labels is None else self.labels[index]
        return Samples({k: a[index] for k, a in self.inputs.items()}, labels)


@dataclass(frozen=True)
class Epoch:
    """What a progress bar shows.  loss: of the training; agreement: with the original, and accuracy, in validation;
    None without classes or labels."""

    number: int
    loss: float
    agreement: float | None
    accuracy: float | None
    best: bool
    integer: bool


def schedule(steps: int) -> Callable[[int], float]:
    """Step -> share of the learning rate: warm-up, then half a cosine."""
    warm = max(1, round(WARM_UP * steps))
    return lambda step: min((step + 1) / warm, 0.5 + 0.5 * cos(pi * min(1.0, step / steps)))


class Loss:
    """Distance of a network to the original.  values: of the original, on some samples.

    labels in a call: NO_LABEL where there is none.
    """

    def __init__(self, model: Model, values: Values, options: Options):
        self.options = options
        self.outputs = [logits(model, v) for v in model.outputs]
        self.classes = {logits(model, v): classes(model, v) for v in model.outputs}
        self.hidden = [hidden(n) for n in model.nodes if n.op in CELLS]
        self.spread = {v: values[v].var().clamp(min=1e-8) for v in (*self.outputs, *self.hidden)}

    def __call__(self, values: Values, original: Values, labels: Tensor | None) -> Tensor:
        total = sum(self._apart(v, values, original) for v in self.outputs)
        if self.hidden and self.options.hidden:
            states = sum(self._apart(v, values, original) for v in self.hidden) / len(self.hidden)
            total = total + self.options.hidden * states
        for v in self.outputs:
            if self.classes[v]:
                softened = [F.log_softmax(scores(a[v]) / TEMPERATURE, -1).flatten(0, -2) for a in (values, original)]
                total = total + TEMPERATURE**2 * F.kl_div(*softened, reduction="batchmean", log_target=True)
        if labels is not None and self.options.labels and (labels >= 0).any():
            own = scores(values[self.outputs[0]]).flatten(0, -2)
            total = total + self.options.labels * F.cross_entropy(own, labels.flatten())
        return total

    def _apart(self, v: str, values: Values, original: Values) -> Tensor:
        return (values[v] - original[v]).square().mean() / self.spread[v]


def scores(values: Tensor) -> Tensor:
    """Of two classes, where there is a single logit."""
    return values if values.shape[-1] > 1 else F.pad(values, (1, 0))


class Training:
    """One training that can be interrupted: what `step` did before it is found in the folder again."""

    def __init__(self, original: Network, network: Network, train: Samples, valid: Samples, options: Options,
                 integers: Integers | None = None, folder: Path | None = None, key: str = ""):  # fmt: skip
        """folder: for checkpoints, or None.  key: of the data and recipes, beside the options."""
        self.network, self.train, self.valid, self.options = network, train, valid, options
        self.integers, self.path = integers, folder and folder / "checkpoint.pt"
        self.key = key + str(asdict(options))
        self.original, self.wanted = original, _evaluate(original, valid)
        self.loss = Loss(original.model, self.wanted, options)
        self.epoch, self.score, self.stale, self.best = 0, -inf, 0, _copy(network)
        self.trained = [p for k, p in network.named_parameters() if not options.freeze or k.startswith("matrices")]
        self.steps = -(-len(train) // options.batch)
        self.pruned = self._pruned()
        self._start(options.rate or RATES[0])
        self._resume()

    def _start(self, rate: float) -> None:
        self.optimizer = torch.optim.Adam(self.trained, rate)
        self.rates = torch.optim.lr_scheduler.LambdaLR(self.optimizer, schedule(self.steps * self.options.epochs))

    def _try_rates(self) -> None:
        """Start with the best of RATES."""
        first, count, found = _copy(self.network), max(4, round(TRIAL * self.steps * self.options.epochs)), {}
        for rate in RATES:
            self._start(rate)
            epochs = (self._pass(epoch, False) for epoch in range(-(-count // self.steps)))
            losses = [loss for loss, _ in islice(chain.from_iterable(epochs), count)]
            late = fmean(losses[count // 2 :])
            found[rate] = late if isfinite(late) else inf
            self.network.load_state_dict(first)
        self._start(min(found, key=found.get))

    def _pruned(self) -> int:
        """The first epoch with no more entries than the recipes say.  Pruned matrices start as they were before."""
        o = self.options
        last = max(1, min(round(PRUNING * o.epochs), o.epochs - o.integer))
        return last if last > 1 and sparsify(self.network, 0) else 1

    def run(self) -> Iterator[Epoch]:
        """Train to the end; afterwards the network is the best one that was seen."""
        if self.epoch == 0 and self.options.rate is None:
            self._try_rates()
        while self.epoch < self.options.epochs and self.stale < self.options.patience:
            yield self._one_epoch()
            self._save()
        self.network.load_state_dict(self.best)

    def _one_epoch(self) -> Epoch:
        o, self.epoch = self.options, self.epoch + 1
        integer = self.integers is not None and self.epoch > o.epochs - o.integer
        if integer and self.epoch == o.epochs - o.integer + 1:  # floats compete with floats, integers with integers
            self.network.load_state_dict(self.best)
            self.score = -inf
        if self.epoch <= self.pruned:
            sparsify(self.network, self.epoch / self.pruned)
        total = sum(loss * size for loss, size in self._pass(self.epoch, integer))
        return self._judge(total / len(self.train), integer)

    def _pass(self, epoch: int, integer: bool) -> Iterator[tuple[float, int]]:
        """One pass over the samples: loss and size of each batch."""
        chance = torch.Generator().manual_seed(self.options.seed * 100_003 + epoch)
        for index in torch.randperm(len(self.train), generator=chance).split(self.options.batch):
            part = self._mixed(self.train.pick(index), chance)
            with torch.no_grad():
                original = self.original(part.inputs)
            loss = self.loss(self._values(part.inputs, integer), original, part.labels)
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.trained, CLIP)
            self.optimizer.step()
            self.rates.step()
            yield loss.item(), len(index)

    def _mixed(self, part: Samples, chance: torch.Generator) -> Samples:
        """Some of the samples mixed with others of the batch; those have no label."""
        if self.original.model.integers or not self.options.mix:
            return part
        n = len(part)
        other, mixed = torch.randperm(n, generator=chance), torch.rand(n, generator=chance) < self.options.mix
        share = torch.where(mixed, torch.rand(n, generator=chance), 1.0)
        each = lambda v, a: v.reshape(n, *[1] * (a.dim() - 1))
        blend = lambda a: torch.lerp(a[other], a, each(share, a))
        labels = None if part.labels is None else part.labels.masked_fill(each(mixed, part.labels), NO_LABEL)
        return Samples({k: blend(a) for k, a in part.inputs.items()}, labels)

    def _values(self, inputs: Values, integer: bool) -> Values:
        values = self.network(inputs)
        if not integer:
            return values
        found = self.integers(self.network, inputs)
        return values | {v: values[v] + (y - values[v]).detach() for v, y in found.items()}

    def _judge(self, loss: float, integer: bool) -> Epoch:
        """By what the network is for: labels if there are some, the original if not; then by the loss."""
        with torch.no_grad():
            values = self._values(self.valid.inputs, integer)
            distance = self.loss(values, self.wanted, None).item()
        agreement, accuracy, labels, first = None, None, self.valid.labels, self.loss.outputs[0]
        if self.loss.classes[first]:
            found, original = (scores(a[first]).argmax(-1) for a in (values, self.wanted))
            agreement = (found == original).double().mean().item()
            if labels is not None:
                accuracy = (found.flatten() == labels.flatten()).double().mean().item()
        score = next((v for v in (accuracy, agreement) if v is not None), 0.0) - 1e-3 * min(distance, 100.0)
        best = score > self.score and self.epoch >= self.pruned
        self.stale = 0 if best or self.epoch < self.pruned else self.stale + 1
        if best:
            self.score, self.best = score, _copy(self.network)
        return Epoch(self.epoch, loss, agreement, accuracy, best, integer)

    # --- checkpoints

    def _save(self) -> None:
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {"key": self.key, "epoch": self.epoch, "score": self.score, "stale": self.stale, "best": self.best,
                   "network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(),
                   "rates": self.rates.state_dict(), "integers": self.integers and self.integers.state()}  # fmt: skip
        fresh = self.path.with_suffix(".new")
        torch.save(content, fresh)
        fresh.replace(self.path)

    def _resume(self) -> None:
        if self.path is None or not self.path.is_file():
            return
        try:
            saved = torch.load(self.path, weights_only=True)
            same = saved["key"] == self.key
        except Exception as e:  # whatever a damaged file makes torch raise
            raise HmdcError(f"{self.path} is damaged; remove {self.path.parent} to start afresh") from e
        if not same:
            raise HmdcError(f"{self.path.parent} is of another training; remove it to start afresh")
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.rates.load_state_dict(saved["rates"])
        if self.integers:
            self.integers.restore(saved["integers"])
        self.epoch, self.score, self.stale, self.best = (saved[k] for k in ("epoch", "score", "stale", "best"))


def _copy(network: Network) -> Values:
    return {k: p.detach().clone() for k, p in network.state_dict().items()}


def _evaluate(network: Network, samples: Samples) -> Values:
    with torch.no_grad():
        return network(samples.inputs)
