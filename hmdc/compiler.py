"""The pipeline, top to bottom, and the folder it writes."""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import __version__, data, factor_file, frontends, recipe, timeblock, widths
from .check import check
from .errors import HmdcError
from .isa import fit
from .lower import MODES, joinable, lower
from .model import Model
from .moments import second_moments
from .names import prefix
from .place import place
from .program import Program
from .quantize import quantize, scales
from .render import Renderer, state_bytes
from .report import measure
from .rounding import Rounding, moments
from .streaming import roles
from .target import TARGETS

PRECISIONS = ("int8", "int16", "float32")
PRIVATE = ".hmdc"


@dataclass
class Build:
    """A compiled network on disk.  program: integer, or float for float32.  report: the content of NAME.json."""

    path: Path
    name: str
    model: Model
    program: Program
    report: dict

    @property
    def source(self) -> Path:
        return self.path / f"{self.name}.c"


def compile(
    model: str | Path | Model,
    out: str | Path,
    *,
    name: str | None = None,
    target: str = "cortex-m4",
    calibration: str | Path | None = None,
    precision: str = "int8",
    mode: str = "auto",
    steps: int | None = None,
    input_shapes: dict[str, tuple[int, ...]] | None = None,
    architecture: str | Path | None = None,
    compress: Sequence[str] = (),
    factors: str | Path | None = None,
    time_block: int | str | None = None,
    ram_budget: int | None = None,
) -> Build:
    """Compile a network file to OUT/NAME.c, NAME.h and NAME.json.  Raises HmdcError; then nothing is written.

    architecture: of a file of weights, see docs/state_dicts.md.  compress: recipes, see recipe.py.
    factors: a file of trained factors, see docs/compression.md.
    time_block: steps whose input products read the weights together, or "auto".  ram_budget: bytes of the state struct.
    """
    known("--target", target, TARGETS)
    known("--precision", precision, PRECISIONS)
    known("--mode", mode, MODES)
    time_block = timeblock.parse(time_block, mode)
    _writable(Path(out))
    network = model if isinstance(model, Model) else frontends.load(Path(model), steps, input_shapes, architecture)
    name = _name(name, network.path)
    samples = _calibration(network, precision, calibration)
    given = factor_file.read(factors) if factors else {}
    recipes = recipe.read(compress)
    given = recipe.trained(network, recipes, given) | given
    assignments = recipe.assign(network, recipes, given)
    network, assignments = recipe.reorder(network, assignments, given)
    moments = second_moments(network, samples, recipe.needs_moments(assignments, bool(samples), given))
    maps = recipe.decompose(assignments, moments, given)
    one = time_block and 1  # what calibration decides holds for blocks of every size: none of them changes a bit
    lowered = lambda joint: check(lower(network, maps, precision, mode, joint, one))
    chosen, rounding = calibrate(lowered, () if one else joinable(network, maps), samples)
    options = {"version": __version__, "name": name, "target": target, "precision": precision, "mode": mode, **chosen,
               "assignments": [a.as_json() for a in assignments.values()]}  # fmt: skip
    fitted = lambda n: fit(_program(network, maps, options | {"time_block": n}, rounding), TARGETS[target].isa)
    options["time_block"] = timeblock.choose(fitted, time_block, network.steps, ram_budget)
    program = _program(network, maps, options, rounding)
    return _emit(Path(out), program, options, network, assignments, maps, rounding)


def retarget(build: Build, target: str, out: str | Path) -> Build:
    """Write to OUT what compile would have written for another target: the same bits from other instructions."""
    known("target", target, TARGETS)
    _writable(Path(out))
    program, options, *parts = _read(build.path)
    return _emit(Path(out), program, options | {"target": target}, *parts)


def _emit(out: Path, program: Program, options: dict, network: Model, assignments, maps, rounding: Rounding) -> Build:
    """The last steps, which alone know the target.  program: fitted to none."""
    name, target = options["name"], options["target"]
    program = check(fit(program, TARGETS[target].isa))
    files, report = _generate(network, assignments, maps, program, name, target, options["time_block"])
    arrays = {"factors": recipe.factors(assignments, maps), "weights": rounding.known}
    _write(out, name, files, report, network, options, arrays)
    return Build(out, name, network, program, report)


