"""Where the files that are not Python live: beside the package in a checkout, inside it when installed from a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_ROOT = _PACKAGE / "_data" if (_PACKAGE / "_data").is_dir() else _PACKAGE.parent

BOARDS = _ROOT / "boards"
TEMPLATES = _ROOT / "templates"
RUNTIME_C = _ROOT / "runtime_c"
EXAMPLES = _ROOT / "examples"
