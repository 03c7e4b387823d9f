"""The integer semantics: exact where they are integers, bounded errors where they stand for real numbers."""

import os
from fractions import Fraction

import numpy as np
import pytest

from hmdc.errors import HmdcError
from hmdc.functions import SIGMOID, TANH
from hmdc.intmath import (
    INT32_MAX,
    TABLE_KNOTS,
    Requant,
    limits,
    lookup,
    quantize_rows,
    round_half_up,
    rsqrt,
    shift_round,
    significant,
    table,
)

SEED = int(os.environ.get("HMDC_SEED", "1"))
HALF = Fraction(1, 2)


@pytest.fixture
def rng():
    print(f"HMDC_SEED={SEED}")
    return np.random.default_rng(SEED)


def floor_of(x: Fraction) -> int:
    return x.numerator // x.denominator


def test_limits():
    assert limits(8) == (-128, 127) and limits(16) == (-32768, 32767)


def test_halves_are_rounded_up(rng):
    assert round_half_up([-1.5, -0.5, 0.5, 1.5]).tolist() == [-1, 0, 1, 2]
    v = rng.integers(-(2**20), 2**20, 200)
    assert shift_round(v, 7).tolist() == [floor_of(Fraction(int(i), 128) + HALF) for i in v]


@pytest.mark.parametrize("near", [2.0**-20, 0.25, 0.5, 1.0, 300.0])
def test_requant_is_exact(rng, near):
    for ratio in (near, np.nextafter(near, 0), near * (1 - 2.0**-33), near * rng.uniform(0.5, 2)):
        rq = Requant.of(ratio)
        mult = int(rq.mult[0])
        assert 0 <= mult <= INT32_MAX
        real = Fraction(mult) * 2**rq.shift / 2**32
        assert abs(real / Fraction(ratio) - 1) < Fraction(1, 2**10)  # 2^-20 keeps the fewest bits: 12
        largest = INT32_MAX >> rq.shift
        acc = np.array([0, 1, -1, largest, -largest, *rng.integers(-largest, largest, 100)])
        assert rq(acc).tolist() == [floor_of(int(a) * real + HALF) for a in acc]
        rq.prove(largest, "test")
        with pytest.raises(HmdcError, match="beyond int32"):
            rq.prove(largest + 1, "test")


def test_requant_keeps_30_bits_of_the_largest_ratio(rng):
    for ratio in rng.uniform(0.25, 100, 100):
        rq = Requant.of(ratio)
        assert abs(Fraction(int(rq.mult[0])) * 2**rq.shift / 2**32 / Fraction(ratio) - 1) <= Fraction(1, 2**30)


def test_requant_per_row(rng):
    rq, acc = Requant.of([0.3, 0.001, 7.0]), rng.integers(-1000, 1000, (5, 3, 2))
    got = rq(acc, axis=-2)
    for r in range(3):
        assert (got[:, r] == Requant(rq.mult[r : r + 1], rq.shift)(acc[:, r])).all()
        assert np.abs(got[:, r] - acc[:, r] * [0.3, 0.001, 7.0][r]).max() <= 0.5001


@pytest.mark.parametrize(("f", "error"), [(SIGMOID, 6e-5), (TANH, 2.7e-4)], ids=["sigmoid", "tanh"])
def test_table_error(f, error):
    knots = table(f, 2.0**-12, 2.0**-15)
    assert knots.shape == (TABLE_KNOTS,) and knots.dtype == np.int16
    x = np.arange(-32768, 32768)
    assert np.abs(lookup(knots, x) * 2.0**-15 - f(x * 2.0**-12)).max() < error


def test_lookup_meets_the_knots_and_stays_between_them(rng):
    knots = rng.integers(-32768, 32768, TABLE_KNOTS).astype(np.int16)
    knots[[7, 8]] = -32768, 32767
    x = np.arange(-32768, 32768)
    y = lookup(knots, x)
    assert (y[::256] == knots[:-1]).all()
    ends = np.sort([knots[(x >> 8) + 128], knots[(x >> 8) + 129]], axis=0)
    assert (ends[0] <= y).all() and (y <= ends[1]).all()


def test_significant(rng):
    v = np.exp(rng.uniform(-20, 20, 1000)) * rng.choice([-1, 1], 1000)
    s = significant(v)
    mantissa = np.ldexp(np.frexp(s)[0], 16)
    assert (mantissa == np.round(mantissa)).all() and (significant(s) == s).all()
    assert np.abs(s / v - 1).max() <= 2.0**-16
    assert (significant(v * (1 + 1e-13)) == s).mean() > 0.99
    assert significant(0.0) == 0.0


def test_quantize_rows(rng):
    w = rng.normal(size=(6, 40)) * 10.0 ** np.arange(-3, 3)[:, None]
    w[4] = 0
    q, step = quantize_rows(w)
    assert q.dtype == np.int8 and (np.abs(q[np.arange(6) != 4]).max(axis=1) == 127).all() and not q[4].any()
    assert (step > 0).all() and (significant(step) == step).all()
    assert (np.abs(q * step[:, None] - w) <= step[:, None] * 0.501).all()
    assert (quantize_rows(w, least=np.full(6, 0.5))[1] >= 0.5).all()


def test_inverse_square_root():
    """Of every size, to 2^-24, within the ranges that the kernels count on."""
    rng = np.random.default_rng(1)
    near = 4 ** np.arange(31)[:, None] + np.arange(-3, 4)
    v = np.unique(np.concatenate([np.exp2(rng.uniform(0, 62.9, 100_000)).astype(np.int64), near.ravel(), [2**63 - 1]]))
    v = v[v > 0]
    root, shift = rsqrt(v)
    error = root * np.exp2(shift - 62.0) * np.sqrt(v.astype(np.longdouble)) - 1
    assert np.abs(error).max() < 2.0**-24
    assert root.min() > 2**30 * (1 - 2.0**-24) and root.max() < 2**31
