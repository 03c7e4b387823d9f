"""The bundled example: compile, run over real test data on an emulated Cortex-M4, measure."""

import shutil
import tempfile
from pathlib import Path

from . import compiler, data
from .bench import bench_board
from .paths import EXAMPLES
from .target import TARGETS
from .verify import verify

TARGET = "cortex-m4"
EXAMPLE = "vowels"
MODEL = "vowels_gru.onnx"
TOOLS = ("arm-none-eabi-gcc", "qemu-system-arm")


def demo() -> tuple[dict, list[str]]:
    """Figures as {"rows": [{figure, value}]} plus the raw ones, and notes for the user.

    Without the cross compiler or the emulator everything runs on the host, and a note says what to install.
    """
    missing = [t for t in TOOLS if shutil.which(t) is None]
    board = TARGETS[TARGET].board
    places = ("host",) if missing else ("host", board)
    with tempfile.TemporaryDirectory(prefix="hmdc-demo-") as folder:
        calibration = EXAMPLES / f"{EXAMPLE}_calibration.npz"
        build = compiler.compile(EXAMPLES / MODEL, Path(folder) / EXAMPLE, target=TARGET, calibration=calibration)
        samples = data.load(EXAMPLES / f"{EXAMPLE}_test.npz", build.model.inputs)
        checked = verify(build, samples, places)
        measured = None if missing else bench_board(board, build.program, build.source)
    rows = _rows(build.report, checked, measured, places)
    content = {"report": build.report, "verify": checked.as_json(), "bench": measured, "rows": rows}
    return content, _notes(checked, missing)


def _rows(report: dict, checked, measured: dict | None, places) -> list[dict]:
    f = checked.figures
    rows = {
        "test samples": str(checked.samples),
        "accuracy, float": f"{f['float_accuracy']:.4f}",
        "accuracy, compiled int8": f"{f['int_accuracy']:.4f}",
        "C equals the simulator, bit for bit": f"{'yes' if checked.passed else 'NO'} ({' and '.join(places)})",
        "multiply-accumulates per step": str(report["macs_per_step"]),
    }
    if measured:
        rows |= {
            "flash": f"{measured['const_bytes']} bytes of constants, {measured['code_bytes']} of code",
            "RAM": f"{measured['ram_bytes']} bytes per stream",
            "stack": f"{measured['stack_bytes']} bytes",
            "instructions per step": f"{measured['instructions_per_step']} (exact; not cycles)",
        }
    else:
        rows |= {
            "flash": f"{report['flash_bytes']} bytes (estimated)",
            "RAM": f"{report['ram_bytes']} bytes per stream",
            "stack": f"{report['stack_bytes']} bytes (estimated)",
        }
    return [{"figure": k, "value": v} for k, v in rows.items()]


def _notes(checked, missing: list[str]) -> list[str]:
    notes = [str(d) for d in checked.differences]
    if missing:
        notes.append(f"{' and '.join(missing)} not found: this ran on the host only.  To emulate the Cortex-M4: "
                     "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm")  # fmt: skip
    return notes
