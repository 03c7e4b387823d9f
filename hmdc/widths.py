"""Which 16-bit buffers may have 8 bits: measured on calibration data, not assumed."""

from dataclasses import replace
from itertools import combinations

import numpy as np

from .program import Program
from .quantize import Range, quantize, scales
from .simulate import simulate

LOSS = 1.0  # decibels of signal-to-noise that 8 bits may always cost
# and down to which they may cost more: int16 hidden states slow every product down, temporaries only the small ones
ENOUGH = {"hidden": 25.0, "joined": 40.0, "inner": 40.0}
SAMPLES = 32


def narrow(program: Program, names: tuple[str, ...]) -> Program:
    """The program with the buffers of those flexible formats in 8 bits."""
    slim = lambda b: replace(b, fmt=replace(b.fmt, bits=8)) if b.fmt.flexible in names and b.fmt.flexible else b
    return replace(program, buffers={n: slim(b) for n, b in program.buffers.items()})


def choose(program: Program, ranges: dict[str, Range], inputs: dict[str, np.ndarray]) -> tuple[str, ...]:
    """The flexible formats that 8 bits serve well: as many as possible.

    inputs: real calibration data in port layout.  Well means within LOSS of the widest program, or beyond ENOUGH.
    """
    kinds = [k for k in ENOUGH if any(b.fmt.flexible == k for b in program.buffers.values())]
    if not kinds:
        return ()
    inputs = {k: a[:SAMPLES] for k, a in inputs.items()}
    reference = simulate(program, inputs)
    widest = _snr(program, ranges, inputs, reference) - LOSS
    for size in range(len(kinds), 0, -1):
        for names in combinations(kinds, size):
            needed = min(widest, max(ENOUGH[k] for k in names))
            if _snr(narrow(program, names), ranges, inputs, reference) >= needed:
                return names
    return ()


def _snr(program: Program, ranges, inputs, reference) -> float:
    """Signal-to-noise ratio of the integer program over all outputs, in decibels."""
    integer = quantize(program, scales(program, ranges))
    buffers = {p.name: integer.buffers[p.buf] for p in integer.ports()}
    got = simulate(integer, {k: buffers[k].quantize(a) for k, a in inputs.items()})
    power = sum(float((a**2).sum()) for a in reference.values())
    noise = sum(float(((buffers[k].dequantize(got[k]) - a) ** 2).sum()) for k, a in reference.items())
    return float(10 * np.log10(max(power, 1e-30) / max(noise, 1e-30)))
