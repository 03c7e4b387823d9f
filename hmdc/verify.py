"""Compare compiled C with the integer simulator, bit for bit, and with the float network, in real units."""

from dataclasses import dataclass, field, replace

import numpy as np

from .classes import check_labels, classes, pick
from .compiler import Build
from .data import Data, to_integers, to_real
from .errors import HmdcError
from .firmware import run_board
from .host import run_host
from .program import Program
from .reference import evaluate
from .simulate import simulate
from .trace import first_call

FLOAT_TOLERANCE = 1e-5  # of max(1, max|y|), for float32


@dataclass(frozen=True)
class Difference:
    """The first output value that is not the same; cause: the kernel call where it began, if that is known."""

    where: str
    sample: int
    call: str
    output: str
    element: int
    c: float
    simulator: float
    cause: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: sample {self.sample}, {self.call}, output {self.output!r}, element {self.element}: "
        text += f"C gives {self.c}, the simulator {self.simulator}"
        return f"{text}; {self.cause}" if self.cause else text


@dataclass
class Verification:
    """What `hmdc verify` reports.  differences: at most one per place."""

    samples: int
    figures: dict
    on: dict[str, dict]
    differences: list[Difference] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.differences

    def as_json(self) -> dict:
        """JSON has no infinity and no NaN."""
        plain = lambda d: {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in d.items()}
        return {"samples": self.samples, **plain(self.figures), "on": {k: plain(v) for k, v in self.on.items()}}


def execute(build: Build, where: str, inputs: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Run the C on the host or on a board.  inputs: as data.to_integers gives them.  entry -> output -> array."""
    if where == "host":
        return run_host(build.program, build.source, build.report["ram_bytes"], inputs)
    return run_board(where, build.program, build.source, inputs)


def verify(build: Build, data: Data, places: tuple[str, ...] = ("host",)) -> Verification:
    """Run every sample through every entry on every place.  Raises HmdcError when a tool is missing."""
    program = build.program
    check_labels(data.labels, build.model)
    inputs = to_integers(program, data.inputs)
    expected = {e: simulate(program, inputs, e) for e in program.entries}
    floats = evaluate(build.model, data.inputs)
    reference = {p.name: floats[p.name] for p in program.outputs}
    n_classes = classes(build.model, next(iter(reference)))
    on, differences = {}, []
    for where in places:
        found = execute(build, where, inputs)
        difference = first_difference(program, where, found, expected)
        on[where] = {"bit_exact": None if program.precision == "float32" else difference is None,
                     **compare(reference, real_outputs(program, found), data.labels, n_classes)}  # fmt: skip
        if difference:
            if where == "host" and program.precision != "float32":
                difference = replace(difference, cause=_cause(build, inputs, difference))
            on[where]["first_difference"] = str(difference)
            differences.append(difference)
    figures = {k: v for k, v in on[places[0]].items() if k not in ("bit_exact", "first_difference")}
    bit_exact = None if program.precision == "float32" else not differences
    return Verification(data.samples, {"bit_exact": bit_exact, **figures}, on, differences)


def _cause(build: Build, inputs: dict[str, np.ndarray], d: Difference) -> str:
    one = {k: a[d.sample : d.sample + 1] for k, a in inputs.items()}
    return first_call(build.program, build.source, build.report["ram_bytes"], one, d.call.split()[0]) or ""


def real_outputs(program: Program, found: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Output -> real values in the model's shape, from run where there is one, else from the last step."""
    return {name: to_real(program, name, a) for name, a in whole(program, found).items()}


def whole(program: Program, found: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Output -> raw values of one sequence."""
    if "run" in found:
        return found["run"]
    last = {p.name: p.time is None and p.kind == "stream" for p in program.outputs}
    return {name: a[:, -1] if last[name] else a for name, a in found["step"].items()}


def first_difference(program: Program, where: str, found, expected) -> Difference | None:
    for entry in program.entries:
        for name, want in expected[entry].items():
            got = found[entry][name]
            if got.size != want.size:
                counts = f"{got.size} values of {name!r} where the simulator has {want.size}"
                raise HmdcError(f"{where}: {entry} writes {counts}: the C was edited; run hmdc compile again")
            got = got.reshape(want.shape)
            if program.precision == "float32":
                wrong = ~(np.abs(got - want) <= FLOAT_TOLERANCE * max(1.0, float(np.abs(want).max(initial=0.0))))
            else:
                wrong = got != want
            if wrong.any():
                at = tuple(int(i) for i in np.argwhere(wrong)[0])
                call = f"{entry} call {at[1] + 1}" if entry == "step" and len(at) == 3 else entry
                element = int(np.ravel_multi_index(at[1:], want.shape[1:])) if entry == "run" else at[-1]
                return Difference(where, at[0], call, name, element, got[at].item(), want[at].item())
    return None


def compare(
    reference: dict[str, np.ndarray], got: dict[str, np.ndarray], labels: np.ndarray | None, n_classes: int
) -> dict:
    """Errors over all outputs in real units; agreement and accuracy of the first, of so many classes."""
    error = np.concatenate([(got[k] - reference[k]).ravel() for k in reference])
    power = sum(float((reference[k] ** 2).sum()) for k in reference)
    noise = float((error**2).sum())
    first = next(iter(reference))
    picks = [pick(a[first].reshape(*reference[first].shape)) for a in (reference, got)]
    accuracy = [None if labels is None else float((p.ravel() == labels.ravel()).mean()) for p in picks]
    return {
        "float_accuracy": accuracy[0], "int_accuracy": accuracy[1],
        "agreement": float((picks[0] == picks[1]).mean()) if n_classes else None,
        "max_abs_error": float(np.abs(error).max()), "rms_error": float(np.sqrt((error**2).mean())),
        "snr_db": None if noise == 0 or power == 0 else float(10 * np.log10(power / noise)),
    }  # fmt: skip
