"""Kinds of files that are fuzzed: where mutation starts, how it goes, what must hold of the result."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import files, onnx_files, oracle, seeds
from .draw import Draw


@dataclass(frozen=True)
class Kind:
    """suffix: of the files.  told: architecture files go with some of them."""

    suffix: str
    seeds: Callable[[], list[bytes]]
    mutate: Callable[[Draw, bytes], bytes]
    run: Callable[[Path, oracle.Stage], str] = oracle.network
    told: bool = False


def corpus(pattern: str) -> Callable[[], list[bytes]]:
    return lambda: seeds.small(f"tests/corpus/{pattern}")


KINDS = {
    "onnx": Kind(".onnx", seeds.networks, onnx_files.mutate),
    "pt": Kind(".pt", corpus("dicts/*.pt"), files.pt, told=True),
    "safetensors": Kind(".safetensors", corpus("dicts/*.safetensors"), files.safetensors, told=True),
    "npz": Kind(".npz", seeds.arrays, files.npz, told=True),
    "keras": Kind(".keras", corpus("dicts/*.keras"), files.keras),
    "h5": Kind(".h5", corpus("dicts/*.h5"), files.keras),
    "data": Kind(".npz", seeds.data, files.npz, oracle.data_file),
    "factors": Kind(".npz", seeds.factors, files.npz, oracle.factors),
    "recipe": Kind(".toml", lambda: [seeds.RECIPES], files.toml, oracle.recipes),
}
