"""Rows of a network whose data are streamed: videos, too large to be kept, and a matrix too large to be built.

Each is trained from random weights, or factors, with labels alone: Adam with warm-up and half a cosine, gradients
clipped; the epoch with the best validation accuracy is kept.  What was trained stays in the cache.
"""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import replace
from math import ceil, inf
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmdc import bench, compiler, recipe
from hmdc.cells import CELLS
from hmdc.data import to_integers
from hmdc.errors import HmdcError
from hmdc.model import Model
from hmdc.simulate import simulate
from hmdc.torch.cells import STEPS, activations
from hmdc.torch.distill import CLIP, schedule
from hmdc.torch.matrix import Matrix
from hmdc.torch.network import Network as Trained
from hmdc.verify import execute, first_difference, real_outputs

from . import rows
from .data import Part, Splits, moving
from .networks import Network

BOARD, TARGET = "mps2-an500", "cortex-m7"  # with RAM enough for a frame and its products
CALIBRATION = 32  # videos
AT_ONCE = 50  # videos that are classified together
TEST = 1000  # videos: the simulator takes a minute or two for them


def row(name: str, network: Network, method: str, seed: int, folder: Path, shown: Callable[[str], None]) -> dict:
    """As rows.row; "int8_accuracy" and "instructions" are None where the network fits no board."""
    torch.set_num_threads(1)
    text, data = rows.METHODS[method].recipe, network.splits()
    data = data._replace(test=Part(data.test.x[:TEST], data.test.y[:TEST]))
    model = network.build(*moving.SHAPE, network.hidden, len(data.classes), seed)
    _open(model)
    net = Structured(model, text, seed) if text else Dense(model)
    options = {"seed": seed} | (network.distilled if text else network.labels)
    made_of = str((method, text, options, moving.SHAPE, network.hidden, data.train.y.tobytes()))
    path = folder / f"{name}.{method}.{seed}.{hashlib.sha256(made_of.encode()).hexdigest()[:10]}.pt"
    if not path.exists():
        train(net, data, options, shown)
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(net.state_dict(), path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
    net.load_state_dict(torch.load(path, weights_only=True))
    found = {"network": name, "method": method, "seed": seed, "recipe": text, "hidden": network.hidden,
             "options": options, "items": len(data.test.y), "float_accuracy": accuracy(net, data.test)}  # fmt: skip
    return found | (compiled(net, data) if text else rows.too_large(model))


def _open(model: Model) -> None:
    """Forget gates that are open at first, so that the first frames count (Jozefowicz et al., 2015)."""
    cell = model.nodes[0]
    gate = CELLS[cell.op].gates.index("f")
    np.split(cell.weights["bw"], len(CELLS[cell.op].gates))[gate][:] += 1


class Dense(Trained):
    def forward(self, x: Tensor) -> Tensor:
        """Videos [samples, frames, values] -> scores [samples, classes]."""
        ((name, shape),) = self.model.inputs.items()
        return super().forward({name: x.reshape(-1, *shape)})[self.model.outputs[0]].flatten(1)


class Structured(nn.Module):
    """An LSTM with [W U] of all gates as one matrix, from random factors; the last hidden state is classified."""

    def __init__(self, model: Model, text: str, seed: int):
        super().__init__()
        self.cell, *_, self.last = model.nodes
        shape = recipe.matrices(self.cell)[f"{self.cell.name}.wu"]
        nothing = {k: np.broadcast_to(0.0, self.cell.weights[k].shape) for k in "wu"}  # takes no memory
        own = replace(self.cell, weights=self.cell.weights | nothing)
        self.model = replace(model, nodes=[own, *model.nodes[1:]])
        (chosen,), deviation = recipe.read([text]), (3 * self.cell.attrs["hidden"]) ** -0.5  # as torch.nn has it
        options = {k: v for k, v in chosen.options.items() if k != "stacked"}
        self.matrix = Matrix.random(chosen.structure, options, shape, deviation, np.random.default_rng(seed))
        free = {k: self.cell.weights[k] for k in ("bw", "bu")} | {f"last_{k}": w for k, w in self.last.weights.items()}
        self.free = nn.ParameterDict({k: nn.Parameter(torch.tensor(w, dtype=torch.float32)) for k, w in free.items()})

    def forward(self, x: Tensor) -> Tensor:
        """Videos [samples, frames, values] -> scores [samples, classes]."""
        samples, frames, values = x.shape
        n, w = self.cell.attrs["hidden"], dict(self.free)
        sums = self.matrix.times(x.flatten(0, 1)).unflatten(0, (samples, frames))
        w["u"] = self.matrix.times(torch.eye(n), values).T
        state = {s: x.new_zeros(samples, n) for s in CELLS[self.cell.op].states}
        for k in range(frames):
            state = STEPS[self.cell.op](self.cell, w, activations(self.cell), sums[:, k], state)
        return F.linear(state["h"], w["last_w"], w["last_b"])

    def trained(self) -> tuple[Model, dict[str, np.ndarray]]:
        """The model, its matrix left out, and the factors of that."""
        w = {k: p.detach().double().numpy() for k, p in self.free.items()}
        cell, *others = self.model.nodes
        cell = replace(cell, weights=cell.weights | {k: w[k] for k in ("bw", "bu")})
        last = replace(self.last, weights={k: w[f"last_{k}"] for k in self.last.weights})
        factors = {f"{cell.name}.wu.{k}": a for k, a in self.matrix.arrays().items()}
        return replace(self.model, nodes=[cell, *others[:-1], last]), factors


def train(net: nn.Module, data: Splits, options: dict, shown: Callable[[str], None]) -> None:
    """options: epochs, batch, rate, seed.  Afterwards the network is that of the best epoch."""
    epochs, batch, best = options["epochs"], options["batch"], (-inf, {})
    steps = epochs * ceil(len(data.train.y) / batch)
    optimizer = torch.optim.Adam(net.parameters(), options["rate"])
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule(steps))
    for epoch in range(1, epochs + 1):
        total = 0.0
        for part in moving.batches(data.train, batch, seed=1000 * options["seed"] + epoch):  # they move anew
            loss = F.cross_entropy(net(torch.tensor(part.x)), torch.tensor(part.y))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), CLIP)
            optimizer.step()
            rates.step()
            total += loss.item() * len(part.y)
        right = accuracy(net, data.validation)
        shown(f"epoch {epoch}, loss {total / len(data.train.y):.3f}, accuracy {right:.3f}")
        if right > best[0]:
            best = right, {k: p.clone() for k, p in net.state_dict().items()}
    net.load_state_dict(best[1])


