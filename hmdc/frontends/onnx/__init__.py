"""ONNX files.  read: bytes to protobuf; bind: open axes; fold: constants; norm_forms: normalizations
written out; the others: nodes to layers."""

from dataclasses import replace
from pathlib import Path

from ... import factor_file
from ...model import Model
from .bind import bind
from .graph import translate
from .lengths import tabulate
from .norm_forms import find
from .read import read


def load(path: Path, steps: int | None, input_shapes: dict[str, tuple[int, ...]]) -> Model:
    """See frontends.load."""
    proto, digest = read(path)
    folded = bind(proto, steps, input_shapes)
    tabulate(folded)
    model = translate(folded, find(folded), digest, path.name)
    own = next((p.value for p in proto.metadata_props if p.key == factor_file.METADATA), None)
    return model if own is None else replace(model, factors=factor_file.decode(own))


__all__ = ["load"]