def calibrate(lowered, layers: tuple[str, ...], samples: dict[str, np.ndarray]) -> tuple[dict, Rounding]:
    """What calibration decides.  lowered: joint layers -> float program; layers: those that may be joint."""
    if lowered(()).precision == "float32":
        return {"joint": [], "narrow": [], "scales": {}}, Rounding(None)
    joint, slim, ranges = widths.choose(lowered, layers, lambda program: data.to_integers(program, samples))
    floats = lowered(joint)
    grid = scales(widths.narrow(floats, slim), ranges)
    rounding = Rounding(moments(floats, data.to_integers(floats, samples)))
    return {"joint": list(joint), "narrow": list(slim), "scales": grid}, rounding


def _program(network: Model, maps, options: dict, rounding: Rounding) -> Program:
    """The program that follows from what calibration decided, fitted to no target."""
    floats = lower(network, maps, options["precision"], options["mode"], tuple(options["joint"]), options["time_block"])
    if options["precision"] == "float32":
        return check(floats)
    return check(quantize(widths.narrow(check(floats), tuple(options["narrow"])), options["scales"], rounding))


def load(path: str | Path) -> Build:
    """Read back what compile wrote.  Raises HmdcError unless the folder is a whole build of this version."""
    path = Path(path)
    try:
        return _restore(path)
    except HmdcError:
        raise
    except Exception as e:  # damaged files can break the readers and the checks anywhere
        if not (path / PRIVATE).is_dir():
            raise HmdcError(f"{path} is no folder that hmdc compile made; run hmdc compile MODEL -o {path}") from e
        raise HmdcError(f"{path} is damaged ({e}); run hmdc compile MODEL -o {path}") from e


def _restore(path: Path) -> Build:
    program, options, network, *_ = _read(path)
    name = prefix(options["name"])
    report = json.loads((path / f"{name}.json").read_text())
    known("target", report["target"], TARGETS)
    program = check(fit(program, TARGETS[options["target"]].isa))
    build = Build(path, name, network, program, report)
    if report["ram_bytes"] != state_bytes(program, place(program)):
        raise HmdcError(f"{path / name}.json is not the one that was compiled; run hmdc compile again")
    if not build.source.is_file():
        raise HmdcError(f"{build.source} is missing; run hmdc compile again")
    return build


def _read(path: Path) -> tuple[Program, dict, Model, dict, dict, Rounding]:
    """What compile kept: the program before it was fitted to a target, and what it was made of, see _emit."""
    options = json.loads((path / PRIVATE / "build").read_text())
    if options["version"] != __version__:
        raise HmdcError(f"{path} was made by hmdc {options['version']}, this is {__version__}; run hmdc compile again")
    options["scales"] = {k: (float(s), int(z)) for k, (s, z) in options["scales"].items()}
    network = Model.restore(path / PRIVATE / "model.npz")
    nodes = {n.name: n for n in network.nodes}
    assignments = {a["matrix"]: recipe.Assignment.restore(a, nodes) for a in options["assignments"]}
    with np.load(path / PRIVATE / "factors.npz", allow_pickle=False) as arrays:
        maps = recipe.decompose(assignments, {}, dict(arrays))
    with np.load(path / PRIVATE / "weights.npz", allow_pickle=False) as arrays:
        rounding = Rounding(None, dict(arrays))
    return _program(network, maps, options, rounding), options, network, assignments, maps, rounding


def known(option: str, value: str, known) -> None:
    if value not in known:
        raise HmdcError(f"{option} {value}: unknown; known are {', '.join(known)}")


def _name(name: str | None, path: str) -> str:
    if name is None:
        return prefix(Path(path).stem)
    if name != prefix(name):
        raise HmdcError(f"--name {name!r} cannot prefix C symbols; try --name {prefix(name)}")
    return name


def _calibration(model: Model, precision: str, path) -> dict[str, np.ndarray]:
    """Real inputs by name; empty for float32 without a file."""
    first = next(iter(model.inputs))
    if path is None and precision == "float32":
        return {}
    if path is None:
        shape = ", ".join(map(str, model.inputs[first]))
        raise HmdcError(
            f"--precision {precision} needs typical inputs: --calibration DATA.npz; "
            f"{data.how_to(first)}, shape (samples, {shape})"
        )
    return read_samples(model, path).inputs


