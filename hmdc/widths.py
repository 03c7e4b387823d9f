"""What costs no accuracy, measured on calibration data: 8 bits for 16-bit buffers, one sum for [x; h]."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np

from .errors import HmdcError
from .program import Buffer, Program
from .quantize import Range, observe, quantize, scales
from .simulate import simulate

LOSS = 1.0  # decibels of signal-to-noise that 8 bits may always cost
# and down to which they may cost more: int16 hidden states slow every product down, temporaries only the small ones
ENOUGH = {"hidden": 25.0, "joined": 40.0, "inner": 40.0}
JOINT_LOSS, JOINT_ENOUGH = 0.5, 35.0  # likewise for one accumulator for x and h
SAMPLES = 32

Inputs = dict[str, np.ndarray]


def narrow(program: Program, names: tuple[str, ...]) -> Program:
    """The program with the buffers of those flexible formats in 8 bits."""
    return replace(program, buffers={n: _slim(b, names) for n, b in program.buffers.items()})


def _slim(b: Buffer, names: tuple[str, ...]) -> Buffer:
    fmt = replace(b.fmt, bits=8) if b.fmt.flexible and b.fmt.flexible in names else b.fmt
    return replace(b, fmt=fmt, parts=tuple(_slim(p, names) for p in b.parts))


def choose(
    lowered: Callable[[tuple[str, ...]], Program], layers: tuple[str, ...], inputs: Callable[[Program], Inputs]
) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, Range]]:
    """(joint layers, flexible formats that 8 bits serve well, ranges): as many of each as possible.

    lowered: joint layers -> float program.  layers: those that may be joint.  inputs: calibration data in port layout.
    """

    def attempt(joint):
        program = lowered(joint)
        data = inputs(program)
        ranges = observe(program, data)
        names, snr = _formats(program, ranges, {k: a[:SAMPLES] for k, a in data.items()})
        return snr, len(names), (joint, names, ranges)

    apart = attempt(())
    if not layers:
        return apart[2]
    good = lambda found: found[0] >= min(apart[0] - JOINT_LOSS, JOINT_ENOUGH) and found[1] >= apart[1]  # noqa: E731
    if good(found := attempt(layers)):
        return found[2]
    joint, best = (), apart
    for layer in layers if len(layers) > 1 else ():
        if good(found := attempt((*joint, layer))):
            joint, best = (*joint, layer), found
    return best[2]


def _formats(program: Program, ranges: dict[str, Range], inputs: Inputs) -> tuple[tuple[str, ...], float]:
    """The flexible formats that shall have 8 bits, and the signal-to-noise ratio with them.

    Well served means within LOSS of the widest program, or beyond ENOUGH.  Sums of very many columns may not fit in
    int32 unless what they sum has 8 bits.
    """
    reference = simulate(program, inputs)
    widest = _snr(program, ranges, inputs, reference)
    kinds = [k for k in ENOUGH if any(b.fmt.flexible == k for b in program.buffers.values())]
    for size in range(len(kinds), 0, -1):
        for names in combinations(kinds, size):
            snr = _snr(narrow(program, names), ranges, inputs, reference)
            if snr > -np.inf and snr >= min(widest - LOSS, max(ENOUGH[k] for k in names)):
                return names, snr
    return (), widest


def _snr(program: Program, ranges, inputs, reference) -> float:
    """Signal-to-noise ratio of the integer program over all outputs, in decibels; -inf: there is none."""
    try:
        integer = quantize(program, scales(program, ranges))
    except HmdcError:
        return -np.inf
    buffers = {p.name: integer.buffers[p.buf] for p in integer.ports()}
    got = simulate(integer, {k: buffers[k].quantize(a) for k, a in inputs.items()})
    power = sum(float((a**2).sum()) for a in reference.values())
    noise = sum(float(((buffers[k].dequantize(got[k]) - a) ** 2).sum()) for k, a in reference.items())
    return float(10 * np.log10(max(power, 1e-30) / max(noise, 1e-30)))
