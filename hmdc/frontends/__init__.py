"""The registry of frontends: file suffix -> load(path, steps, shapes) -> Model."""

from pathlib import Path

from ..errors import HmdcError
from ..model import Model
from ..rewrite import simplify
from .onnx import load as load_onnx

FRONTENDS = {".onnx": load_onnx}


def load(path: Path, steps: int | None = None, input_shapes: dict[str, tuple[int, ...]] | None = None) -> Model:
    """Read a trained network.

    steps: length of the time axis where the file leaves it open.  input_shapes: input name -> whole shape, batch
    included.  Raises HmdcError naming the node in the way.
    """
    path = Path(path)
    if not path.is_file():
        raise HmdcError(f"{path}: {'a folder, not a' if path.is_dir() else 'no such'} model file")
    reader = FRONTENDS.get(path.suffix.lower())
    if reader is None:
        raise HmdcError(f"{path}: files of type {path.suffix or 'none'!r} are not read; known: {', '.join(FRONTENDS)}")
    try:
        return simplify(reader(path, steps, input_shapes or {}))
    except HmdcError:
        raise
    except RecursionError as e:
        raise HmdcError(f"{path} is nested too deeply to be a valid model") from e
    except Exception as e:  # a damaged file can break the readers anywhere; one line for the user, -v shows the rest
        reason = (str(e).splitlines() or [""])[0][:160]
        raise HmdcError(f"{path} is damaged or not a valid model ({reason}); export it again") from e
