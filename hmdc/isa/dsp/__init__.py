"""Cortex-M4, M7, M33: dual 16-bit multiply-accumulate (SMLAD)."""

from ...kernels import Matmul
from ..base import Isa, up
from . import structured
from .products import matmul

VARIANTS = {Matmul: matmul, **structured.VARIANTS}
DSP = Isa(
    "dsp", "Armv7E-M, Armv8-M with DSP", "SMLAD on pairs of rows", "defined(__ARM_FEATURE_DSP)", VARIANTS, gains=True
)

__all__ = ["DSP", "up"]
