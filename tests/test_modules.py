"""Modules to train from scratch: torch.nn's results, structures with torch.nn's variance, state dicts that compile.

Another seed: HMDC_SEED=2 pytest tests/test_modules.py
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import assert_close
from torch import nn

import hmdc
import hmdc.torch as structured
from hmdc import frontends, recipe
from hmdc.errors import HmdcError
from hmdc.linear import STRUCTURES
from hmdc.reference import evaluate
from hmdc.torch.matrix import Matrix

SEED = int(os.environ.get("HMDC_SEED", "1"))
KINDS = ("LSTM", "GRU", "RNN", "FastRNN", "FastGRNN")
OPTIONS = (
    {},
    {"num_layers": 2, "bias": False},
    {"batch_first": True, "bidirectional": True},
    {"num_layers": 2, "batch_first": True, "bidirectional": True, "dropout": 0.3},
)
RECIPES = {
    "lowrank": "lowrank(rank=3)",
    "hmd": "hmd(ratio=2)",
    "kronecker": "kronecker(ratio=4)",
    "hybrid_kronecker": "hybrid_kronecker(ratio=2)",
    "doped_kronecker": "doped_kronecker(ratio=3)",
    "tensor_train": "tensor_train(ratio=3)",
    "tensor_ring": "tensor_ring(ratio=3)",
    "hierarchical_tucker": "hierarchical_tucker(ratio=3)",
    "block_term": "block_term(ratio=3)",
    "pruned": "pruned(density=0.2)",
    "block_pruned": "block_pruned(density=0.25)",
}


@pytest.fixture(autouse=True)
def seeded():
    print("seed", SEED)
    torch.manual_seed(SEED)


def flat(state) -> list[torch.Tensor]:
    return list(state) if isinstance(state, tuple) else [state]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", ("LSTM", "GRU", "RNN", "relu"))
def test_dense_equals_torch(kind, options):
    """The same seed, the same weights; with and without states and batch the same results and gradients."""
    name, more = ("RNN", {"nonlinearity": "relu"}) if kind == "relu" else (kind, {})
    pair = []
    for module in (nn, structured):
        torch.manual_seed(SEED)
        pair.append(getattr(module, name)(3, 5, **more, **options).eval())
    theirs, ours = pair
    assert list(theirs.state_dict()) == list(ours.state_dict())
    assert all(torch.equal(a, ours.state_dict()[k]) for k, a in theirs.state_dict().items())
    ours.load_state_dict(theirs.state_dict())
    cells = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    for shape, batch in (((4, 6, 3), (6, 4)[options.get("batch_first", False)]), ((6, 3), 0)):
        x = torch.randn(shape)
        start = [torch.randn(cells, *[batch] * (batch > 0), 5) for _ in range(1 + (kind == "LSTM"))]
        for hx in (None, tuple(start) if len(start) > 1 else start[0]):
            (want, states), (found, last) = theirs(x, hx), ours(x, hx)
            for a, b in zip([want, *flat(states)], [found, *flat(last)], strict=True):
                assert_close(b.detach().numpy(), a.detach().numpy(), 1e-5, str(options))
    for m in pair:
        m.zero_grad()
        m(x)[0].square().sum().backward()
    for a, b in zip(theirs.parameters(), ours.parameters(), strict=True):
        assert_close(b.grad.numpy(), a.grad.numpy(), 1e-4, "gradient")


def test_dense_linear_equals_torch():
    for bias in (True, False):
        pair = []
        for module in (nn, structured):
            torch.manual_seed(SEED)
            pair.append(module.Linear(7, 4, bias))
        x = torch.randn(2, 3, 7)
        assert torch.equal(pair[0](x), pair[1](x))


@pytest.mark.parametrize("structure", [s for s in STRUCTURES if s != "dense"])
def test_variance(structure):
    """Of the entries that no rich row has, and of whole layers within what chance makes of it; zeros stay zeros."""
    layer = structured.LSTM(40, 48, structure=RECIPES[structure])
    fc = structured.Linear(48, 40, structure=RECIPES[structure])
    for w, bound in ((layer.products()["weight_ih_l0"], 48**-0.5), (layer.products()["weight_hh_l0"], 48**-0.5),
                     (fc.products()["weight"], 48**-0.5)):  # fmt: skip
        assert abs(w.var().item() / (bound**2 / 3) - 1) < 0.2, structure
    if "pruned" in structure:
        for w in layer.state_dict().values():
            share = (w != 0).float().mean().item()
            assert w.ndim < 2 or len(w) < 3 or 0.1 < share < 0.4


@pytest.mark.parametrize("structure", [s for s in STRUCTURES if s != "dense"])
def test_training_and_state(structure, tmp_path):
    """The loss of a tiny task goes down, a state dict brings all of it back, and the same seed the same run."""

    def trained() -> tuple[nn.ModuleList, list[float]]:
        torch.manual_seed(SEED)
        net = nn.ModuleList([structured.GRU(6, 16, structure=RECIPES[structure]),
                             structured.Linear(16, 8, structure=RECIPES[structure])])  # fmt: skip
        optimizer, losses = torch.optim.Adam(net.parameters(), 1e-2), []
        x = torch.randn(10, 20, 6)
        y = x[:, :, 0].sum(0).gt(0).long()
        for _ in range(25):
            loss = nn.functional.cross_entropy(net[1](net[0](x)[0][-1]), y)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return net, losses

    net, losses = trained()
    assert losses[-1] < 0.6 * losses[0] and losses == trained()[1]
    fresh = nn.ModuleList([structured.GRU(6, 16, structure=RECIPES[structure]),
                           structured.Linear(16, 8, structure=RECIPES[structure])])  # fmt: skip
    fresh.load_state_dict(net.state_dict())
    assert all(torch.equal(a, fresh.state_dict()[k]) for k, a in net.state_dict().items())
    x = torch.randn(3, 4, 6)
    assert torch.equal(net[1](net[0](x)[0]), fresh[1](fresh[0](x)[0]))


class Net(nn.Module):
    def __init__(self, kind: str, norm: bool = False, **options):
        super().__init__()
        self.norm = nn.BatchNorm1d(6) if norm else None
        self.rnn = getattr(structured, kind)(6, 16, batch_first=True, **options)
        self.fc = structured.Linear(16, 8, structure=options.get("structure", "dense"))

    def forward(self, x):
        x = x if self.norm is None else self.norm(x.transpose(1, 2)).transpose(1, 2)
        return self.fc(self.rnn(x)[0][:, -1])


def saved(net: nn.Module, folder: Path, suffix: str = "pt") -> Path:
    if suffix == "pt":
        torch.save(net.state_dict(), folder / "net.pt")
    else:
        from safetensors.torch import save_file

        save_file({k: a.contiguous().clone() for k, a in net.state_dict().items()}, folder / "net.safetensors")
    return folder / f"net.{suffix}"


CASES = [(kind, "kronecker") for kind in KINDS] + [("LSTM", s) for s in RECIPES if s != "kronecker"]


@pytest.mark.parametrize("kind,structure", CASES)
def test_state_dict_compiles(kind, structure, tmp_path):
    """To the same outputs, and with exactly the factors that were trained."""
    net = Net(kind, structure=RECIPES[structure], num_layers=2 if kind == "GRU" else 1).eval()
    x = torch.randn(24, 5, 6)
    np.savez(tmp_path / "typical.npz", x=x.numpy())
    path = saved(net, tmp_path)
    model = frontends.load(path, 5)
    assert_close(evaluate(model, {"x": x.double().numpy()})["y"], net(x).detach().numpy()[:, None], 1e-5, "float")
    build = hmdc.compile(path, tmp_path / "build", calibration=tmp_path / "typical.npz", steps=5)
    state = {k: a.numpy() for k, a in net.state_dict().items() if ".factors." in k}
    layer = {"GRU": "gru1"}.get(kind, kind.lower())
    with np.load(build.path / ".hmdc" / "factors.npz") as kept:
        for k, a in state.items():
            name = k.replace("rnn.factors.l0", layer).replace("rnn.factors.l1", "gru2").replace("fc.factors", "fc")
            assert np.array_equal(kept[name], a), name
        assert len(kept.files) == len(state)


@pytest.mark.parametrize("kind", KINDS)
def test_dense_state_dict_compiles(kind, tmp_path):
    net, x = Net(kind).eval(), torch.randn(4, 5, 6)
    model = frontends.load(saved(net, tmp_path, "safetensors"), 5)
    assert_close(evaluate(model, {"x": x.double().numpy()})["y"], net(x).detach().numpy()[:, None], 1e-5, kind)


def test_normalization_in_front_leaves_the_factors(tmp_path):
    net = Net("LSTM", True, structure="lowrank(rank=3)")
    x = 2 * torch.randn(24, 5, 6) + 1
    net(x)
    net.eval()
    np.savez(tmp_path / "typical.npz", x=x.numpy())
    model = frontends.load(path := saved(net, tmp_path), 5)
    assert_close(evaluate(model, {"x": x.double().numpy()})["y"], net(x).detach().numpy()[:, None], 1e-5, "float")
    build = hmdc.compile(path, tmp_path / "build", calibration=tmp_path / "typical.npz", steps=5)
    assert {m["name"]: m["structure"] for r in build.report["layers"] for m in r["matrices"]}["lstm.wu"] == "lowrank"


def test_factors_of_other_weights(tmp_path):
    net = Net("LSTM", structure="lowrank(rank=3)")
    state = net.state_dict()
    state["rnn.weight_hh_l0"] = state["rnn.weight_hh_l0"] * 1.01
    torch.save(state, tmp_path / "net.pt")
    with pytest.raises(HmdcError, match="lstm.wu: the factors in the file are not those of its weights"):
        hmdc.compile(tmp_path / "net.pt", tmp_path / "build", precision="float32", steps=5)
    model = frontends.load(tmp_path / "net.pt", 5)
    assert set(recipe.trained(model, recipe.read(["lstm=dense"]), {})) == {"fc.lowrank.0", "fc.lowrank.1"}


@pytest.mark.parametrize("structure", ["pruned", "block_pruned", "doped_kronecker"])
def test_sparsify(structure):
    """From the whole matrix to the density of the recipe, never back."""
    net = structured.Linear(37, 30, structure=RECIPES[structure])
    (matrix,) = (m for m in net.modules() if isinstance(m, Matrix))
    count = lambda: int(np.count_nonzero(matrix.arrays()[matrix.sparse]))
    before, final = matrix.arrays()[matrix.sparse], count()
    structured.sparsify(net, 0)
    counts, kept = [count()], []
    assert counts == [37 * 30]
    for t in (0.1, 0.25, 0.5, 0.75, 1.0, 1.0):
        structured.sparsify(net, t)
        kept.append(matrix.arrays()[matrix.sparse] != 0)
        counts.append(count())
    assert counts == sorted(counts, reverse=True) and len(set(counts)) == 6
    if structure != "block_pruned":  # blocks at the edges have fewer entries
        assert abs(counts[2] - (1110 - (1110 - final) * (1 - 0.75**3))) <= 1 and counts[-1] == final
    assert all((a | ~b).all() for a, b in zip(kept, kept[1:]))
    if structure == "pruned":
        assert np.array_equal(matrix.arrays()["pruned.w"], before)


@pytest.mark.parametrize(
    "make,says",
    [
        (lambda: structured.LSTM(3, 4, structure="lowrank"), "needs rank, or ratio=R"),
        (lambda: structured.LSTM(3, 4, structure="lstm=lowrank(rank=2)"), "leave lstm= out"),
        (lambda: structured.LSTM(3, 4, structure="lowrank(rank=2, stacked=True)"), "leave it out"),
        (lambda: structured.LSTM(3, 4, proj_size=2), "no option 'proj_size'"),
        (lambda: structured.Linear(3, 4, ratio=2), "takes no ratio"),
        (lambda: structured.RNN(3, 4, nonlinearity="sin"), "tanh or relu"),
        (lambda: structured.GRU(3, 4)(torch.zeros(2, 5)), "the last of size 3"),
        (lambda: structured.GRU(3, 4)(torch.zeros(5, 2, 3), torch.zeros(1, 1, 4)), r"h0 is \[1, 1, 4\]; \[1, 2, 4\]"),
    ],
)
def test_refused(make, says):
    with pytest.raises(HmdcError, match=says):
        make()


def test_hmdc_alone_leaves_torch_out():
    code = "import sys, hmdc, hmdc.cli; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_example_of_the_page(tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "compression.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    build = hmdc.compile(tmp_path / "keywords.pt", tmp_path / "build", calibration=tmp_path / "typical.npz", steps=20)
    assert "kronecker" in {m["structure"] for r in build.report["layers"] for m in r["matrices"]}
