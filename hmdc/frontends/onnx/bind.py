"""Open axes of the inputs: batch becomes 1, time becomes --steps, the user's --input-shape comes first."""

import onnx

from ...errors import HmdcError
from .fold import RECURRENT, fold
from .folded import Folded

PROBE = 7  # steps that stand in while looking for the time axis
MAX_STEPS = 1 << 16


def bind(model: onnx.ModelProto, steps: int | None, given: dict[str, tuple[int, ...]]) -> Folded:
    """Fold the graph with every axis bound.

    Which open axis is time is found by trying: it is the one that reaches the time axis of a recurrent node.
    """
    shapes = _declared(model, given)
    open_axes = list(dict.fromkeys(d for s in shapes.values() for d in s if isinstance(d, str)))
    error = None
    for time in [None, *open_axes]:
        bound = {
            n: tuple(d if isinstance(d, int) else (steps or PROBE) if d == time else 1 for d in s)
            for n, s in shapes.items()
        }
        try:
            folded = fold(model, bound)
        except HmdcError as e:
            error = error or e
            continue
        if time is None:
            if not open_axes or not _time_is_one(folded):
                return _checked(folded, steps)
            first = folded
        elif _reaches_time(folded, steps or PROBE):
            if steps is None:
                name, axis = next((n, s.index(time)) for n, s in shapes.items() if time in s)
                raise HmdcError(f"axis {axis} of input {name!r} is time and open; say how long it is with --steps N")
            return _checked(folded, steps)
    if error is not None:
        raise error
    return _checked(first, steps)


def _declared(model: onnx.ModelProto, given: dict[str, tuple[int, ...]]) -> dict[str, tuple[int | str, ...]]:
    """Input -> sizes, and names of open axes ('' is a name of its own)."""
    weights = {t.name for t in model.graph.initializer}
    shapes: dict[str, tuple[int | str, ...]] = {}
    for i in model.graph.input:
        if i.name in weights:
            continue
        if not i.type.HasField("tensor_type"):
            raise HmdcError(f"input {i.name!r} is no tensor; export the network with plain tensor inputs")
        dims = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else d.dim_param or f"{i.name}#{k}"
                for k, d in enumerate(i.type.tensor_type.shape.dim)]  # fmt: skip
        if i.name in given:
            dims = _merge(i.name, dims, given[i.name])
        elif not i.type.tensor_type.HasField("shape"):
            raise HmdcError(f"input {i.name!r} has no shape; give it with --input-shape {i.name}=1x49x10")
        shapes[i.name] = tuple(dims)
    unknown = sorted(set(given) - set(shapes))
    if unknown:
        raise HmdcError(f"--input-shape {unknown[0]}: no such input; the inputs are {', '.join(shapes)}")
    return shapes


def _merge(name: str, dims: list, given: tuple[int, ...]) -> list[int]:
    fits = not dims or (len(dims) == len(given) and all(isinstance(d, str) or d == g for d, g in zip(dims, given)))
    if not fits or min(given) < 1:
        raise HmdcError(f"--input-shape {name}={'x'.join(map(str, given))} does not fit the model's {dims}")
    return list(given)


def _recurrent_inputs(f: Folded) -> list[tuple[int, ...]]:
    """[steps, batch, size] of the data input of every recurrent node."""
    out = []
    for n in f.nodes:
        if n.op_type in RECURRENT and n.domain == "" and len(f.shapes.get(n.input[0], ())) == 3:
            shape = f.shapes[n.input[0]]
            batch_first = any(a.name == "layout" and a.i for a in n.attribute)
            out.append((shape[1], shape[0], shape[2]) if batch_first else shape)
    return out


def _time_is_one(f: Folded) -> bool:
    return any(s[0] == 1 for s in _recurrent_inputs(f))


def _reaches_time(f: Folded, steps: int) -> bool:
    found = _recurrent_inputs(f)
    return bool(found) and all(s[0] == steps and s[1] == 1 for s in found)


def _checked(f: Folded, steps: int | None) -> Folded:
    for s in _recurrent_inputs(f):
        if not 0 < s[0] <= MAX_STEPS:
            raise HmdcError(
                f"the recurrent layers run {s[0]} steps; 1 to {MAX_STEPS} are compiled: take shorter sequences"
            )
        if s[1] != 1:
            raise HmdcError(f"the recurrent layers get a batch of {s[1]} sequences; a microcontroller runs one stream: "
                            "export with batch 1 or a dynamic batch axis")  # fmt: skip
        if steps is not None and s[0] != steps:
            raise HmdcError(f"--steps {steps} contradicts the model, whose recurrent layers run {s[0]} steps")
    return f
