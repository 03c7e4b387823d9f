"""Cortex-M0, M0+: no 64-bit multiply, no saturation, eight low registers."""

from .base import Isa

V6M = Isa("v6m", "Armv6-M: unsigned bytes, sums in high registers", "defined(__ARM_ARCH_6M__)")
