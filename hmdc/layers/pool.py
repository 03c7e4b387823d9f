"""Maximum, minimum or mean over windows along one axis; over two axes it is one after the other."""

from math import prod

import numpy as np

from ..errors import NotStreamable
from ..kernels import Pool as PoolKernel
from . import history
from .base import Layer, with_attrs


class Pool(Layer):
    """attrs: axis, kind (max, min, mean), size, stride, dilation, pads (before, after); padding counts as zeros
    of a mean and as nothing else."""

    def reference(self, node, x):
        a, axis = node.attrs, node.attrs["axis"] + 1
        f, filling = {"max": (np.max, -np.inf), "min": (np.min, np.inf), "mean": (np.mean, 0.0)}[a["kind"]]
        x = np.pad(x, [a["pads"] if i == axis else (0, 0) for i in range(x.ndim)], constant_values=filling)
        windows = np.lib.stride_tricks.sliding_window_view(x, (a["size"] - 1) * a["dilation"] + 1, axis)
        windows = windows[(slice(None),) * axis + (slice(None, None, a["stride"]),)][..., :: a["dilation"]]
        return (f(windows, axis=-1),)

    def lower(self, b, node, x):
        x = history.newest(b, node, x)
        a, axis, n = node.attrs, node.attrs["axis"], x.shape[node.attrs["axis"]]
        m = (n + sum(a["pads"]) - (a["size"] - 1) * a["dilation"] - 1) // a["stride"] + 1
        shape = (*x.shape[:axis], m, *x.shape[axis + 1 :])
        x = b.contiguous(f"{node.name}.in", x)
        y = b.output(node.outputs[0], shape, node.name)
        p, q = prod(x.shape[:axis]), prod(x.shape[axis + 1 :])
        b.emit(PoolKernel(node.name, x, y, a["kind"], n, m, a["size"], a["stride"], a["dilation"], a["pads"][0], p, q))
        return (y,)

    def frame(self, node, tags, shapes):
        a, tag = node.attrs, tags[0]
        if tag != a["axis"]:
            return node, tag
        if any(a["pads"]):
            raise NotStreamable(f"{node.name} pads the time axis with {a['pads'][0]} steps in front and "
                                f"{a['pads'][1]} behind; a pool without padding would stream")  # fmt: skip
        steps = (a["size"] - 1) * a["dilation"] + 1
        return with_attrs(history.frame(node, tag, shapes[0][tag], steps, a["stride"], (0, 0)), stride=1), tag
