"""Translators of what other exporters than PyTorch's write, and of layers that read tokens or whole sequences."""

from .graph import attributes, refuse, translator
from .layers import slice_axis


@translator("ReverseSequence")
def _reverse(g, node):
    """Keras go_backwards: the whole sequence in reverse."""
    a, shape = attributes(node), g.shape(node.input[0])
    time, batch = a.get("time_axis", 0), a.get("batch_axis", 1)
    lengths = g.constant(node.input[1])
    if lengths is None or not (lengths == shape[time]).all() or {time, batch} != {0, 1}:
        raise refuse(node, "reverses sequences of different lengths", "export with full-length sequences")
    n = shape[time]
    slice_axis(g, node, node.input[0], node.output[0], time, n - 1, -1, -1)
