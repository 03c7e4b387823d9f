"""What folding an ONNX graph finds: its constants, shapes and the nodes that are left."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ...errors import HmdcError

MAX_CONSTANTS = 1 << 23  # numbers in all constants together: no microcontroller has as many bytes
MAX_VALUES = 1 << 25  # numbers in all values that depend on the inputs


@dataclass
class Folded:
    """A graph with static shapes.  nodes: those that depend on the inputs and lead to the outputs."""

    inputs: dict[str, tuple[int, ...]]
    outputs: list[str]
    nodes: list[onnx.NodeProto]
    opset: int
    producer: str
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)  # values that the nodes so far may read
    numbers: dict[int, int] = field(default_factory=dict)  # limit -> numbers that count toward it so far
    quantized: dict[str, tuple] = field(default_factory=dict)  # values held as integers in the file, see quantized.py

    def set_constant(self, name: str, value: np.ndarray) -> None:
        self.constants[name] = value
        self.shapes[name] = value.shape
        self.types[name] = helper.np_dtype_to_tensor_dtype(value.dtype)

    def count(self, what: str, shape: tuple[int, ...], most: int) -> None:
        """Refuse what a small file can make large."""
        if min(shape, default=1) < 0:
            raise HmdcError(f"{what} has shape {list(shape)}; export the network again")
        self.numbers[most] = self.numbers.get(most, 0) + prod(shape)
        if self.numbers[most] > most:
            raise HmdcError(f"{what} has shape {list(shape)}, {self.numbers[most]} numbers with all before it; "
                            f"at most {most} are compiled: take a smaller network or a shorter sequence")  # fmt: skip

    def weights(self, t: onnx.TensorProto) -> np.ndarray:
        """The numbers of an initializer."""
        self.count(f"weights {t.name!r}", tuple(t.dims), MAX_CONSTANTS)
        try:
            a = numpy_helper.to_array(t)
        except Exception as e:  # whatever numpy says of data that do not fill the shape
            raise HmdcError(
                f"weights {t.name!r} of shape {list(t.dims)} cannot be read: {e}; export the network again"
            ) from e
        if a.dtype.kind in "OSUc":
            raise HmdcError(f"weights {t.name!r} have type {a.dtype}; export the network with float weights")
        return a

    def add_constant(self, like: str, value: np.ndarray) -> str:
        """A constant that the file does not have, under a name of its own."""
        name = like
        while name in self.known:
            name += "+"
        self.known.add(name)
        self.set_constant(name, np.asarray(value))
        return name


def label(node: onnx.NodeProto) -> str:
    """What messages call a node."""
    op = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
    return f"node {node.name or next(filter(None, node.output), '')!r} ({op})"


@contextmanager
def told(node: onnx.NodeProto) -> Iterator[None]:
    """What a malformed node breaks is told with its name."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as e:
        reason = (str(e).splitlines() or [""])[0][:120]
        raise HmdcError(f"{label(node)} has inputs, outputs or attributes that do not fit ({reason}); "
                        "export the network again") from e  # fmt: skip
