"""Cortex-M3: 32-bit multiply-accumulate, no DSP extension."""

from .base import Isa

V7M = Isa("v7m", "Armv7-M: cross multiplication", "defined(__ARM_ARCH_7M__)")
