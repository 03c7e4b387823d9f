"""Figures of a compiled network that are known before it is flashed."""

import json
import re

import numpy as np

from . import recipe
from .build import takes_blocks
from .cells import CELLS
from .errors import NotStreamable
from .kernels import Kernel
from .linear import Dense, LinearMap
from .model import Model, Node
from .paths import RUNTIME_C
from .place import Plan
from .program import Program, chained
from .render import Renderer, state_bytes
from .streaming import frame, roles

CALL_BYTES, ENTRY_BYTES, ENTRY_STACK = 18, 24, 48  # code of one call line, of one entry; frames above a kernel


def measure(model: Model, assignments, maps, program: Program, plan: Plan, rendered: Renderer, target: str,
            time_block: int | None = None) -> dict:  # fmt: skip
    """The content of NAME.json.

    flash_bytes: constants, exact, plus code; code and stack_bytes are upper estimates from runtime_c/code_size.json,
    measured per kernel with arm-none-eabi-gcc -O3; `hmdc bench` measures the whole network.  Ratios are before / after:
    of matrix parameters, and of bytes with biases, scales, indices and padding.  time_block of a layer: None where its
    products of x take one step at a time.
    """
    code, stack = code_size(program, rendered)
    per_step, total = macs(program)
    layers = [
        _layer(node, [a for a in assignments.values() if a.node.name == node.name], maps, program, time_block)
        for node in model.nodes
        if node.op in CELLS or node.op in ("dense", "conv")
    ]
    rows = [m for layer in layers for m in layer["matrices"]]
    return {
        "model_sha256": model.sha256,
        "target": target,
        "precision": program.precision,
        "flash_bytes": rendered.constant_bytes + code,
        "ram_bytes": state_bytes(program, plan),
        "scratch_bytes": plan.scratch,
        "stack_bytes": stack,
        "weights_bytes": weights_bytes(list(program.calls())),
        "macs_per_step": per_step,
        "macs": total,
        "time_block": time_block,
        "dre": reuse(program),
        "ratio": _ratio(sum(m["dense_parameters"] for m in rows), sum(m["parameters"] for m in rows)),
        "bytes_ratio": _ratio(sum(x["dense_bytes"] for x in layers), sum(x["bytes"] for x in layers)),
        "layers": layers,
    }


def _ratio(before: int, after: int) -> float:
    return round(before / max(after, 1), 4)


def code_size(program: Program, rendered: Renderer) -> tuple[int, int]:
    """Estimated bytes of code and of stack, for kernels that the compiler does not specialize."""
    table = json.loads((RUNTIME_C / "code_size.json").read_text())["kernels"][rendered.isa.name]
    sizes = [table[name.removeprefix(rendered.prefix + "_")] for name in rendered.kernels]
    helpers = re.findall(rf"static void {rendered.prefix}_(\w+)\(", rendered.helpers())
    sizes += [table[name] for name in sorted(set(helpers)) if name in table]  # others are inlined
    calls = sum(1 for _ in program.calls())
    code = sum(s["code"] for s in sizes) + CALL_BYTES * calls + ENTRY_BYTES * (len(program.functions) + 2)
    return code, max((s["stack"] for s in sizes), default=0) + ENTRY_STACK


def macs(program: Program) -> tuple[int | None, int]:
    """Multiply-accumulates of one step (None without a step entry) and of one sequence."""
    count = {f: sum(c.macs() * times for c, times in program.times(f)) for f in program.functions}
    if not program.streams:
        return None, count["run"]
    runs = program.runs
    return sum(count[f] for f in runs), sum(count[f] * n for f, n in runs.items())


