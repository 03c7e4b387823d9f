"""What must hold of any file: a network that agrees with ONNX Runtime, or HmdcError of one line."""

from collections.abc import Callable
from math import prod
from pathlib import Path
from zlib import crc32

import numpy as np
import onnx

import hmdc
from hmdc import data, frontends, recipe
from hmdc.check import check
from hmdc.data import to_integers, to_real
from hmdc.errors import HmdcError
from hmdc.lower import lower
from hmdc.model import Model
from hmdc.reference import evaluate
from hmdc.simulate import simulate

ROOT = Path(__file__).parents[2]
SAMPLES, STEPS = 3, 5
COMPILED = 8  # one network of so many becomes C, which takes ten times as long as all the rest
MOST_MACS, MOST_VALUES = 1 << 22, 1 << 20  # networks beyond are loaded only
TOLERANCE = 1e-4

Stage = Callable[[str], None]


class Wrong(AssertionError):
    """A finding.  The first line tells findings of the same kind apart from others."""


def network(path: Path, stage: Stage) -> str:
    """Load, simulate, compile a file with a network, the architecture beside it if there is one; what became of it."""
    stage("load")
    told = path.with_suffix(".toml")
    try:
        model = _load(path, told if told.is_file() else None)
    except HmdcError as e:
        return _one_line(e)
    weights = sum(w.size for n in model.nodes for w in n.weights.values())
    if weights * model.steps > MOST_MACS or sum(map(prod, model.shapes.values())) > MOST_VALUES:
        return "large"
    inputs = _inputs(model)
    values = evaluate(model, inputs)
    limit = max((np.abs(a).max(initial=0.0) for a in values.values()), default=0.0)
    try:
        _floats(model, inputs, values, limit, stage)
        if path.suffix == ".onnx":
            _against_onnx_runtime(path, model, inputs, values, stage)
        if crc32(path.read_bytes()) % COMPILED == 0:
            _integers(path, model, inputs, stage)
    except HmdcError as e:
        return _one_line(e)
    return " ".join(sorted({n.op for n in model.nodes}))


def _load(path: Path, told: Path | None) -> Model:
    try:
        return frontends.load(path, None, None, told)
    except HmdcError as e:
        if "--steps N" not in str(e):
            raise
    return frontends.load(path, STEPS, None, told)


def _one_line(e: HmdcError) -> str:
    text, cause = str(e), e
    while (cause := cause.__cause__ or cause.__context__) is not None:
        if isinstance(cause, MemoryError) or "bad_alloc" in str(cause):
            raise Wrong(f"too much memory: {where(cause)}")
    if "\n" in text or not text or len(text) > 1500:
        raise Wrong(f"not one line of bearable length: {text[:200]!r}")
    damaged = "is damaged or not a valid model" in text and e.__cause__ is not None
    return f"only the last resort refuses: {where(e.__cause__)}" if damaged else text


def where(e: BaseException) -> str:
    """The place of ours that it comes from."""
    trace, place = e.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "/hmdc/" in name:
            place = f"{name.rpartition('/hmdc/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{place} {type(e).__name__} {str(e)[:80]!r}"


def _inputs(model: Model) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {v: rng.integers(*model.integers[v], (SAMPLES, *s), endpoint=True).astype(float) if v in model.integers
            else rng.normal(size=(SAMPLES, *s)).astype(np.float32).astype(np.float64)
            for v, s in model.inputs.items()}  # fmt: skip


def _floats(model: Model, inputs: dict, values: dict, limit: float, stage: Stage) -> None:
    """The float program computes what the layers do."""
    stage("lower")
    program = check(lower(model, recipe.apply(model), "float32"))
    if not np.isfinite(limit):
        return
    for entry in program.entries:
        found = simulate(program, to_integers(program, inputs), entry)
        for port in program.outputs:
            a = found[port.name]
            if entry == "step" and port.time is None and port.kind == "stream":
                a = a[:, -1]
            error = np.abs(to_real(program, port.name, a).reshape(values[port.name].shape) - values[port.name])
            if not (error <= 1e-9 * max(1.0, limit)).all():
                raise Wrong(f"the float program differs from the layers: {sorted({n.op for n in model.nodes})}")


