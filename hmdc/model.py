"""The network as its author thinks of it: layers on named values, in SSA form, in float.

Every frontend produces a Model; nothing after it knows where the network came from.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .errors import HmdcError


@dataclass(frozen=True)
class Node:
    """One layer.  op: a key of layers.OPS.  name: unique, shown to the user.  inputs: value names, '' = absent.

    attrs: plain numbers, strings, booleans and tuples.  weights: float64 arrays; gate order is canonical (see cells).
    A weight w that was trained as a product is followed by its factors w.lowrank.0 and w.lowrank.1.
    source: what the layer was called in the file, for messages.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: dict = field(default_factory=dict)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    source: str = ""

    @property
    def factors(self) -> dict[str, np.ndarray]:
        """Of its weights, by name."""
        return {k: w for k, w in self.weights.items() if "." in k}


@dataclass
class Model:
    """inputs: name -> shape.  nodes: in topological order.  outputs: names of values.  steps: length of the time axis.

    sha256: of the file that the user gave.  path: its name, for messages only.  found: what a file without a
    graph was taken for, rows of a table for people.  integers: inputs that are integers -> least, most.
    factors: of matrices that were trained as products, by the names of recipe.factors.
    """

    inputs: dict[str, tuple[int, ...]]
    nodes: list[Node]
    outputs: list[str]
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    steps: int = 1
    sha256: str = ""
    path: str = ""
    found: list[dict] = field(default_factory=list)
    integers: dict[str, tuple[int, int]] = field(default_factory=dict)
    factors: dict[str, np.ndarray] = field(default_factory=dict)

    def consumers(self) -> dict[str, list[tuple[Node, int]]]:
        """value -> (node, position of the input)."""
        out: dict[str, list[tuple[Node, int]]] = {}
        for node in self.nodes:
            for i, v in enumerate(node.inputs):
                if v:
                    out.setdefault(v, []).append((node, i))
        return out

    def producers(self) -> dict[str, Node]:
        return {v: n for n in self.nodes for v in n.outputs if v}

    def save(self, path: Path) -> None:
        """One .npz: the graph as JSON text, the weights as arrays."""
        arrays, nodes = {}, []
        for i, n in enumerate(self.nodes):
            arrays |= {f"{i}.{k}": w for k, w in n.weights.items()}
            nodes.append({"op": n.op, "name": n.name, "inputs": n.inputs, "outputs": n.outputs, "attrs": n.attrs,
                          "weights": list(n.weights), "source": n.source})  # fmt: skip
        graph = {"inputs": self.inputs, "nodes": nodes, "outputs": self.outputs, "shapes": self.shapes,
                 "steps": self.steps, "sha256": self.sha256, "path": self.path,
                 "integers": self.integers}  # fmt: skip
        np.savez(path, graph=np.array(json.dumps(graph)), **arrays)

    @classmethod
    def restore(cls, path: Path) -> "Model":
        """The inverse of save.  Raises HmdcError when the file is not one."""
        try:
            with np.load(path, allow_pickle=False) as data:
                g = json.loads(str(data["graph"]))
                nodes = [
                    Node(
                        n["op"],
                        n["name"],
                        tuple(n["inputs"]),
                        tuple(n["outputs"]),
                        _tuples(n["attrs"]),
                        {k: data[f"{i}.{k}"] for k in n["weights"]},
                        n["source"],
                    )  # fmt: skip
                    for i, n in enumerate(g["nodes"])
                ]
        except (OSError, KeyError, ValueError) as e:
            raise HmdcError(f"{path} is damaged ({e}); run hmdc compile again") from e
        shapes, integers = _tuples(g["shapes"]), _tuples(g["integers"])
        rest = {k: g[k] for k in ("outputs", "steps", "sha256", "path")}
        return cls(_tuples(g["inputs"]), nodes, shapes=shapes, integers=integers, **rest)


def _tuples(d: dict) -> dict:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in d.items()}