def reuse(program: Program) -> dict:
    """Data reuse efficiency: bytes of weights that a sequence reads / bytes of weights, likewise with biases, indices.

    before: if every vector reads them anew; after: as compiled.
    """
    total, before, after = weights_bytes(list(program.calls())), 0, 0
    for function, n in program.runs.items():
        for call, times in program.times(function):
            size = n * times * sum(map(nbytes, call.weights()))
            before += size * call.vectors()
            after += size * -(-call.vectors() // call.reuse())
    return {"weights_bytes": total, "read_bytes_before": before, "read_bytes": after,
            "before": _ratio(before, total), "after": _ratio(after, total)}  # fmt: skip


def reuse_line(report: dict) -> str | None:
    """For people, where there is a time block."""
    dre, n = report["dre"], report["time_block"]
    alone = [layer["name"] for layer in report["layers"] if layer["op"] in CELLS and layer["time_block"] is None]
    if n is None:
        return None
    return (f"time blocks of {n}: a sequence reads {dre['read_bytes']} bytes of weights, {dre['read_bytes_before']} "
            f"step by step; each weight {dre['after']} times, not {dre['before']}"
            + (f"; one step at a time: {', '.join(alone)}" if alone else ""))  # fmt: skip


def nbytes(a: np.ndarray) -> int:
    """In C, where real numbers are float."""
    return a.size * (4 if a.dtype.kind == "f" else a.itemsize)


def weights_bytes(calls: list[Kernel]) -> int:
    """Bytes of weights, biases and indices, without multipliers and tables; equal arrays are stored once."""
    arrays = {(a.dtype.name, a.tobytes()): a for c in calls for a in c.weights()}
    return sum(map(nbytes, arrays.values()))


def _layer(node: Node, assigned, maps, program: Program, time_block: int | None) -> dict:
    w, u = node.weights["w"], node.weights.get("u")
    mine = [c for c in program.calls() if c.name.split(".")[0] == node.name]
    names = {c.name for c in mine}
    work = sum(c.macs() * times * n for f, n in program.runs.items()
               for c, times in program.times(f) if c.name in names)  # fmt: skip
    grouped = node.op in CELLS and takes_blocks(maps, node.name) and not node.attrs.get("length")
    time_block = time_block if grouped else None
    matrices = [_matrix(a, maps[a.matrix], program.precision == "float32") for a in assigned]
    before, after = (sum(m[k] for m in matrices) for k in ("dense_parameters", "parameters"))
    total = stored_bytes(mine)
    dense = total if all(m["structure"] == "dense" for m in matrices) else _dense_bytes(node, program)
    return {
        "name": node.name, "op": node.op, "structure": " + ".join(dict.fromkeys(m["structure"] for m in matrices)),
        "shape": [w.shape[0], w.shape[1] + (u.shape[1] if u is not None else 0)], "dense_bytes": dense,
        "bytes": total, "ratio": _ratio(before, after), "bytes_ratio": _ratio(dense, total), "macs": work,
        "time_block": time_block, "matrices": matrices,
    }  # fmt: skip


def _matrix(a, m: LinearMap, floats: bool) -> dict:
    """One matrix; macs: of one product.  Bytes count indices and scales, biases belong to the layer."""
    dense = Dense(np.broadcast_to(0.0, m.shape))
    before, after = (x.parameters() for x in (dense, m))
    sizes = [x.nbytes() + 4 * x.multipliers() for x in (dense, m)] if not floats else [4 * before, 4 * after]
    note = recipe.describe(a, m)
    return {
        "name": a.matrix, "structure": a.structure, "shape": list(m.shape), "dense_parameters": before,
        "parameters": after, "ratio": _ratio(before, after), "dense_bytes": sizes[0], "bytes": sizes[1],
        "bytes_ratio": _ratio(*sizes), "dense_macs": before, "macs": int(m.macs()), **({"note": note} if note else {}),
    }  # fmt: skip


def _dense_bytes(node: Node, program: Program) -> int:
    """What the layer takes with dense matrices: weights, biases, and a multiplier per row of each matrix."""
    size, multiplier = (4, 0) if program.precision == "float32" else (1, 4)
    w, u = node.weights["w"], node.weights.get("u")
    total = w.size * size + multiplier * len(w)
    if u is not None:
        total += u.size * size + multiplier * len(u)
    biased = len(w) if u is not None or "b" in node.weights else 0
    after = len(w) // 3 if node.attrs.get("linear_before_reset") else 0  # the candidate's second bias stays apart
    return total + 4 * (biased + after)


def stored_bytes(calls: list[Kernel]) -> int:
    """weights_bytes and the multipliers."""
    mults = {
        c.rq.mult.tobytes(): 4 * c.rq.mult.size for c in calls if c.weights() and getattr(c, "rq", None) is not None
    }
    return weights_bytes(calls) + sum(mults.values())


def layer_table(model: Model) -> dict:
    """What `hmdc inspect` shows: ports, layers with their matrices, and whether the network streams."""
    kept = recipe.trained(model, [], {})
    assignments, rows = recipe.assign(model, [], kept), []
    maps = recipe.decompose(assignments, {}, kept)
    for n in model.nodes:
        x, y = next(v for v in n.inputs if v), next(v for v in n.outputs if v)
        own = {k: (assignments[k].structure, m) for k, m in maps.items() if assignments[k].node is n}
        rows.append({"name": n.name, "op": n.op, "input": list(model.shapes[x]), "output": list(model.shapes[y]),
                     "matrices": ", ".join(_shown(k, *found) for k, found in own.items()),
                     "parameters": _parameters(n, [m for _, m in own.values()])})  # fmt: skip
    try:
        step = frame(model, roles(model))
        steps, (first, every) = step.steps, chained(step.rates)
        streaming = "streams: one call per time step is possible"
        if (first, every) != (1, 1):
            streaming += f"; an output after step {first}, then after every {every}"
    except NotStreamable as e:
        steps, streaming = model.steps, f"whole sequences only: {e}"
    return {"inputs": {v: list(s) for v, s in model.inputs.items()},
            "outputs": {v: list(model.shapes[v]) for v in model.outputs},
            "steps": steps, "streaming": streaming, "layers": rows}  # fmt: skip


def _shown(name: str, structure: str, m: LinearMap) -> str:
    return f"{name} {'x'.join(map(str, m.shape))}" + f" {structure}" * (structure != "dense")


def _parameters(node: Node, maps: list[LinearMap]) -> int:
    """Of a layer as it was trained: factors in the place of their product."""
    others = (w.size for k, w in node.weights.items() if not maps or k not in ("w", "u"))
    return sum(others) + sum(m.parameters() for m in maps)
