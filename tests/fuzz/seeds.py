"""What mutation starts from: the bundled models, and files made of them."""

import io
import sys
import tempfile
from pathlib import Path

import numpy as np

import hmdc
from hmdc.frontends.dicts.tensors import read

ROOT = Path(__file__).parents[2]
MOST_BYTES, RANDOM = 20_000, 30

TOLD = b"""steps = 5
input = 4
prefix = ""
ignore = ["fc.*"]
[[layer]]
type = "lstm"
weights = "rnn"
bidirectional = false
[[layer]]
type = "last"
[[layer]]
type = "dense"
weights = "fc"
[[layer]]
type = "softmax"
"""
RECIPES = b"""[[compress]]
structure = "kronecker"
pattern = "gru.u"
left = [16, 8]
[[compress]]
structure = "lowrank"
pattern = "gru.w"
ratio = 2
stacked = true
[[compress]]
structure = "pruned"
pattern = "dense"
keep = 20
"""


def small(*patterns: str) -> list[bytes]:
    """The files below the root, small ones only."""
    found = [p for pattern in patterns for p in sorted(ROOT.glob(pattern))]
    return [p.read_bytes() for p in found if p.stat().st_size < MOST_BYTES]


def networks() -> list[bytes]:
    """ONNX files: the bundled ones, what exporters write by hand, and random networks."""
    sys.path.insert(0, str(ROOT / "tests"))  # as pytest does
    import networks
    import onnx_norms  # noqa: F401  registers its forms
    import onnx_unrolled  # noqa: F401  registers its forms
    from onnx_forms import FORMS

    made = [form.model() for form in FORMS.values()]
    made += [networks.random_network(np.random.default_rng(i))[0] for i in range(RANDOM)]
    blobs = [m.SerializeToString() for m in made]
    return small("tests/corpus/*/*.onnx") + [b for b in blobs if len(b) < MOST_BYTES]


def arrays() -> list[bytes]:
    """The networks of the .pt files as .npz, and FastGRNN."""
    names = ("lstm.pt", "gru.pt", "cells.pt", "norm.pt", "projected.pt", "both_last.pt")
    found = [read(ROOT / "tests/corpus/dicts" / name).arrays for name in names]
    rng = np.random.default_rng(0)
    fast = {
        "W1": (3, 5),
        "W2": (5, 6),
        "U": (6, 6),
        "bias_gate": (1, 6),
        "bias_update": (1, 6),
        "zeta": (1, 1),
        "nu": (1, 1),
    }
    found.append({f"cell.{k}": rng.normal(size=s) for k, s in fast.items()})
    return [npz(a) for a in found]


def npz(found: dict[str, np.ndarray]) -> bytes:
    out = io.BytesIO()
    np.savez(out, **{k: a.astype(np.float32) for k, a in found.items()})
    return out.getvalue()


def data() -> list[bytes]:
    """Samples and labels for an input x [29, 12]."""
    rng = np.random.default_rng(0)
    return [npz({"x": rng.normal(size=(4, 29, 12)), "y": np.arange(4)})]


def factors() -> list[bytes]:
    """Factors as a build of the example network keeps them."""
    with tempfile.TemporaryDirectory() as folder:
        texts = ("gru.w=lowrank(ratio=2)", "gru.u=kronecker(ratio=4)")
        build = hmdc.compile(ROOT / "examples/vowels_gru.onnx", Path(folder) / "b", precision="float32", compress=texts)
        return [(build.path / ".hmdc/factors.npz").read_bytes()]
