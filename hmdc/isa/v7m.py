"""Cortex-M3: 32-bit multiply-accumulate, no DSP extension.

Cross multiplication: a word holds the weights of 4 columns of a row, each + 128 as a byte, in the order 0, 2, 1, 3, so

    word = (w0 + 2^16 w1) + 2^8 (w2 + 2^16 w3)

and (w0 + 2^16 w1) (x1 + 2^16 x0) modulo 2^32 is w0 x1 + 2^16 (w0 x0 + w1 x1): two products by one multiplication.  The
same of columns 2 and 3 is added to it, and a constant of x takes the 128 away and makes the lower half nonnegative, so
that the upper half is the sum over 4 columns.  It is exact while |x0| + .. + |x3| <= 258, as |w| <= 127: then the sum
stays below 2^15.  Of the few quads of columns beyond that, the largest |x| is cut down to it, and a list says what was
cut off.  Where the list would be longer than 3/4 of the quads, the two pairs of columns of every quad are multiplied
and added up one after the other instead.
"""

from dataclasses import dataclass

import numpy as np

from ..intmath import limits
from ..kernels import Kernel, Matmul
from ..program import Env, View
from .base import Fitting, Isa, become
from .dsp import up

SAFE = 258  # largest sum of 4 |x| whose products with |w| <= 127 add up to less than 2^15
ORDER = (0, 2, 1, 3)  # column -> its byte in a word, and the other way round
MOST_COLUMNS = 8192  # 16 bits hold every place of a list
PAIRS = -1  # head of an operand whose pairs of columns are multiplied one after the other


def longest(quads: int) -> int:
    """List that takes less time than multiplying pairs."""
    return 3 * quads // 4


def wrap(v: np.ndarray) -> np.ndarray:
    """int64 -> the int32 of the same 32 bits."""
    return v.astype(np.int32).astype(np.int64)


def pair(x0: np.ndarray, x1: np.ndarray) -> np.ndarray:
    return wrap(x1 + (x0 << 16))


