"""The registry of frontends: file suffix -> load(path, steps, shapes, architecture) -> Model."""

from pathlib import Path

from ..errors import HmdcError
from ..model import Model
from ..rewrite import simplify
from . import dicts
from .onnx import load as load_onnx
from .rollup import roll_up


def _onnx(path: Path, steps: int | None, input_shapes: dict, architecture: Path | None) -> Model:
    if architecture is not None:
        raise HmdcError("--architecture is for files of weights; an ONNX file tells its architecture")
    return roll_up(load_onnx(path, steps, input_shapes))


LONGEST = 1000  # letters of a message; files choose the names in them
FRONTENDS = {".onnx": _onnx} | dicts.LOADERS


def load(
    path: Path,
    steps: int | None = None,
    input_shapes: dict[str, tuple[int, ...]] | None = None,
    architecture: Path | None = None,
) -> Model:
    """Read a trained network.

    steps: length of the time axis where the file leaves it open.  input_shapes: input name -> whole shape, batch
    included.  architecture: what a file of weights does not tell, see docs/state_dicts.md.  Raises HmdcError naming
    the node in the way.
    """
    path = Path(path)
    if not path.is_file():
        raise HmdcError(f"{path}: {'a folder, not a' if path.is_dir() else 'no such'} model file")
    reader = FRONTENDS.get(path.suffix.lower())
    if reader is None:
        raise HmdcError(f"{path}: files of type {path.suffix or 'none'!r} are not read; known: {', '.join(FRONTENDS)}")
    try:
        return simplify(reader(path, steps, input_shapes or {}, architecture and Path(architecture)))
    except HmdcError as e:
        if len(str(e)) > LONGEST:
            raise HmdcError(f"{str(e)[:LONGEST]}...") from e
        raise
    except RecursionError as e:
        raise HmdcError(f"{path} is nested too deeply to be a valid model") from e
    except Exception as e:  # a damaged file can break the readers anywhere; one line for the user, -v shows the rest
        reason = (str(e).splitlines() or [type(e).__name__])[0][:160]
        reason += " is missing" * (isinstance(e, KeyError) and " " not in reason)
        raise HmdcError(f"{path} is damaged or not a valid model ({reason}); export it again") from e
