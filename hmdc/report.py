"""Figures of a compiled network that are known before it is flashed."""

import json

from .cells import CELLS
from .errors import NotStreamable
from .kernels import Kernel
from .model import Model
from .paths import RUNTIME_C
from .place import Plan
from .program import Program
from .render import Renderer, state_bytes
from .streaming import frame, roles

CALL_BYTES, ENTRY_BYTES, ENTRY_STACK = 18, 24, 48  # code of one call line, of one entry; frames above a kernel


def measure(model: Model, floats: Program, program: Program, plan: Plan, rendered: Renderer, target: str) -> dict:
    """The content of NAME.json.  floats: the program before quantization.

    flash_bytes: constants, exact, plus code; code and stack_bytes are upper estimates from runtime_c/code_size.json,
    measured per kernel with arm-none-eabi-gcc -O3; `hmdc bench` measures the whole network.
    """
    code, stack = code_size(program, rendered)
    per_step, total = macs(program)
    return {
        "model_sha256": model.sha256,
        "target": target,
        "precision": program.precision,
        "flash_bytes": rendered.constant_bytes + code,
        "ram_bytes": state_bytes(program, plan),
        "scratch_bytes": plan.scratch,
        "stack_bytes": stack,
        "weights_bytes": weights_bytes(program, list(program.calls())),
        "macs_per_step": per_step,
        "macs": total,
        "layers": [_layer(node, program) for node in model.nodes if node.op in CELLS or node.op == "dense"],
    }


def code_size(program: Program, rendered: Renderer) -> tuple[int, int]:
    """Estimated bytes of code and of stack, for kernels that the compiler does not specialize."""
    table = json.loads((RUNTIME_C / "code_size.json").read_text())
    sizes = [table["kernels"][name.removeprefix(rendered.prefix + "_")] for name in rendered.kernels]
    calls = sum(1 for _ in program.calls())
    code = sum(s["code"] for s in sizes) + CALL_BYTES * calls + ENTRY_BYTES * (len(program.functions) + 2)
    return code, max((s["stack"] for s in sizes), default=0) + ENTRY_STACK


def macs(program: Program) -> tuple[int | None, int]:
    """Multiply-accumulates of one step (None without a step entry) and of one sequence."""
    count = {f: sum(c.macs() * b.repeat for b in blocks for c in b.calls) for f, blocks in program.functions.items()}
    if not program.streams:
        return None, count["run"]
    return count["frame"] + count["tail"], count["frame"] * program.steps + count["tail"]


def weights_bytes(program: Program, calls: list[Kernel]) -> int:
    """Bytes of weights and biases, without multipliers and tables; equal arrays are stored once."""
    size = 4 if program.precision == "float32" else None
    arrays = {(a.dtype.name, a.tobytes()): a for c in calls for a in c.weights()}
    return sum(a.size * (size or a.itemsize) for a in arrays.values())


def _layer(node, program: Program) -> dict:
    calls = [c for c in program.calls() if c.name.split(".")[0] == node.name]
    w, u = node.weights["w"], node.weights.get("u")
    shape = [w.shape[0], w.shape[1] + (u.shape[1] if u is not None else 0)]
    size = 4 if program.precision == "float32" else 1
    biases = [k for k in ("b", "bw") if k in node.weights]
    if node.attrs.get("linear_before_reset"):
        biases.append("bu")  # the candidate's second bias stays apart
    dense = shape[0] * shape[1] * size + 4 * sum(_rows(node, k) for k in biases)
    total = weights_bytes(program, calls)
    repeat = {f: 1 if f == "tail" else program.steps for f in ("frame", "tail")} | {"run": 1}
    mine = {c.name for c in calls}
    work = sum(c.macs() * b.repeat * repeat.get(f, 0) for f, blocks in program.functions.items()
               for b in blocks for c in b.calls if c.name in mine)  # fmt: skip
    return {
        "name": node.name, "op": node.op, "structure": "dense", "shape": shape, "dense_bytes": dense, "bytes": total,
        "ratio": 1.0, "bytes_ratio": round(dense / max(total, 1), 4), "macs": work,
    }  # fmt: skip


def _rows(node, key: str) -> int:
    return len(node.weights["w"]) // 3 if key == "bu" else len(node.weights["w"])


def layer_table(model: Model) -> dict:
    """What `hmdc inspect` shows: ports, layers with their matrices, and whether the network streams."""
    rows = []
    for n in model.nodes:
        x, y = next(v for v in n.inputs if v), next(v for v in n.outputs if v)
        matrices = {k: w for k, w in n.weights.items() if k in ("w", "u")}
        names = {f"{n.name}.{k}" if n.op in CELLS else n.name: "x".join(map(str, w.shape)) for k, w in matrices.items()}
        rows.append({"name": n.name, "op": n.op, "input": list(model.shapes[x]), "output": list(model.shapes[y]),
                     "matrices": ", ".join(f"{k} {s}" for k, s in names.items()),
                     "parameters": sum(w.size for w in n.weights.values())})  # fmt: skip
    try:
        frame(model, roles(model))
        streaming = "streams: one call per time step is possible"
    except NotStreamable as e:
        streaming = f"whole sequences only: {e}"
    return {"inputs": {v: list(s) for v, s in model.inputs.items()},
            "outputs": {v: list(model.shapes[v]) for v in model.outputs},
            "steps": model.steps, "streaming": streaming, "layers": rows}  # fmt: skip
