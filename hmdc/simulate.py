"""Run a Program in numpy, in real numbers or in integers, on many samples at once.

Arrays of a stream input or output with a time axis are [samples, steps, frame]; all others are [samples, size].
"""

import numpy as np

from .program import Env, Port, Program


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
    frames: dict[str, list[np.ndarray]] = {p.name: [] for p in outputs}
    for t in range(program.steps):
        _load(env, stream, inputs, t)
        env.run(program.functions["frame"], watch)
        last = t == program.steps - 1
        tail = (t + 1) % program.period == 0 and (entry == "step" or last)
        if tail:
            env.run(program.functions["tail"], watch)
        for p in outputs:
            if tail or p.time is not None:
                frames[p.name].append(env.arrays[p.buf].copy())
    whole = {name: np.stack(f, axis=1) for name, f in frames.items()}
    return {p.name: whole[p.name] if entry == "step" or p.time is not None else whole[p.name][:, -1] for p in outputs}


def _load(env: Env, ports: list[Port], inputs, t: int | None) -> None:
    for p in ports:
        env.arrays[p.buf][:] = inputs[p.name] if t is None or p.time is None else inputs[p.name][:, t]
