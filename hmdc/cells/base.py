"""What a cell is: its float definition, its states, and one time step as kernel calls."""

import numpy as np

from ..build import Builder
from ..functions import RELU, Function, clipped, function
from ..kernels import Add, Gate, Mul, Rescale, Settle, Table
from ..model import Node
from ..program import GATE, SUM, WIDE, Format, View


class Cell:
    """Node weights: w [gates*H, I], u [gates*H, H], bw and bu [gates*H], in the order of `gates`; h0, c0 [H] or absent.

    attrs: activations, texts of functions.py in the order of `functions`, which are the default, or activation, where
    there is one; clip: limit of the arguments of all but `unclipped`, or absent.
    states: names of the carried states, h first.
    """

    gates: tuple[str, ...]
    states: tuple[str, ...] = ("h",)
    functions: tuple[str, ...] = ()  # the default ones
    unclipped: int | None = None  # which of the functions sees no pre-activation

    def activations(self, node: Node) -> list[Function]:
        """The functions of the cell."""
        given = (node.attrs["activation"],) if "activation" in node.attrs else self.functions
        found, limit = map(function, node.attrs.get("activations", given)), node.attrs.get("clip")
        return [clipped(f, limit) if limit and i != self.unclipped else f for i, f in enumerate(found)]

    def bias(self, node: Node) -> np.ndarray:
        """What is added to W x, [gates*H]."""
        return node.weights["bw"] + node.weights["bu"]

    def formats(self, b: Builder, node: Node) -> dict[str, Format]:
        """The format of each carried state."""
        raise NotImplementedError

    def reference(self, node: Node, x: np.ndarray, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One step in float64.  x: [samples, I], states: [samples, H]."""
        raise NotImplementedError

    def sums(self, b: Builder, node: Node, x: View, steps: int = 1) -> View:
        """W x + bias of that many steps, [steps, gates*H], where the layer's matrices are not joined."""
        w = b.maps[f"{node.name}.w"]
        y = b.buffer(f"{node.name}.sums", (steps, w.shape[0]), SUM)
        w.times(steps).lower(b, f"{node.name}.w", x, y, bias=self.bias(node))
        return y

    def preactivations(self, b: Builder, node: Node, state: dict[str, View], z: View,
                       rows: tuple[int, int] | None = None, part: str = "", h: str = "feed") -> None:  # fmt: skip
        """z = W x + U h + b, from sums of W x or from one matrix on [x; h].

        rows: only these.  part: name of the call where the matrix takes part in several.  h: which state it reads.
        """
        name, (lo, hi) = node.name, rows or (0, z.size)
        if b.is_joined(name):
            return b.product(f"{name}.wu", state["xh"], z, rows, part, bias=self.bias(node)[lo:hi])
        sums = state["sums"].slice(0, lo, hi)
        if not self.apart(b, node):
            return b.product(f"{name}.u", state[h], z, rows, part, **{b.continued(name): sums})
        label = part or f"u{lo}"
        recurrent = b.buffer(f"{name}.{label}_uh", z.shape, WIDE)
        b.product(f"{name}.u", state[h], recurrent, rows, label)
        b.emit(Add(f"{name}.{label}_all", settled(b, f"{name}.{label}_wx", sums), recurrent, z))

    def apart(self, b: Builder, node: Node) -> bool:
        """Whether sums of W x, which have one grid, are added to pre-activations of different ones."""
        formats = {preactivation(f) for i, f in enumerate(self.activations(node)) if i != self.unclipped}
        formats |= {WIDE} if "p" in node.weights else set()
        one = len(formats) == 1 or b.is_joined(node.name) or b.program.precision == "float32"
        return not one and b.continued(node.name) == "add"

    def step(self, b: Builder, node: Node, state: dict[str, View]) -> None:
        """Emit one step; state as in layers.recurrent.  A carried h wider than state["feed"] is copied to it here."""
        raise NotImplementedError


def split(a: np.ndarray, n: int) -> list[np.ndarray]:
    """[samples, n*H] -> n arrays [samples, H]."""
    return np.split(a, n, axis=-1)


# --- pieces of a step with any functions; the usual functions have kernels that do a whole step


def preactivation(f: Function) -> Format:
    """Of the argument of f."""
    return GATE if f.saturating else WIDE


def activate(b: Builder, name: str, f: Function, x: View, y: View | None = None) -> View:
    """y = f(x); by default a new one."""
    y = b.buffer(name, x.shape, Format(16, scale=2.0**-15) if f.bounded else WIDE) if y is None else y
    b.emit(Rescale(name, x, y, low=0.0) if f is RELU else Table(name, x, y, f))
    return y


def gate(b: Builder, name: str, f: Function, a: View, x: View, y: View | None = None) -> View:
    """y = f(a) x; by default a new one.  x has 16 bits."""
    y = b.buffer(name, x.shape, WIDE) if y is None else y
    if f.gates:
        b.emit(Gate(name, a, x, y, gate=f))
    else:
        b.emit(Mul(name, activate(b, f"{name}_gate", f, a), x, y))
    return y


def blend(b: Builder, name: str, f: Function, a: View, new: View, y: View, keep: bool = True) -> None:
    """y = f(a) y + (1 - f(a)) new; keep=False: the other way round, y = f(a) new + (1 - f(a)) y."""
    change = b.buffer(f"{name}_change", y.shape, WIDE)
    there, back = (new, y) if keep else (y, new)
    b.emit(Add(f"{name}_change", back, there, change, sign=-1))
    b.emit(Add(name, there, gate(b, f"{name}_part", f, a, change), y))


def settled(b: Builder, name: str, sums: View) -> View:
    """Partial sums as values."""
    y = b.buffer(name, sums.shape, WIDE)
    b.emit(Settle(name, sums, y))
    return y
