"""Cortex-M55, M85: vectors of 128 bits, low-overhead loops."""

from .base import Isa

MVE = Isa("mve", "Helium: tail-predicated vectors", "defined(__ARM_FEATURE_MVE)")
