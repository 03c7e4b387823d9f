"""docs/corpus.md: what becomes of every bundled model.  After a change that is meant: make accept-corpus."""

import json
import os
import re
from pathlib import Path

import numpy as np
import test_dict_windows as windows
from test_state_dicts import TOLD, architecture

from hmdc import frontends
from hmdc.errors import HmdcError
from hmdc.model import Model
from hmdc.reference import evaluate

ROOT = Path(__file__).parents[1]
PAGE, CORPUS = ROOT / "docs/corpus.md", ROOT / "tests/corpus"
TOLERANCE = 1e-5  # of the largest output, at least of 1

HEAD = """# The bundled models

Small networks exactly as the exporters write them ([how they are made](../tests/corpus/README.md)), and what becomes
of each. *Correct*: float outputs agree with those of the framework that made the model, to {tolerance:g}; tests
compile them to C as well. *Read*: there are no outputs to compare with. *Refused*: with the line that hmdc says.
`make accept-corpus` writes this page.

| | files | correct | read | refused |
|---|---|---|---|---|
"""
EXPORTERS = {"ts": "`dynamo=False`", "dynamo": "`dynamo=True`", ".pt": "`torch.save`", ".safetensors": "safetensors",
             ".keras": "Keras", ".h5": "Keras, HDF5"}  # fmt: skip


def outcome(path: Path, inputs: dict, wanted: dict, steps: int, **told) -> tuple[str, Model | None]:
    """`correct`, or `read` where there is nothing to compare with, and the model; or why not.

    steps: where the file leaves time open.
    """
    try:
        try:
            model = frontends.load(path, **told)
        except HmdcError as e:
            if "--steps N" not in str(e):
                raise
            model = frontends.load(path, steps, **told)
    except HmdcError as e:
        return "refused: " + str(e).replace(str(path), path.name).partition("; known: ")[0], None
    if not wanted:
        return "read", model
    values = evaluate(model, inputs)
    for name, want in wanted.items():
        got = values[name if name in values else model.outputs[0]].reshape(want.shape)
        if np.abs(got - want).max() > TOLERANCE * max(1.0, np.abs(want).max()):
            return f"WRONG: {name}", model
    return "correct", model


def samples(expected, case: str, *kinds: str) -> list[dict[str, np.ndarray]]:
    """Inputs and outputs of a case."""
    return [{k.removeprefix(f"{case}/{kind}/"): expected[k].astype(np.float64) for k in expected
             if k.startswith(f"{case}/{kind}/")} for kind in kinds]  # fmt: skip


def torch_rows() -> list[tuple[str, str, str, str]]:
    folder, rows = CORPUS / "torch", []
    expected = np.load(folder / "expected.npz")
    for case, about in json.loads((folder / "cases.json").read_text()).items():
        result, _ = outcome(folder / f"{case}.onnx", *samples(expected, case, "in", "out"), 5)
        rows.append((f"{case}.onnx", EXPORTERS[about["exporter"]], about["note"], result))
    return rows


def keras_rows() -> list[tuple[str, str, str, str]]:
    folder, rows = CORPUS / "keras", []
    expected = np.load(folder / "expected.npz")
    for case, about in json.loads((folder / "cases.json").read_text()).items():
        result, _ = outcome(folder / f"{case}.onnx", *samples(expected, case, "in", "out"), 5)
        rows.append((f"{case}.onnx", "tf2onnx", ", ".join(about["ops"]), result))
    return rows


def dict_rows(folder: Path) -> list[tuple[str, str, str, str]]:
    """Files of weights; those whose names leave a choice open are read with an architecture file, too."""
    rows, expected = [], dict(np.load(CORPUS / "dicts/expected.npz")) | dict(np.load(CORPUS / "dicts/keras.npz"))
    for path in sorted((CORPUS / "dicts").iterdir()):
        if path.suffix == ".npz":
            continue
        case = path.name if f"{path.name}/x" in expected else path.stem
        given = [{k: expected[f"{case}/{k}"].astype(np.float64)} if f"{case}/{k}" in expected else {}
                 for k in "xy"]  # fmt: skip
        told = architecture(folder, *TOLD[path.stem]) if path.stem in TOLD else None
        rows.append(dict_row(path, *given, 7, told))
    expected = np.load(windows.CORPUS / "expected.npz")
    for case in windows.CASES:
        given = [{k: expected[f"{case}/{k}"].astype(np.float64)} for k in "xy"]
        rows.append(dict_row(windows.CORPUS / f"{case}.pt", *given, windows.STEPS, windows.told(case, folder)))
    return rows


def dict_row(path: Path, inputs: dict, wanted: dict, steps: int, told: Path | None) -> tuple[str, str, str, str]:
    result, model = outcome(path, inputs, wanted, steps, architecture=told)
    result += ", with an architecture file" if told else ""
    layers = ", ".join(row["layer"] for row in model.found) if model else "-"
    return path.name, EXPORTERS[path.suffix], layers, result


def page(folder: Path) -> str:
    parts = {"PyTorch, ONNX": torch_rows(), "Keras, ONNX": keras_rows(), "Files of weights": dict_rows(folder)}
    text = HEAD.format(tolerance=TOLERANCE)
    for name, rows in parts.items():
        counts = [sum(row[3].startswith(word) for row in rows) for word in ("correct", "read", "refused")]
        text += f"| {' | '.join(map(str, (name, len(rows), *counts)))} |\n"
    for name, rows in parts.items():
        text += f"\n## {name}\n\n| model | exporter | what is in it | result |\n|---|---|---|---|\n"
        text += "".join(f"| `{a}` | {b} | {c} | {d.replace('|', '/')} |\n" for a, b, c, d in rows)
    return text


def test_page_is_up_to_date(tmp_path):
    text = page(tmp_path)
    if os.environ.get("HMDC_ACCEPT_CORPUS"):
        PAGE.write_text(text)
    assert "WRONG" not in text
    assert PAGE.read_text() == text, "docs/corpus.md changed; if that is meant: make accept-corpus"


def test_no_row_is_missing():
    files = [p for p in CORPUS.glob("*/*") if p.suffix in (".onnx", ".pt", ".safetensors", ".keras", ".h5")]
    assert sorted(p.name for p in files) == sorted(re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE))
