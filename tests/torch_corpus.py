"""The bundled models that PyTorch wrote (corpus/README.md): their cases, samples and builds."""

import json
from pathlib import Path

import numpy as np

import hmdc
from hmdc.data import to_integers
from hmdc.host import run_host

CORPUS = Path(__file__).parent / "corpus" / "torch"
CASES = json.loads((CORPUS / "cases.json").read_text())
EXPECTED = np.load(CORPUS / "expected.npz")
PRECISIONS = hmdc.compiler.PRECISIONS


def arrays(case: str, kind: str) -> dict[str, np.ndarray]:
    head = f"{case}/{kind}/"
    return {k.removeprefix(head): EXPECTED[k].astype(np.float64) for k in EXPECTED if k.startswith(head)}


def compiled(case: str, folder: Path, precision: str = "float32", **options):
    """The build of a corpus model, calibrated with its own samples, into folder/out."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "data.npz", **arrays(case, "in"))
    open_time = any("time" in i["shape"] for i in CASES[case]["inputs"].values())
    options = {"steps": 5 if open_time else None, "calibration": folder / "data.npz"} | options
    return hmdc.compile(CORPUS / f"{case}.onnx", folder / "out", precision=precision, **options)


def on_host(build, inputs: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    return run_host(build.program, build.source, build.report["ram_bytes"], to_integers(build.program, inputs))
