"""hmdc: ahead-of-time compiler from trained recurrent networks to static-memory C for Arm Cortex-M."""

__version__ = "0.1.0"

from .compiler import Build, compile, load
from .errors import HmdcError

__all__ = ["Build", "HmdcError", "__version__", "compile", "load"]
