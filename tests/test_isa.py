"""What fitting to an instruction set does to a whole program; the kernels themselves are in test_kernels.py."""

from pathlib import Path

import pytest

from hmdc import data, frontends
from hmdc.isa import ISAS, fit
from hmdc.kernels import Matmul
from hmdc.lower import lower
from hmdc.quantize import observe, quantize, scales
from hmdc.recipe import assign, decompose
from hmdc.simulate import simulate
from hmdc.widths import narrow

EXAMPLES = Path(__file__).parents[1] / "examples"


def integer(joint: tuple[str, ...], slim: tuple[str, ...] = ("hidden",)):
    """An LSTM and its integer inputs; joint: one sum for x and h, whose scales are far apart."""
    network = frontends.load(EXAMPLES / "exercises_lstm.onnx", None, None)
    samples = data.load(EXAMPLES / "exercises_calibration.npz", network.inputs, set()).inputs
    floats = narrow(lower(network, decompose(assign(network, (), {}), {}, {}), joint=joint), slim)
    inputs = data.to_integers(floats, samples)
    program = quantize(floats, scales(floats, observe(floats, inputs)))
    return program, {name: a[:3] for name, a in data.to_integers(program, samples).items()}


@pytest.mark.parametrize("isa", ISAS)
def test_the_bits_of_a_gain(isa):
    """Some instruction sets take columns that count more than once, others split the sum."""
    program, inputs = integer(joint=("lstm",))
    assert any(isinstance(c, Matmul) and c.gain for c in program.calls("frame"))
    for name, want in simulate(program, inputs).items():
        assert (simulate(fit(program, ISAS[isa]), inputs)[name] == want).all()


@pytest.mark.parametrize("isa", ["v6m", "v7m", "dsp"])
def test_both_products_of_a_gate_in_one_pass(isa):
    """No buffer holds the sums of W x; the bits are those of the two calls."""
    program, inputs = integer(joint=())
    fitted = fit(program, ISAS[isa])
    names = [c.kernel() for c in fitted.calls("frame")]
    assert names.count("matmul_gates") == 1 and "matmul_sums" not in names
    assert not any(v.buf.endswith(".sums") for c in fitted.calls("frame") for v in c.reads() + c.writes())
    for name, want in simulate(program, inputs).items():
        assert (simulate(fitted, inputs)[name] == want).all()


def test_sums_of_16_bit_states_keep_their_grid():
    """Sums of W x on the grid of those of 16-bit h would need more than 32 bits: they are requantized and added."""
    program, _ = integer(joint=(), slim=())
    products = [c for c in program.calls("frame") if isinstance(c, Matmul)]
    assert any(c.add for c in products) and not any(c.start for c in products)
