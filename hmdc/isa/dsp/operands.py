"""What the products read: x in 16 bits, once for all that read it."""

from dataclasses import dataclass

import numpy as np

from ...kernels import Kernel, Matmul
from ...program import Env, View
from ..base import Fitting, up

LARGEST = 8192  # values of an operand that is copied
BLOCK = 3  # vectors that share a read of the weights


@dataclass(frozen=True)
class Widen(Kernel):
    """y[p, q, k] = x[p, k, q] in 16 bits, every k padded with zeros to a multiple of 4    C: runtime_c/dsp/widen.c

    The first `gained` of k count 2**gain times; then p = q = 1.
    """

    x: View
    y: View
    p: int
    k: int
    q: int
    gained: int = 0
    gain: int = 0

    FILE = "widen"
    TYPES = ("x",)

    def run(self, env: Env) -> None:
        x = env.view(self.x).reshape(-1, self.p, self.k, self.q).swapaxes(2, 3)
        x = x * np.where(np.arange(self.k) < self.gained, 1 << self.gain, 1)
        env.put(self.y, np.pad(x, [(0, 0)] * 3 + [(0, up(self.k, 4) - self.k)]))

    def fields(self) -> dict:
        return {"p": self.p, "k": self.k, "q": self.q, "gained": self.gained, "gain": self.gain}


@dataclass(frozen=True)
class Interleave(Kernel):
    """y[p / 3, k / 2, p % 3, k % 2] = int8 x[p, k], filled up with zeros         C: runtime_c/dsp/interleave.c"""

    x: View
    y: View
    p: int
    k: int

    FILE = "interleave"
    TYPES = ()

    def run(self, env: Env) -> None:
        x = env.view(self.x).reshape(-1, self.p, self.k)
        x = np.pad(x, [(0, 0), (0, -self.p % BLOCK), (0, -self.k % 4)])
        env.put(self.y, x.reshape(len(x), -1, BLOCK, x.shape[2] // 2, 2).swapaxes(2, 3))

    def fields(self) -> dict:
        return {"p": self.p, "k": self.k}


def widened(f: Fitting, call: Matmul) -> View | None:
    """The operand of a product in 16 bits, its columns side by side; None if that takes too much memory."""
    k, gain = call.w.shape[1], (call.gained, call.gain) if call.gain else (0, 0)
    size = call.p * call.q * up(k, 4)
    temporary = f.buffers[call.x.buf].role == "temp"
    if f.bits(call.x) == 16 and call.q == 1 and k % 4 == call.x.offset % 2 == 0 and temporary:
        return call.x  # it is what a copy would be: temporaries are aligned
    if size > LARGEST:
        return None

    def make(x: View) -> tuple[Kernel, View]:
        name = f.operand_name(x, form.replace(" ", "_"))
        y = f.temporary(name, size, 16)
        return Widen(name, x, y, call.p, k, call.q, *gain), y

    form = f"wide {call.p} {call.q}" + (f" {gain[0]} {gain[1]}" if call.gain else "")
    return f.operand(call.x, form, make)


def interleaved(f: Fitting, call: Matmul) -> View:
    """The operand of a product of several vectors in 16 bits."""
    k = call.w.shape[1]

    def make(x: View) -> tuple[Kernel, View]:
        name = f.operand_name(x, f"side{call.p}")
        y = f.temporary(name, up(call.p, BLOCK) * up(k, 4), 16)
        return Interleave(name, x, y, call.p, k), y

    return f.operand(call.x, f"side {call.p}", make)