@torch.no_grad()
def accuracy(net: nn.Module, part: Part) -> float:
    right = [net(torch.tensor(videos.x)).argmax(1).numpy() == videos.y for videos in moving.batches(part, AT_ONCE)]
    return float(np.concatenate(right).mean())


def compiled(net: Structured, data: Splits) -> dict:
    """The C classifies the test part, and must do so as its simulator does."""
    model, factors = net.trained()
    ((name, shape),) = model.inputs.items()
    with tempfile.TemporaryDirectory(prefix="hmdc-accuracy-") as folder:
        np.savez(Path(folder) / "factors.npz", **factors)
        few = next(moving.batches(data.train, CALIBRATION))
        np.savez(Path(folder) / "calibration.npz", x=few.x.reshape(-1, *shape))
        build = compiler.compile(model, Path(folder) / "build", name="net", target=TARGET, mode="sequence",
                                 calibration=Path(folder) / "calibration.npz",
                                 factors=Path(folder) / "factors.npz")  # fmt: skip
        right = []
        for videos in moving.batches(data.test, AT_ONCE):
            inputs = to_integers(build.program, {name: videos.x.reshape(-1, *shape)})
            found, wanted = execute(build, "host", inputs), {"run": simulate(build.program, inputs)}
            if difference := first_difference(build.program, "host", found, wanted):
                raise HmdcError(str(difference))
            scores = real_outputs(build.program, found)[model.outputs[0]]
            right.append(scores.reshape(len(videos.y), -1).argmax(1) == videos.y)
        board = bench.bench_board(BOARD, build.program, build.source)
    return {"bit_exact": True, "int8_accuracy": float(np.concatenate(right).mean()),
            **rows.figures(build.report, board)}  # fmt: skip