def unpair(word: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x1 = word.astype(np.int16).astype(np.int64)
    return (word - x1 >> 16).astype(np.int16).astype(np.int64), x1


def level(low: np.ndarray, total: np.ndarray) -> np.ndarray:
    """What is added to the products.  low: sum of the x that reach the lower half; total: of all x."""
    return wrap(2**15 - 128 * low - (total << 23))


def quad(x0: np.ndarray, x1: np.ndarray, x2: np.ndarray, x3: np.ndarray) -> list[np.ndarray]:
    """The three words of a quad."""
    return [pair(x0, x1), level(x1 + x3, x0 + x1 + x2 + x3), wrap(pair(x2, x3) - (pair(x0, x1) << 8))]


def unquad(words: np.ndarray) -> np.ndarray:
    """[..., 3] -> x [..., 4]"""
    return np.stack([*unpair(words[..., 0]), *unpair(wrap(words[..., 2] + (words[..., 0] << 8)))], -1)


def cut(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x: [..., 4].  Its largest value as much smaller as SAFE asks for, what was cut off, and its column."""
    size = np.abs(x)
    column = size.argmax(axis=-1, keepdims=True)
    most = np.take_along_axis(size, column, -1)
    excess = np.clip(size.sum(axis=-1, keepdims=True) - SAFE, 0, most)
    off = np.sign(np.take_along_axis(x, column, -1)) * excess
    return x - np.where(np.arange(4) == column, off, 0), off, column


@dataclass(frozen=True)
class Cross(Kernel):
    """y[p, q] = x[p, :, q] for cross multiplication                                      C: runtime_c/v7m/cross.c

    A vector of n quads takes 1 + 4 n words: the length of the list; three words for each quad; unless it is empty, the
    list: 128 times the sum of what was cut off, then for every entry this in the lower half and the place of its
    weights in the upper half, in bytes from the end of the weights of a group of rows.  Or PAIRS, and four words for
    each quad: two for each pair of columns.
    """

    x: View
    y: View
    p: int
    columns: int
    q: int

    FILE = "cross"
    TYPES = ()

    def run(self, env: Env) -> None:
        x = env.view(self.x).reshape(-1, self.p, self.columns, self.q).swapaxes(2, 3)
        x = np.pad(x, [(0, 0)] * 3 + [(0, -self.columns % 4)]).reshape(*x.shape[:3], -1, 4)
        quads = x.shape[-2]
        words = env.view(self.y).reshape(*x.shape[:3], 1 + 4 * quads).copy()  # some stay as they were
        n = self._put_list(words, x)
        x0, x1, x2, x3 = np.moveaxis(x, -1, 0)
        pairs = np.stack([pair(x0, x1), level(x1, x0 + x1), pair(x2, x3), level(x3, x2 + x3)], -1)
        many = n > longest(quads)
        words[many, 0], words[many, 1:] = PAIRS, pairs[many].reshape(-1, 4 * quads)
        env.put(self.y, words)

    @staticmethod
    def _put_list(words: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Fill in quads and list, as if it had room.  Returns its length."""
        quads, most = x.shape[-2], longest(x.shape[-2])
        once, off, column = cut(x)
        twice, off2, column2 = cut(once)  # two cuts are always enough
        words[..., 1 : 1 + 3 * quads] = np.stack(quad(*np.moveaxis(twice, -1, 0)), -1).reshape(*x.shape[:3], -1)
        off, column = (np.concatenate(v, -1).reshape(*x.shape[:3], -1) for v in ((off, off2), (column, column2)))
        words[..., 0] = n = (off != 0).sum(axis=-1)
        place = 16 * (np.arange(2 * quads) // 2 - quads) + np.array(ORDER)[column]
        listed = np.argsort(off == 0, axis=-1, kind="stable")[..., :most]
        entries = np.take_along_axis((place << 16) + (off & 0xFFFF), listed, -1)
        old = words[..., 2 + 3 * quads :][..., :most]
        old[...] = np.where(np.arange(most) < n[..., None], entries, old)
        head = words[..., 1 + 3 * quads]
        head[...] = np.where(n > 0, 128 * off.sum(axis=-1), head)
        return n

    def fields(self) -> dict:
        return {"p": self.p, "columns": self.columns, "q": self.q}


class Crossed(Matmul):
    """A product that reads x as Cross leaves it."""

    TYPES = ("y",)

    def operand(self, env: Env) -> np.ndarray:
        columns = self.w.shape[1]
        quads = up(columns, 4) // 4
        words = env.view(self.x).reshape(-1, self.p, self.q, 1 + 4 * quads)
        x = unquad(words[..., 1 : 1 + 3 * quads].reshape(*words.shape[:3], quads, 3))
        x = x.reshape(*words.shape[:3], 4 * quads)
        entries = words[..., 2 + 3 * quads :]
        for *at, i in np.argwhere(np.arange(longest(quads)) < words[..., :1]):
            entry = entries[(*at, i)]
            place = entry >> 16
            x[(*at, place // 16 * 4 + ORDER[place % 4])] += entry.astype(np.int16)
        pairs = words[..., 1:].reshape(*words.shape[:3], quads, 4)
        pairs = np.stack([*unpair(pairs[..., 0]), *unpair(pairs[..., 2])], -1).reshape(x.shape)
        return np.where(words[..., :1] == PAIRS, pairs, x)[..., :columns].swapaxes(2, 3)

    def starts(self, multiple: int = 1) -> np.ndarray:
        """Biases by row, [rows] or [p, q, rows]; rows filled up to a multiple."""
        bias = np.zeros(len(self.w)) if self.bias is None else self.bias
        bias = bias if bias.ndim == 1 else bias.swapaxes(1, 2)
        return np.pad(bias, [(0, 0)] * (bias.ndim - 1) + [(0, -bias.shape[-1] % multiple)]).astype(np.int32)

    def multipliers(self) -> np.ndarray:
        """One for each row of the groups of 4."""
        mult = np.broadcast_to(self.rq.mult, (len(self.w),))
        return np.pad(mult, (0, -len(mult) % 4)).astype(np.int32)


def packed(w: np.ndarray) -> np.ndarray:
    """int8 [rows, columns] -> words of 4 columns, [groups of 4 rows, quads * 4 rows]."""
    rows, columns = (up(n, 4) for n in w.shape)
    full = np.zeros((rows, columns), np.int64)
    full[: w.shape[0], : w.shape[1]] = w
    groups = (full + 128).reshape(rows // 4, 4, columns // 4, 4).transpose(0, 2, 1, 3)[..., ORDER]
    return np.ascontiguousarray(groups.astype(np.uint8)).view("<u4").reshape(rows // 4, -1)


class MatmulCross(Crossed):
    """Any y.                                                                     C: runtime_c/v7m/matmul_cross.c"""

    FILE = "matmul_cross"

    def fields(self) -> dict:
        rows, columns = self.w.shape
        mult = self.rq.mult.astype(np.int32)
        return {"weights": packed(self.w).ravel(), "bias": self.starts(4).ravel(), "mult": mult,
                "mult_step": int(mult.size > 1), "shift": self.rq.shift,
                "bias_each": int(self.bias is not None and self.bias.ndim > 1),
                "p": self.p, "q": self.q, "rows": rows, "columns": columns,
                "zero": self.zero, "lo": self.lo, "hi": self.hi}  # fmt: skip


class MatmulSums(MatmulCross):
    """One vector to partial sums that do not saturate: MatmulGates can take them over."""


@dataclass(frozen=True)
class MatmulGates(Crossed):
    """One vector, or two, to the whole range of int16, no left shift.            C: runtime_c/v7m/matmul_gates.c

    With h: `first` is the product of x whose sums this one, the product of h, goes on from.
    """

    h: View | None = None
    first: MatmulSums | None = None

    FILE = "matmul_gates"
    READS = ("x", "h", "start")
    TYPES = ()

    def run(self, env: Env) -> None:
        if self.first is None:
            return super().run(env)
        self.first.run(env)
        become(MatmulGates, self, x=self.h, h=None, first=None, start=self.first.y).run(env)

    def macs(self) -> int:
        return super().macs() + (self.first.macs() if self.first else 0)

    def weights(self) -> list[np.ndarray]:
        return super().weights() + (self.first.weights() if self.first else [])

    def fields(self) -> dict:
        calls = [self] if self.first is None else [self.first, self]
        own = {"weights": np.hstack([packed(c.w) for c in calls]).ravel(),
               "bias": None if self.first is None and self.start else calls[0].starts(),
               "mult": np.hstack([c.multipliers().reshape(-1, 4) for c in calls]).ravel()}  # fmt: skip
        return own | {"x_shift": calls[0].rq.shift, "rows": len(self.w), "columns": calls[0].w.shape[1],
                      "h_columns": 0 if self.first is None else self.w.shape[1]}  # fmt: skip


def crossed(f: Fitting, call: Matmul) -> View:
    columns = call.w.shape[1]
    size = call.p * call.q * (1 + up(columns, 4))

    def make(x: View) -> tuple[Kernel, View]:
        name = f.operand_name(x, f"cross{call.q if call.q > 1 else ''}")
        y = f.temporary(name, size, 32)
        return Cross(name, x, y, call.p, columns, call.q), y

    return f.operand(call.x, f"cross {call.p} {call.q}", make)


def flat(v: View) -> View:
    return v.reshape(v.size)


def matmul(f: Fitting, call: Matmul) -> list[Kernel] | None:
    if f.bits(call.x) != 8 or call.w.min(initial=0) < -127 or call.w.shape[1] > MOST_COLUMNS:
        return None
    x = crossed(f, call)
    vector = call.add is None and call.p == call.q == 1 and call.zero == 0
    if vector and f.bits(call.y) == 16 and call.rq.shift == 0 and (call.lo, call.hi) == limits(16):
        first = f.take(MatmulSums, flat(call.start)) if call.start else None
        if first is None:
            return [become(MatmulGates, call, x=x)]
        return [become(MatmulGates, call, x=first.x, h=x, first=first, start=None)]
    if vector and f.bits(call.y) == 32 and call.start is None and call.never_saturates():
        return [become(MatmulSums, call, x=x, y=flat(call.y))]
    return [become(MatmulCross, call, x=x)]


V7M = Isa("v7m", "Armv7-M: cross multiplication", "defined(__ARM_ARCH_7M__)", {Matmul: matmul})
