"""Which 16-bit buffers may have 8 bits: measured on calibration data, not assumed."""

from dataclasses import replace

import numpy as np

from .program import Program
from .quantize import Range, quantize, scales
from .simulate import simulate

LOSS = 1.0  # decibels of signal-to-noise that 8 bits may cost
ENOUGH = 40.0  # decibels beyond which int8 outputs hardly tell the difference
SAMPLES = 32


def narrow(program: Program, names: tuple[str, ...]) -> Program:
    """The program with the buffers of those flexible formats in 8 bits."""
    slim = lambda b: replace(b, fmt=replace(b.fmt, bits=8)) if b.fmt.flexible in names and b.fmt.flexible else b
    return replace(program, buffers={n: slim(b) for n, b in program.buffers.items()})


def choose(program: Program, ranges: dict[str, Range], inputs: dict[str, np.ndarray]) -> tuple[str, ...]:
    """The flexible formats that 8 bits serve as well: all together, or each alone, or none.

    inputs: real calibration data in port layout.  Well means within LOSS of the widest, or beyond ENOUGH.
    """
    kinds = tuple(sorted({b.fmt.flexible for b in program.buffers.values() if b.fmt.flexible}))
    if not kinds:
        return ()
    inputs = {k: a[:SAMPLES] for k, a in inputs.items()}
    reference = simulate(program, inputs)
    needed = min(_snr(program, ranges, inputs, reference) - LOSS, ENOUGH)
    for names in (kinds, *((k,) for k in kinds if len(kinds) > 1)):
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
