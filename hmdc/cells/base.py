"""What a cell is: its float definition, its states, and one time step as kernel calls."""

import numpy as np

from ..build import Builder
from ..model import Node
from ..program import SUM, Format, View


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))


class Cell:
    """Node weights: w [gates*H, I], u [gates*H, H], bw and bu [gates*H], in the order of `gates`; h0, c0 [H] or absent.

    states: names of the carried states, h first.
    """

    gates: tuple[str, ...]
    states: tuple[str, ...] = ("h",)

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

    def step(self, b: Builder, node: Node, state: dict[str, View]) -> None:
        """Emit one step; state as in layers.recurrent.  A carried h wider than state["feed"] is copied to it here."""
        raise NotImplementedError


def preactivations(b: Builder, node: Node, state: dict[str, View], z: View) -> None:
    """z = W x + U h + b for all gates, from sums of W x or from one matrix on [x; h]."""
    if b.is_joined(node.name):
        b.product(f"{node.name}.wu", state["xh"], z, bias=node.weights["bw"] + node.weights["bu"])
    else:
        b.product(f"{node.name}.u", state["feed"], z, **{b.continued(node.name): state["sums"]})


def split(a: np.ndarray, n: int) -> list[np.ndarray]:
    """[samples, n*H] -> n arrays [samples, H]."""
    return np.split(a, n, axis=-1)