def read_samples(model: Model, path: str | Path, most: int = data.MAX_BYTES) -> data.Data:
    """A data file of at most `most` bytes for a network; states may be missing.  Raises HmdcError as data.load does."""
    return data.load(Path(path), model.inputs, set(roles(model).states), model.integers, most)


def _generate(model: Model, assignments, maps, program: Program, name: str, target: str,
              time_block: int | None) -> tuple[dict, dict]:  # fmt: skip
    """C texts by suffix, and the report."""
    plan = place(program)
    renderer = Renderer(program, plan, name, TARGETS[target].isa)
    renderer.collect()
    report = measure(model, assignments, maps, program, plan, renderer, target, time_block)
    figures = {
        "FLASH_BYTES": (report["flash_bytes"], "upper estimate for -O3: constants and code"),
        "RAM_BYTES": (state_bytes(program, plan), "one state struct"),
        "SCRATCH_BYTES": (report["scratch_bytes"], "the part of it that means nothing between calls"),
        "STACK_BYTES": (report["stack_bytes"], "upper estimate for -O3"),
    }
    return renderer.render(_header(program, report, name), figures), report


def _header(program: Program, report: dict, name: str) -> list[str]:
    rows = [m for layer in report["layers"] for m in layer["matrices"]]
    structured = {m["name"]: m["structure"] for m in rows if m["structure"] != "dense"}
    per_step = (
        ""
        if report["macs_per_step"] is None
        else f"{'at most ' * bool(program.rates)}{report['macs_per_step']} per step, "
    )
    return [
        f"{name}: generated by hmdc {__version__} for {report['target']}, {report['precision']}.",
        f"Model sha256 {report['model_sha256']}.",
        f"Recipe: {', '.join(f'{m}={s}' for m, s in structured.items()) or 'dense'}.",
        f"Multiply-accumulates: {per_step}{report['macs']} per sequence of {program.steps} steps.",
        f"Bytes: weights {report['weights_bytes']}, RAM {report['ram_bytes']}, scratch {report['scratch_bytes']}.",
        "",
        "This file belongs to you, the user of hmdc; use it under any terms you like.",
    ]


def _writable(out: Path) -> None:
    try:
        free = not out.exists() or (out / PRIVATE).is_dir() or (out.is_dir() and not any(out.iterdir()))
    except OSError as e:
        raise HmdcError(f"{out} cannot be written: {e.strerror}; choose another folder") from e
    if not free:
        raise HmdcError(f"{out} exists and was not made by hmdc; choose another folder or remove it")


def _write(out: Path, name: str, files: dict[str, str], report: dict, model: Model, options: dict,
           arrays: dict[str, dict[str, np.ndarray]]) -> None:  # fmt: skip
    """All or nothing: a folder beside `out` takes its place when it is complete."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=".hmdc.", dir=out.parent))
        try:
            for suffix, text in files.items():
                (fresh / f"{name}{suffix}").write_text(text, encoding="utf-8")
            (fresh / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
            (fresh / PRIVATE).mkdir()
            model.save(fresh / PRIVATE / "model.npz")
            for kind, named in arrays.items():
                np.savez(fresh / PRIVATE / f"{kind}.npz", **named)
            (fresh / PRIVATE / "build").write_text(json.dumps(options))
            fresh.chmod(0o777 & ~_umask())
            _swap(fresh, out)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as e:
        raise HmdcError(f"{out} cannot be written: {e.strerror or e}; choose another folder") from e


def _swap(fresh: Path, out: Path) -> None:
    """The older build is in place until the new one is, and again if that fails."""
    if not out.exists():
        fresh.rename(out)
        return
    old = Path(tempfile.mkdtemp(prefix=".hmdc.", dir=out.parent)) / "build"
    try:
        out.rename(old)
        try:
            fresh.rename(out)
        except OSError:
            old.rename(out)
            raise
    finally:
        shutil.rmtree(old.parent, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
