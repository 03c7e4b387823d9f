"""The registry of instruction sets.  Each is a file here and a folder of runtime_c."""

from .base import Isa, fit
from .dsp import DSP
from .mve import MVE
from .v6m import V6M
from .v7m import V7M

ISAS: dict[str, Isa] = {i.name: i for i in (Isa("portable", "any", "portable C99"), V6M, V7M, DSP, MVE)}

__all__ = ["ISAS", "Isa", "fit"]