def _integers(path: Path, model: Model, inputs: dict, stage: Stage) -> None:
    """int8 C as text."""
    stage("compile")
    calibration = path.with_name("calibration.npz")
    calibration.write_bytes(data.npz(inputs))
    hmdc.compile(model, path.parent / "out", calibration=calibration, name="net")


def _against_onnx_runtime(path: Path, model: Model, inputs: dict, values: dict, stage: Stage) -> None:
    proto = onnx.load(path)
    nodes = [n.op_type for n in proto.graph.node]
    if any("Quant" in op or op.endswith("Integer") for op in nodes) or _beyond(model, values):
        return  # hmdc rounds elsewhere, and gives numbers where NaN and infinity would be
    stage("onnxruntime")  # it may crash, or take too long: not our concern
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        rows = [session.run(list(model.outputs), _feed(session, inputs, i)) for i in range(SAMPLES)]
    except Exception:  # a network that only hmdc takes
        return
    stage("compare")
    noise = {v: a * (1 + 1e-6 * np.random.default_rng(1).normal(size=a.shape)) for v, a in inputs.items()
             if v not in model.integers}  # fmt: skip
    moved = evaluate(model, inputs | noise)
    for k, name in enumerate(model.outputs):
        want, got = np.stack([r[k] for r in rows]).astype(np.float64), values[name]
        if want.size != got.size:
            raise Wrong(f"shape {want.shape[1:]} in ONNX Runtime, {got.shape[1:]} in hmdc: {nodes[-3:]}")
        want, exact = want.reshape(got.shape), np.isfinite(got)
        rough = 100 * np.abs(moved[name] - got) + 1e-6 * _largest(model, values)
        allowed = TOLERANCE * np.maximum(1.0, np.abs(want)) + rough
        bad = exact & np.isfinite(want) & (np.abs(want - got) > allowed)
        if bad.any():
            raise Wrong(f"{name!r} differs from ONNX Runtime: {nodes[-3:]}\n{want[bad][:3]} there, {got[bad][:3]} here")


def _beyond(model: Model, values: dict[str, np.ndarray]) -> bool:
    """Whether a root, logarithm or power is taken where float32 has no number."""
    defined = {"sqrt": lambda x: x >= 0, "log": lambda x: x > 1e-30, "exp": lambda x: x < 80}
    return any(not defined[n.attrs["function"]](values[n.inputs[0]]).all()
               for n in model.nodes if n.op == "activation" and n.attrs["function"] in defined)  # fmt: skip


def _largest(model: Model, values: dict) -> float:
    """float32 loses digits next to large numbers."""
    found = [*values.values(), *(w for n in model.nodes for w in n.weights.values())]
    return max(float(np.abs(a[np.isfinite(a)]).max(initial=0.0)) for a in found)


def _feed(session, inputs: dict[str, np.ndarray], i: int) -> dict[str, np.ndarray]:
    types = {"tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(int32)": np.int32,
             "tensor(float16)": np.float16}  # fmt: skip
    given = {}
    for port in session.get_inputs():
        shape = [d if isinstance(d, int) else 1 for d in port.shape]
        a = inputs[port.name][i] if port.name in inputs else np.zeros(shape)
        given[port.name] = a.astype(types.get(port.type, np.float32))
    return given


def data_file(path: Path, stage: Stage) -> str:
    stage("data")
    try:
        data.load(path, {"x": (29, 12)})
    except HmdcError as e:
        return _one_line(e)
    return "data"


def factors(path: Path, stage: Stage) -> str:
    """Trained factors of the example network."""
    return _compressed(path, stage, factors=path, recipes=("gru.w=lowrank(ratio=2)", "gru.u=kronecker(ratio=4)"))


def recipes(path: Path, stage: Stage) -> str:
    """A file of recipes for the example network."""
    return _compressed(path, stage, recipes=(f"@{path}",))


def _compressed(path: Path, stage: Stage, factors: Path | None = None, recipes: tuple[str, ...] = ()) -> str:
    stage("compile")
    try:
        hmdc.compile(ROOT / "examples/vowels_gru.onnx", path.parent / "out", precision="float32", name="net",
                     compress=recipes, factors=factors)  # fmt: skip
    except HmdcError as e:
        return _one_line(e)
    return "compiled"
