"""What an output says: one of several classes, one of two by a single sigmoid, or numbers."""

import numpy as np

from .errors import HmdcError
from .model import Model


def logits(model: Model, output: str) -> str:
    """The value whose softmax an output is, or whose sigmoid where it is a single one; else the output itself."""
    producers, v = model.producers(), output
    while v in producers and producers[v].op == "reshape":
        v = producers[v].inputs[0]
    node = producers.get(v)
    if node is None:
        return output
    single = model.shapes[output][-1:] == (1,) and node.op == "activation" and node.attrs["function"] == "sigmoid"
    return node.inputs[0] if single or node.op in ("softmax", "log_softmax") else output


def classes(model: Model, output: str) -> int:
    """How many; 0: it is a number, no class."""
    n = model.shapes[output][-1] if model.shapes[output] else 1
    return n if n > 1 else 2 * (logits(model, output) != output)


def pick(values: np.ndarray) -> np.ndarray:
    """Real outputs [..., n] -> classes [...]: the largest, or whether a single one is beyond one half."""
    return values.argmax(axis=-1) if values.shape[-1] > 1 else (values[..., 0] > 0.5).astype(int)


def check_labels(labels: np.ndarray | None, model: Model) -> None:
    """Raise HmdcError where labels are no classes of the first output."""
    if labels is None:
        return
    n = classes(model, model.outputs[0])
    if n == 0:
        raise HmdcError(f"labels y are given, but output {model.outputs[0]!r} is a number, no class; leave y out")
    each = model.shapes[model.outputs[0]][:-1]
    if labels[0].size != np.prod(each, dtype=int):
        raise HmdcError(f"labels y have shape {labels.shape}, but output {model.outputs[0]!r} has classes of shape "
                        f"{(len(labels), *(n for n in each if n > 1))}")  # fmt: skip
    if (wrong := (labels < 0) | (labels >= n)).any():
        raise HmdcError(f"labels y have the value {labels[wrong][0]}; output {model.outputs[0]!r} has the classes "
                        f"0 to {n - 1}")  # fmt: skip
