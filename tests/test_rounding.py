"""What calibration data are good for beyond ranges: which values are cut off, and which way weights are rounded."""

from pathlib import Path

import numpy as np
import pytest

import hmdc
from hmdc import data, frontends
from hmdc.compiler import load, retarget
from hmdc.intmath import quantize_rows
from hmdc.lower import lower
from hmdc.program import Format
from hmdc.quantize import ROOM, SAMPLES, Range, choose, observe, quantize, scales
from hmdc.recipe import assign, decompose
from hmdc.rounding import Rounding, moments, round_rows
from hmdc.simulate import simulate

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str, precision: str = "int8", time_block: int | None = None):
    """A float program, its inputs for calibration and those to test with."""
    network = frontends.load(EXAMPLES / f"{name}.onnx", None, None)
    program = lower(network, decompose(assign(network, (), {}), {}, {}), precision, time_block=time_block)
    files = (EXAMPLES / f"{name.split('_')[0]}_{kind}.npz" for kind in ("calibration", "test"))
    return program, *(data.to_integers(program, data.load(f, network.inputs).inputs) for f in files)


# --- clipping


@pytest.mark.parametrize("channels", [2, 12, 48, 64])
def test_a_part_of_the_values_has_all_channels(channels):
    seen = Range()
    seen.see(np.tile(np.arange(float(channels)), (500, 20, 1)), keep=1000)
    (values,) = seen.values
    counts = np.bincount(values.astype(int), minlength=channels)
    assert 500 <= len(values) <= 1000 and counts.max() - counts.min() <= 1


@pytest.mark.parametrize("time_block", [None, 1])
def test_values_fill_their_room(time_block):
    """Whether a time step is a call of its own or a round of a loop."""
    program, inputs, _ = example("vowels_gru", time_block=time_block)
    ranges = observe(program, inputs)
    most = len(inputs["x"]) * program.steps  # times that a value of one step is seen
    clipped = {b.name: b.size for b in program.buffers.values() if b.fmt.clip and b.role == "state"}
    assert clipped
    for name, size in clipped.items():
        assert sum(v.size for v in ranges[name].values) >= min(SAMPLES, most * size) / 3


def test_an_outlier_is_worth_its_range():
    """One value in a thousand is four times as large as the others: it stays, while noise at the edge may go."""
    rng = np.random.default_rng(3)
    values = rng.uniform(-1, 1, 1 << 15)
    values[::1000] *= 4
    fmt = Format(8, clip=True)
    seen = Range(values.min(), values.max(), [values])
    assert choose(fmt, seen)[0] * 127 > 0.8 * seen.peak


def test_outputs_have_room():
    program, inputs, _ = example("vowels_gru")
    ranges = observe(program, inputs)
    step, zero = scales(program, ranges)["logits"]
    low, high = (-128 - zero) * step, (127 - zero) * step
    assert low < ROOM * ranges["logits"].lo + step and high > ROOM * ranges["logits"].hi - step


# --- rounding


def correlated(rng, columns: int, vectors: int, rank: int) -> np.ndarray:
    """[vectors, columns]: few things that move, and some noise."""
    mix = np.random.default_rng(columns).normal(size=(rank, columns))
    return rng.normal(size=(vectors, rank)) @ mix + 0.1 * rng.normal(size=(vectors, columns))


@pytest.mark.parametrize("rows, columns", [(1, 1), (3, 40), (40, 150)])  # 150: more than two blocks
@pytest.mark.parametrize("vectors, gain", [(8, 0.9), (4000, 0.25)])
def test_errors_make_each_other_good(rows, columns, vectors, gain):
    """On vectors that were not seen, the error of the output has less power than that of the nearest integers."""
    rng = np.random.default_rng(5)
    w = rng.normal(size=(rows, columns))
    x, fresh = correlated(rng, columns, vectors, 6), correlated(rng, columns, 1000, 6)
    nearest, step = quantize_rows(w)
    got = round_rows(w, step, x.T @ x / vectors, vectors)
    power = lambda q: np.mean(((w - q * step[:, None]) @ fresh.T) ** 2)
    assert got.dtype == np.int8 and np.abs(got).max() <= 127
    assert power(got) <= (gain if columns > 1 else 1) * power(nearest)


def test_without_correlation_the_nearest_integers():
    w = np.random.default_rng(6).normal(size=(9, 70))
    nearest, step = quantize_rows(w)
    for moment in (None, np.zeros((70, 70)), np.eye(70), np.diag(np.arange(70.0))):
        assert (round_rows(w, step, moment, 100) == nearest).all()
    one, step = quantize_rows(w, per_row=False)
    assert (round_rows(w, step, None, 0) == one).all()


@pytest.mark.parametrize("name, precision, gain", [
    ("vowels_gru", "int8", 0), ("vowels_gru", "int16", 2), ("exercises_lstm", "int16", 2)])  # fmt: skip
def test_outputs_are_nearer_to_float(name, precision, gain):
    """By so many decibels at least, in the median of samples that the calibration has not seen: a few of the LSTM
    stand on the edge between two classes, where any error is amplified."""
    program, calibration, test = example(name, precision)
    grid, want = scales(program, observe(program, calibration)), simulate(program, test)

    def noise(rounding):
        integer = quantize(program, grid, rounding)
        buffers = {p.name: integer.buffers[p.buf] for p in integer.ports()}
        got = simulate(integer, {k: buffers[k].quantize(a) for k, a in test.items()})
        return np.median(sum(((buffers[k].dequantize(got[k]) - a) ** 2).sum(axis=1) for k, a in want.items()))

    before, after = noise(None), noise(Rounding(moments(program, calibration)))
    assert 10 * np.log10(before / after) > gain


def test_a_build_keeps_its_integers(tmp_path):
    """They are not computed again: a build without the data gives the same C."""
    source = EXAMPLES / "exercises_lstm.onnx"
    options = {"calibration": EXAMPLES / "exercises_calibration.npz", "precision": "int16"}
    build = hmdc.compile(source, tmp_path / "m4", name="e", **options)
    hmdc.compile(source, tmp_path / "m0", name="e", target="cortex-m0", **options)
    retarget(load(tmp_path / "m4"), "cortex-m0", tmp_path / "again")
    assert (tmp_path / "again/e.c").read_text() == (tmp_path / "m0/e.c").read_text() != build.source.read_text()


@pytest.mark.parametrize("spoil", [Path.unlink, np.savez], ids=["missing", "of another network"])
def test_lost_integers_are_not_guessed(spoil, tmp_path):
    calibration = EXAMPLES / "vowels_calibration.npz"
    hmdc.compile(EXAMPLES / "vowels_gru.onnx", tmp_path / "b", calibration=calibration)
    spoil(tmp_path / "b/.hmdc/weights.npz")
    with pytest.raises(hmdc.HmdcError, match="b is damaged .*run hmdc compile"):
        load(tmp_path / "b")
