"""What folding an ONNX graph finds: its constants, shapes and the nodes that are left."""

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper


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
