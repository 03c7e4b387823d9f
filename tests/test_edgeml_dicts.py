"""EdgeML's FastRNN and FastGRNN from their names, against their equations written out here."""

import numpy as np
import pytest
from networks import assert_close

import hmdc
from hmdc import frontends, reference, verify
from hmdc.data import Data
from hmdc.errors import HmdcError

STEPS = 9


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def arrays(rng, kind, n_in, n, ranks=(None, None), turned=False):
    """Tensors by EdgeML's names.  turned: [in, hidden]."""
    out = {}
    for name, columns, rank in (("W", n_in, ranks[0]), ("U", n, ranks[1])):
        parts = [(n, columns)] if rank is None else [(rank, columns), (n, rank)]
        for i, shape in enumerate(parts):
            w = rng.normal(size=shape) / np.sqrt(shape[1])
            out[f"cell.{name}{i + 1 if rank else ''}"] = w.T.copy() if turned else w
    names = ("bias_gate", "bias_update") if kind == "fastgrnn" else ("bias_update",)
    out |= {f"cell.{k}": rng.normal(size=(1, n)) for k in names}
    scalars = {"zeta": 1.9, "nu": -2.5} if kind == "fastgrnn" else {"alpha": -1.0, "beta": 1.5}
    return out | {f"cell.{k}": np.full((1, 1), v) for k, v in scalars.items()}


def product(t, name, turned):
    parts = [t[f"cell.{k}"] for k in (name, f"{name}1", f"{name}2") if f"cell.{k}" in t]
    parts = [p.T if turned else p for p in parts]
    return parts[0] if len(parts) == 1 else parts[1] @ parts[0]


def last_state(t, x, turned):
    w, u, h = product(t, "W", turned), product(t, "U", turned), 0.0
    get = lambda k: t[f"cell.{k}"][0]
    for frame in np.moveaxis(x, 1, 0):
        z = frame @ w.T + (h @ u.T if np.ndim(h) else 0)
        if "cell.zeta" in t:
            n, z = np.tanh(z + get("bias_update")), sigmoid(z + get("bias_gate"))
            h = (sigmoid(get("zeta")) * (1 - z) + sigmoid(get("nu"))) * n + z * h
        else:
            h = sigmoid(get("alpha")) * np.tanh(z + get("bias_update")) + sigmoid(get("beta")) * h
    return h


@pytest.mark.parametrize("kind", ["fastgrnn", "fastrnn"])
@pytest.mark.parametrize("ranks", [(None, None), (2, 3), (None, 3), (2, None)])
@pytest.mark.parametrize("turned", [False, True])
def test_equals_the_equations(kind, ranks, turned, tmp_path):
    rng = np.random.default_rng(4)
    t, x = arrays(rng, kind, 4, 8, ranks, turned), rng.normal(size=(3, STEPS, 4))
    norm = {"bn.running_mean": rng.normal(size=4), "bn.running_var": rng.uniform(0.5, 2, 4)}
    head = {"fc.weight": rng.normal(size=(3, 8)), "fc.bias": rng.normal(size=3)}
    np.savez(tmp_path / "m.npz", **norm, **t, **head)
    normal = (x - norm["bn.running_mean"]) / np.sqrt(norm["bn.running_var"] + 1e-5)
    y = last_state(t, normal, turned) @ head["fc.weight"].T + head["fc.bias"]
    model = frontends.load(tmp_path / "m.npz", STEPS)
    assert [r["layer"] for r in model.found] == ["batchnorm", kind, "last", "dense"]
    assert_close(reference.evaluate(model, {"x": x})["y"], y[:, None], 1e-12, "reference")
    np.savez(tmp_path / "c.npz", x=x)
    for precision in ("float32", "int8"):
        build = hmdc.compile(model, tmp_path / precision, precision=precision, calibration=tmp_path / "c.npz")
        result = verify.verify(hmdc.load(build.path), Data({"x": x}, None))
        assert result.passed and result.figures["snr_db"] > (100 if precision == "float32" else 20)
    structures = {m["name"]: m["structure"] for r in build.report["layers"] for m in r["matrices"]}
    want = ["dense" if r is None else "lowrank" for r in ranks]
    assert [structures[f"{kind}.{k}"] for k in "wu"] == want  # the product of factors is never stored


def test_square_matrices_need_to_be_told(tmp_path):
    t = arrays(np.random.default_rng(0), "fastgrnn", 5, 5)
    np.savez(tmp_path / "m.npz", **t)
    with pytest.raises(HmdcError, match="do not tell whether W is .* transposed = false or true"):
        frontends.load(tmp_path / "m.npz", STEPS)
    x, found = np.random.default_rng(1).normal(size=(2, STEPS, 5)), []
    for told in (False, True):
        table = f'{{type = "fastgrnn", weights = "cell", transposed = {str(told).lower()}}}'
        (tmp_path / "a.toml").write_text(f'layer = [{table}, {{type = "last"}}]')
        model = frontends.load(tmp_path / "m.npz", STEPS, None, tmp_path / "a.toml")
        found.append(reference.evaluate(model, {"x": x})["y"])
        assert_close(found[-1], last_state(t, x, told)[:, None], 1e-12, "told")
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_shapes_that_do_not_fit(tmp_path):
    t = arrays(np.random.default_rng(0), "fastrnn", 4, 6)
    for change in ({"cell.U": np.ones((5, 5))}, {"cell.W": np.ones((3, 3))}, {"cell.alpha": np.ones(2)}):
        np.savez(tmp_path / "m.npz", **(t | change))
        with pytest.raises(HmdcError, match="fit"):
            frontends.load(tmp_path / "m.npz", STEPS)
