"""Run a Program in numpy, in real numbers or in integers, on many samples at once.

Arrays of a stream input or output with a time axis are [samples, steps, frame]; all others are [samples, size].
"""

import numpy as np

from .program import Env, Port, Program, frame_name


def simulate(program: Program, inputs: dict[str, np.ndarray], entry: str = "run", watch=None) -> dict[str, np.ndarray]:
    """inputs: port name -> array, states optional.  Returns port name -> array, after reset.

    entry "run": what one call of run returns, then the getters.  entry "step": what every call of step returns, every
    output as [samples, calls that wrote it, frame].
    """
    integer = any(b.scale is not None for b in program.buffers.values())
    samples = len(next(iter(inputs.values())))
    env = Env(program, samples, integer)
    env.run(program.functions["reset"], watch)
    for port in program.inputs:
        if port.kind == "state" and port.name in inputs:
            env.arrays[port.buf][:] = inputs[port.name]
            env.run(program.functions[f"set_{port.name}"], watch)
    out = _run(program, env, inputs, entry, watch)
    for port in program.outputs:
        if port.kind == "state":
            env.run(program.functions[f"get_{port.name}"], watch)
            out[port.name] = env.arrays[port.buf].copy()
    return out


def _run(program: Program, env: Env, inputs, entry: str, watch) -> dict[str, np.ndarray]:
    stream = [p for p in program.inputs if p.kind == "stream"]
    outputs = [p for p in program.outputs if p.kind == "stream"]
    if not program.streams:
        _load(env, stream, inputs, None)
        env.run(program.functions["run"], watch)
        return {p.name: env.arrays[p.buf].copy() for p in outputs}
    whole = entry == "run"
    frames: dict[str, list[np.ndarray]] = {p.name: [] for p in outputs}
    waited, reached = [0] * len(program.rates), 0
    for t in range(program.steps):
        _load(env, stream, inputs, t)
        if not _frames(program, env, waited, watch):
            continue
        reached += 1
        if not whole and reached % program.period == 0:
            env.run(program.functions["tail"], watch)
        for p in outputs:
            if reached % program.period == 0 or p.time is not None:
                frames[p.name].append(env.arrays[p.buf].copy())
    if whole:
        env.run(program.functions["tail"], watch)
    stack = lambda p: np.stack(frames[p.name], axis=1)
    return {p.name: env.arrays[p.buf].copy() if whole and p.time is None else stack(p) for p in outputs}


def _frames(program: Program, env: Env, waited: list[int], watch) -> bool:
    """One time step, as far as the rates let it come; whether that is the end."""
    env.run(program.functions["frame"], watch)
    for i, (first, every) in enumerate(program.rates):
        waited[i] += 1
        if waited[i] < first:
            return False
        waited[i] = first - every
        env.run(program.functions[frame_name(i + 1)], watch)
    return True


def _load(env: Env, ports: list[Port], inputs, t: int | None) -> None:
    for p in ports:
        env.arrays[p.buf][:] = inputs[p.name] if t is None or p.time is None else inputs[p.name][:, t]
