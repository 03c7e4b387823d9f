"""What every kernel is: a frozen dataclass whose View fields say what it reads and writes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..errors import HmdcError
from ..intmath import INT32_MAX, Requant, limits, quantize_rows, round_half_up
from ..program import SUM, Buffer, Env, Program, View


@dataclass(frozen=True)
class Const:
    """A constant array with a name of its own in C; equal ones are stored once."""

    name: str
    values: np.ndarray


SUM_BITS = 30  # partial sums saturate here: one of them, a requantized product and a zero point add up within int32


Rounding = Callable[[np.ndarray, np.ndarray | float, np.ndarray], np.ndarray]  # see hmdc/rounding.py


class Quantizer:
    """What a kernel may ask while it turns into integers: the quantized buffer behind a view, and new partial sums."""

    def __init__(self, program: Program, buffers: dict[str, Buffer], rounding: Rounding | None = None):
        self.program, self.buffers, self.rounding = program, buffers, rounding
        self.peaks: dict[str, int] = {}  # buffers of int32 sums -> proven bound
        self.wishes: dict[str, list[float]] = {}  # buffer of two parts -> log2 of the gain its products want
        self._reach: dict[str, np.ndarray] = {}

    def __getitem__(self, v: View) -> Buffer:
        """Where v crosses parts of different scales, scale and zero are arrays, one value for each of its elements."""
        b = self.buffers[v.buf]
        if not b.parts:
            return b if np.ndim(b.scale) == 0 else replace(b, scale=b.scale[v.offset :][: v.size])
        scales, zeros = (np.repeat([getattr(p, k) for p in b.parts], [p.size for p in b.parts])[v.offset :][: v.size]
                         for k in ("scale", "zero"))  # fmt: skip
        one = len(b.grids(v)) == 1
        return replace(b, parts=(), scale=scales[0] if one else scales, zero=int(zeros[0]) if one else zeros)

    def peak(self, v: View) -> int:
        """Bound on |integer - zero point| in the buffer behind a view."""
        b = self[v]
        return self.peaks.get(v.buf, (1 << (min(b.bits, SUM_BITS) - 1)) + int(np.max(np.abs(b.zero))))

    def set_reach(self, v: View, bounds: np.ndarray) -> None:
        """Real bounds of the int32 sums in v, which may hold several times as many sums."""
        reach = self._reach.setdefault(v.buf, np.zeros(self.buffers[v.buf].size))
        reach[v.offset : v.offset + v.size] = np.resize(bounds, v.size)

    def reach(self, v: View) -> np.ndarray:
        return self._reach[v.buf][v.offset : v.offset + v.size]

    def regrid(self, v: View, steps: np.ndarray) -> None:
        """Give the int32 sums of v a scale for each element: that of the sums which go on from them.

        Where v moves, so do they: along the whole buffer, like the steps of a time block.
        """
        size = self.buffers[v.buf].size
        whole = np.broadcast_to(self.buffers[v.buf].scale, (size,)).copy()
        period = abs(v.advance) or size
        whole.reshape(-1, period)[:, v.offset % period :][:, : v.size] = steps
        self.buffers[v.buf] = replace(self.buffers[v.buf], scale=whole)

    def partial_sums(self, like: View) -> View:
        """An int32 buffer of the same shape and grid as `like`."""
        name = f"{like.buf}_part{len(self.buffers)}"
        self.buffers[name] = Buffer(name, like.size, SUM, scale=self[like].scale)
        return View(name, 0, (like.size,), (1,))


@dataclass(frozen=True)
class Product:
    """Integer constants of a matrix product.  w: int8; bias: int64 with x's zero point folded in, or None."""

    w: np.ndarray
    bias: np.ndarray | None
    rq: Requant
    bound: int  # of every |sum|
    step: np.ndarray  # [rows] or [1], real value of one step of a sum

    @classmethod
    def of(cls, w: np.ndarray, bias: np.ndarray | None, x: Buffer, y: Buffer, per_row: bool,
           least_step: np.ndarray | float = 0.0, gains: np.ndarray | int = 1,
           rounding: Rounding | None = None) -> "Product":  # fmt: skip
        """w: [rows, columns]; bias: [rows] or [p, rows, q]; x, y: quantized buffers, x with one scale or one a column.

        The caller proves the product.
        least_step: smallest real value that a step of a sum may have.  gains: how often each integer column counts.
        rounding: better than to the nearest integers.
        """
        bias = np.zeros(len(w)) if bias is None else bias
        rowwise = (lambda v: v) if bias.ndim == 1 else (lambda v: v[:, None])
        scale, zero = x.scale / gains, x.zero * gains
        unit = np.max(scale)  # columns of finer inputs get weights that are smaller by as much
        given, ratio = w, scale / unit
        w = given * ratio
        # a bias keeps 2 bits of headroom in int32, whatever the weights of its row are
        peak = np.abs(bias) if bias.ndim == 1 else np.abs(bias).max(axis=(0, 2))
        least = np.maximum(peak / 2**29, least_step) / unit
        integers, step = quantize_rows(w, least, per_row)
        shift = Requant.of(step * unit / y.scale).shift
        if shift:  # the left shift, which all rows share, needs its bits in rows of small or no weights too
            integers, step = quantize_rows(w, least * 2.0**shift, per_row)
        if rounding is not None:
            integers = rounding(given, ratio, step)
        fold = round_half_up(bias / rowwise(step * unit)) - rowwise((zero * integers.astype(np.int64)).sum(axis=1))
        largest = max(map(abs, limits(x.bits)))
        bound = (np.abs(integers.astype(np.int64)) * gains).sum(axis=1).max() * largest + np.abs(fold).max()
        rq = Requant.of(step * unit / y.scale)
        return cls(integers, fold if fold.any() else None, rq, int(bound), step * unit)

    def result(self) -> int:
        """Bound on the requantized sums."""
        return int(self.bound * (self.rq.mult.max() * 2.0 ** (self.rq.shift - 32))) + 1

    def excess(self) -> int:
        """Bits by which the left shift of the requantization would take sums beyond int32."""
        return max(0, self.rq.shift + 1 - (INT32_MAX // max(1, self.bound)).bit_length()) if self.fits() else 0

    def fits(self) -> bool:
        return self.bound <= INT32_MAX

    def prove(self, name: str) -> None:
        """Raise HmdcError unless every sum fits in int32, shifted left by the requantization too."""
        if not self.fits():
            raise HmdcError(
                f"{name}: sums over a row reach {self.bound}, beyond int32: {self.w.shape[1]} columns are too many "
                f"for this structure and precision; leave the matrix dense or use --precision int8"
            )
        self.rq.prove(self.bound, name)


@dataclass(frozen=True)
class Kernel:
    """One call.  Float while its integer constants are None; `quantize` returns the integer calls that replace it.

    READS, WRITES: names of View fields, in the order of the C arguments.  TYPES: those whose element type selects
    the C instance.  Field `name` becomes the name of the constants in C.
    """

    name: str

    FILE: ClassVar[str] = ""  # in runtime_c, where it is not that of the module
    READS: ClassVar[tuple[str, ...]] = ("x",)
    WRITES: ClassVar[tuple[str, ...]] = ("y",)
    TYPES: ClassVar[tuple[str, ...]] = ("x", "y")

    @classmethod
    def kernel(cls) -> str:
        """Name of the C file in runtime_c, and of its function."""
        return cls.FILE or cls.__module__.rsplit(".", 1)[1]

    def reads(self) -> list[View]:
        return [v for f in self.READS if (v := getattr(self, f)) is not None]

    def writes(self) -> list[View]:
        return [v for f in self.WRITES if (v := getattr(self, f)) is not None]

    def views(self) -> dict[str, View | None]:
        """C arguments in order; a name that is both read and written appears once."""
        return {f: getattr(self, f) for f in dict.fromkeys(self.READS + self.WRITES)}

    def moved(self, f: Callable[[View], View]) -> "Kernel":
        """The same call on other views."""
        return replace(self, **{n: f(v) for n, v in self.views().items() if v is not None})

    def ties(self) -> list[tuple[View, View]]:
        """Pairs of views whose buffers must share one scale and zero point."""
        return []

    def excess(self, q: Quantizer) -> int:
        """By how many bits the steps of y are too fine for integers: log2 of how much coarser they must be."""
        return 0

    def announce(self, q: Quantizer) -> None:
        """Before any call is quantized: tell what other calls have to know."""

    def quantize(self, q: Quantizer) -> list["Kernel"]:
        return [self]

    def run(self, env: Env) -> None:
        raise NotImplementedError

    def macs(self) -> int:
        return 0

    def vectors(self) -> int:
        """Times that the weights are needed."""
        return 1

    def reuse(self) -> int:
        """Vectors that share one read of a weight."""
        return 1

    def weights(self) -> list[np.ndarray]:
        """Arrays that count as weights and biases."""
        return []

    def fields(self) -> dict[str, Any]:
        """The constants of the call, in the order of the C struct: int, float, array, Const, Function, None."""
        return {}

    def c_kernel(self, float_mode: bool) -> str:
        """Name of the runtime_c file that holds this call's function."""
        return self.kernel() + ("_f32" if float_mode else "")


def clamp(q: Buffer, low: float = -np.inf, high: float = np.inf) -> dict[str, int]:
    """Integer bounds of a buffer, narrowed to real bounds (an activation such as ReLU costs nothing there)."""
    lo, hi = limits(min(q.bits, SUM_BITS))
    as_int = lambda v, default: default if np.isinf(v) else int(np.clip(round(v / q.scale) + q.zero, lo, hi))  # noqa: E731
    return {"lo": as_int(low, lo), "hi": as_int(high, hi)}
