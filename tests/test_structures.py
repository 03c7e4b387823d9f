"""Every structure x every cell x every precision.  Driven by the registries: what is added there is tested here."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import hmdc
from hmdc import recipe
from hmdc.cells import CELLS
from hmdc.check import check
from hmdc.data import Data, to_integers, to_real
from hmdc.linear import STRUCTURES
from hmdc.lower import lower
from hmdc.model import Model, Node
from hmdc.reference import evaluate, shapes
from hmdc.simulate import simulate
from hmdc.target import TARGETS
from hmdc.verify import verify

KINDS = {
    "lstm": {},
    "gru0": {"linear_before_reset": False},
    "gru1": {"linear_before_reset": True},
    "rnn": {"activation": "tanh"},
    "lstm_coupled": {},
    "fastrnn": {"alpha": -0.5, "beta": 1.5},
    "fastgrnn": {"zeta": 1.0, "nu": -2.0},
}
BIASES = {"fastrnn": ("b",), "fastgrnn": ("bz", "bh")}
ALWAYS = 4  # kinds that meet every structure in every size; each structure meets one of the others
SIZES = ((7, 13, 5), (12, 24, 3), (5, 29, 4))  # inputs, hidden units, steps: primes and smooth numbers
SEED = 7
TARGET = {t.board: t.name for t in reversed(TARGETS.values()) if t.board}


def network(kind: str, n_in: int, n: int, steps: int) -> Model:
    """One recurrent layer and a dense layer on its last state."""
    rng = np.random.default_rng(SEED)
    op = kind.rstrip("01")
    gates = len(CELLS[op].gates)
    draw = lambda *shape: rng.normal(size=shape) / np.sqrt(shape[-1])
    weights = {"w": draw(gates * n, n_in), "u": draw(gates * n, n)}
    weights |= {k: draw(gates * n) for k in BIASES.get(op, ("bw", "bu"))}
    outputs = ("", "h", "c")[: 1 + len(CELLS[op].states)]
    cell = Node(
        op,
        "rec",
        ("x", *[""] * len(CELLS[op].states)),
        outputs,
        {"hidden": n, "reverse": False, **KINDS[kind]},
        weights,
    )
    flat = Node("reshape", "reshape", ("h",), ("f",), {"shape": (1, n)})
    head = Node(
        "dense", "fc", ("f",), ("y",), {"axis": 1, "low": -np.inf, "high": np.inf}, {"w": draw(4, n), "b": draw(4)}
    )
    model = Model({"x": (steps, 1, n_in)}, [cell, flat, head], ["y"], steps=steps, sha256="0" * 64, path="net")
    model.shapes = shapes(model)
    return model


def samples(model: Model, count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(SEED + 1)
    return {k: rng.normal(size=(count, *s)) for k, s in model.inputs.items()}


def densified(model: Model, maps) -> Model:
    """The model with the matrices that the maps stand for."""
    nodes = []
    for n in model.nodes:
        w = dict(n.weights)
        if f"{n.name}.wu" in maps:
            w["w"], w["u"] = np.split(maps[f"{n.name}.wu"].dense(), [w["w"].shape[1]], axis=1)
        w |= {k: maps[m].dense() for k, m in (("w", f"{n.name}.w"), ("u", f"{n.name}.u"), ("w", n.name)) if m in maps}
        nodes.append(replace(n, weights=w))
    return replace(model, nodes=nodes)


FORMS = ("rec.wu", "rec.[wu]")  # the matrices of a recurrent layer, joined and apart


@cache
def decomposed(structure: str, kind: str, size: tuple[int, int, int], form: str):
    """(model, assignments, maps): some structures take seconds to fit, and every precision wants the same one."""
    model = network(kind, *size)
    recipes = recipe.read([f"{form}={structure}(ratio=1.5)", f"fc={structure}(ratio=1.2)"])
    assigned = recipe.assign(model, recipes, {})
    return model, assigned, recipe.decompose(assigned, {})


def test_every_cell_has_a_kind():
    assert {kind.rstrip("01") for kind in KINDS} == set(CELLS)


def cases() -> list[tuple]:
    usual, others = list(KINDS)[:ALWAYS], list(KINDS)[ALWAYS:]
    structures = [s for s in STRUCTURES if s != "dense"]
    turns = [(s, others[i % len(others)], SIZES[2 - i // len(others) % 2]) for i, s in enumerate(structures)]
    return [(s, kind, size) for s in structures for kind in usual for size in SIZES] + turns


@pytest.mark.parametrize("structure, kind, size", cases(), ids=str)
def test_every_precision_of(structure, kind, size, tmp_path):
    """Float program == reference on the dense matrix; C == simulator, for the first size on a board too.

    The cases take turns: every structure runs on every board.
    """
    form = FORMS[SIZES.index(size) % 2]
    model, assigned, maps = decomposed(structure, kind, size, form)
    data = samples(model, 4)
    want = evaluate(densified(model, maps), data)["y"]
    program = check(lower(model, maps, "float32"))
    for entry in program.entries:
        got = simulate(program, to_integers(program, data), entry)["y"]
        got = got[:, -1] if entry == "step" else got
        assert np.abs(to_real(program, "y", got) - want).max() <= 1e-9
    np.savez(tmp_path / "data.npz", **data)
    np.savez(tmp_path / "factors.npz", **recipe.factors(assigned, maps))
    turn = list(STRUCTURES).index(structure) + 2 * list(KINDS).index(kind)
    for i, precision in enumerate(hmdc.compiler.PRECISIONS):
        board = list(TARGET)[(turn + i) % len(TARGET)]
        build = hmdc.compile(
            model, tmp_path / precision, name="net", precision=precision, target=TARGET[board],
            calibration=tmp_path / "data.npz", factors=tmp_path / "factors.npz",
        )  # fmt: skip
        places = ("host", board) if size == SIZES[0] else ("host",)
        assert verify(hmdc.load(build.path), Data({"x": data["x"][:2]}, None), places).differences == []
        assert build.report["layers"][0]["structure"] == structure and build.report["layers"][0]["ratio"] >= 1.0
