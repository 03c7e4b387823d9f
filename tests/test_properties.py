"""Random networks: float layers == ONNX Runtime, float program == float layers, C == simulator, sanitizers silent.

More networks than every run takes:  HMDC_NETWORKS=1000 pytest tests/test_properties.py
"""

import os
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from native import STRICT, run_native, stressed, tool
from networks import assert_close, onnx_runtime, random_network, samples

import hmdc
from hmdc import frontends, recipe
from hmdc.check import check
from hmdc.data import to_integers, to_real
from hmdc.lower import lower
from hmdc.quantize import observe, quantize, scales
from hmdc.reference import evaluate
from hmdc.simulate import simulate

NETWORKS = os.environ.get("HMDC_NETWORKS")
seeds = st.integers(0, 2**32 - 1)


def networks(every_run: int):
    """How many networks a property sees; always the same ones unless HMDC_NETWORKS asks for others."""
    return settings(
        max_examples=int(NETWORKS or every_run), derandomize=NETWORKS is None, database=None, deadline=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck), print_blob=False,
    )  # fmt: skip


def draw(seed: int) -> tuple[onnx.ModelProto, np.random.Generator]:
    rng = np.random.default_rng(seed)
    proto, words = random_network(rng)
    note(f"random_network(np.random.default_rng({seed})): {words}")
    return proto, rng


def saved(proto: onnx.ModelProto, folder: Path) -> Path:
    onnx.save(proto, folder / "net.onnx")
    return folder / "net.onnx"


@networks(60)
@given(seed=seeds)
def test_floats_match_onnx_runtime_and_program(seed):
    proto, rng = draw(seed)
    with tempfile.TemporaryDirectory() as folder:
        model = frontends.load(saved(proto, Path(folder)))
    inputs = samples(proto, rng, 3)
    values = evaluate(model, inputs)
    for name, want in onnx_runtime(proto, inputs).items():
        assert values[name].shape == want.shape
        assert_close(values[name], want, 1e-5, f"reference against ONNX Runtime, {name}")
    for precision in hmdc.compiler.PRECISIONS:
        program = check(lower(model, recipe.apply(model), precision))
        for entry in program.entries:
            found = simulate(program, to_integers(program, inputs), entry)
            for port in program.outputs:
                a = found[port.name]
                if entry == "step" and port.time is None and port.kind == "stream":
                    a = a[:, -1]
                want = values[port.name]
                assert_close(to_real(program, port.name, a), want, 1e-9, f"{precision} program, {entry}, {port.name}")


@pytest.mark.parametrize("precision, median, most", [("int8", 0.01, 0.05), ("int16", 0.004, 0.02)])
def test_integers_stay_close(precision, median, most, tmp_path):
    """Equal bits prove no accuracy: over many networks, root mean square errors relative to the outputs.

    A network alone may be worse (a linear RNN that grows 50-fold shares one scale over time), nine of ten may not.
    """
    errors = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        proto, _ = random_network(rng)
        model, inputs = frontends.load(saved(proto, tmp_path)), samples(proto, rng, 16)
        floats = lower(model, recipe.apply(model), precision)
        program = quantize(floats, scales(floats, observe(floats, to_integers(floats, inputs))))
        values, found = evaluate(model, inputs), simulate(program, to_integers(program, inputs))
        for name, a in found.items():
            error = to_real(program, name, a) - values[name]
            errors.append(np.sqrt(np.mean(error**2) / (np.mean(values[name] ** 2) + 1e-12)))
    assert np.median(errors) < median and np.quantile(errors, 0.9) < most


@pytest.mark.parametrize("precision, every_run", [("int8", 14), ("int16", 8), ("float32", 8)])
def test_c_matches_simulator(precision, every_run):
    @networks(every_run)
    @given(seed=seeds)
    def holds(seed):
        proto, rng = draw(seed)
        with tempfile.TemporaryDirectory() as folder:
            c_matches_simulator(proto, rng, precision, Path(folder))

    holds()


def c_matches_simulator(proto: onnx.ModelProto, rng: np.random.Generator, precision: str, folder: Path) -> None:
    inputs = samples(proto, rng, 4)
    np.savez(folder / "data.npz", **inputs)
    build = hmdc.compile(saved(proto, folder), folder / "out", calibration=folder / "data.npz", precision=precision)
    tool("clang", *STRICT, "-O2", "-c", build.source, "-o", "clang.o", cwd=folder)
    program, given_ = build.program, stressed(build, inputs, rng)
    found = run_native(build, given_, folder / "native")
    for entry in program.entries:
        for name, want in simulate(program, given_, entry).items():
            got = found[entry][name].reshape(want.shape)
            if precision == "float32":
                assert_close(got, want, 1e-5, f"C, {entry}, {name}")
            else:
                assert np.array_equal(got, want), f"C, {entry}, {name}: {np.argwhere(got != want)[:4].tolist()}"
