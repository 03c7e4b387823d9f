"""Which layers a file of tensors holds, and in which order: told by the user, or by names and sizes alone.

Where these leave a choice the choice is refused, with the lines of the architecture file that make it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from ...errors import HmdcError
from ...linear import STRUCTURES
from .architecture import Architecture
from .assemble import Layer
from .families import WITHOUT_WEIGHTS, plain, recognize
from .groups import Group, quoted, unknown
from .tensors import Tensors

TRAINING = re.compile(r"(optim|sched|lr_sched|scaler|grad_scaler|criterion|loss)")  # beginnings of names in checkpoints
# hmdc.torch's: lstm.factors.l0.wu.i.kron.0, fc.factors.kron.0
OF_FACTORS = "|".join(s.prefix for s in STRUCTURES.values())
FACTOR = re.compile(rf"(?:(.+)\.)?(factors\.(?:l\d{{1,3}}(?:_reverse)?\.wu\.\w\.)?(?:{OF_FACTORS})\..+)")
MAX_GROUPS, MAX_TRIES = 256, 20_000


def find(tensors: Tensors, told: Architecture) -> list[Layer]:
    """The layers from the input to the output.  Raises HmdcError naming the choices."""
    groups = _groups(tensors, told)
    if told.layers is not None:
        return _as_told(groups, told)
    layers = [recognize(g, {}) for g in groups.values()]
    if not any(layer.recurrent for layer in layers):
        names = ", ".join(str(layer) for layer in layers)[:300]
        raise HmdcError(f"no recurrent layer is found by name, only {names}; weights are called as in PyTorch "
                        "(weight_ih_l0, ...), EdgeML or Keras: rename them, or export the network as ONNX")  # fmt: skip
    _check_choices(layers)
    layers = _ordered(_with_embedding(layers, groups, tensors.ordered), tensors.ordered, told)
    _check_activations(layers)
    at = 1 + max(i for i, layer in enumerate(layers) if layer.recurrent)
    if "bidirectional" in layers[at - 1].note:
        choices = ("last", "final", "mean")
        raise HmdcError(f"{layers[at - 1]} is bidirectional and the file does not tell what is read of it: its output "
                        "at the last step (last), the last states of both directions (final), the mean, or every "
                        f"step (leave it out); {write(layers[:at], ' | '.join(choices), layers[at:])}")  # fmt: skip
    return [*layers[:at], replace(plain("last", {}), note="assumed; or final, mean, nothing"), *layers[at:]]


def write(before: Sequence[Layer], choice: str, after: Sequence[Layer], weights: str | None = None) -> str:
    """What to write, with the place of the choice.  weights: of the layer to choose."""
    named = "" if weights is None else f", weights = {quoted(weights)}"
    chosen = [f'{{type = "{choice}"{named}}}'] if choice else []
    return "write in a file for --architecture: " + _toml([*map(entry, before), *chosen, *map(entry, after)])


def _toml(entries: Sequence[str]) -> str:
    return f"layer = [{', '.join(entries)}]"


def entry(layer: Layer) -> str:
    """The table of a layer in the architecture file."""
    weights = f", weights = {quoted(layer.weights)}" if layer.weights or layer.type not in WITHOUT_WEIGHTS else ""
    return f'{{type = "{layer.type}"{weights}{layer.choices}}}'


def _groups(tensors: Tensors, told: Architecture) -> dict[str, Group]:
    """Tensors by the beginning of their names, without those of the training and those to ignore."""
    groups: dict[str, Group] = {}
    start = f"{told.prefix}." if told.prefix else ""
    for name, a in tensors.arrays.items():
        name, inside = name.removeprefix(start), name.startswith(start)
        if not inside or TRAINING.match(name) or any(fnmatchcase(name, p) for p in told.ignore):
            continue
        factor = FACTOR.fullmatch(name)
        prefix, leaf = factor.groups("") if factor else name.rpartition(".")[::2]
        groups.setdefault(prefix, Group(prefix, {})).tensors[leaf] = a
    if not groups:
        raise HmdcError(f"no tensor is left to read with prefix {told.prefix!r}; there are "
                        f"{', '.join(list(tensors.arrays)[:8])[:300]}")  # fmt: skip
    if len(groups) > MAX_GROUPS:
        raise HmdcError(f"the file holds {len(groups)} layers; the most is {MAX_GROUPS}: say which in a file for "
                        "--architecture (prefix, ignore)")  # fmt: skip
    return groups


def _as_told(groups: dict[str, Group], told: Architecture) -> list[Layer]:
    layers, used = [], set()
    for table in told.layers:
        kind, prefix = table["type"], table.get("weights")
        if prefix is None:
            layers.append(plain(kind, table))
            continue
        if prefix not in groups:
            raise HmdcError(f"--architecture: no tensor is called {prefix}.*; there are {', '.join(groups)[:300]}")
        used.add(prefix)
        layers.append(layer := recognize(groups[prefix], table))
        both = "bidirectional" in layer.note
        if layer.type != kind:
            raise HmdcError(f"--architecture: the tensors {prefix}.* are those of type {layer.type!r}, not {kind!r}")
        if table.get("bidirectional", both) != both:
            raise HmdcError(f"--architecture: the tensors {prefix}.* say bidirectional = {str(both).lower()}")
    for prefix, g in groups.items():
        if prefix not in used:
            raise unknown(g.full(leaf := next(iter(g.tensors))), g.tensors[leaf])
    return layers


def _ordered(layers: list[Layer], by_use: bool, told: Architecture) -> list[Layer]:
    """The one order in which sizes fit; where the file lists layers in the order of use, that one."""
    fits = lambda row: (
        all(a.outputs == b.inputs for a, b in zip(row, row[1:])) and row[0].inputs == (told.input or row[0].inputs)
    )
    if by_use:
        if fits(layers):
            return layers
        sizes = ", ".join(f"{layer} {layer.inputs} -> {layer.outputs}" for layer in layers)[:400]
        raise HmdcError(f"the layers do not fit in the order of the file: {sizes}; {write(layers, '', ())} in the "
                        "right order")  # fmt: skip
    found = list(_chains(layers, told.input))
    if len(found) == 1:
        return found[0]
    if not found:
        sizes = ", ".join(f"{layer} {layer.inputs} -> {layer.outputs}" for layer in layers)[:400]
        raise HmdcError(f"the layers fit in no order, every one used once: {sizes}; ignore those that the network "
                        "does not use, or say the order, in a file for --architecture")  # fmt: skip
    raise HmdcError(f"the layers fit in several orders; {write(found[0], '', ())} or {_toml(map(entry, found[1]))}")


def _chains(layers: list[Layer], size: int | None) -> Iterator[list[Layer]]:
    """At most two orders in which sizes fit."""
    tries, found = 0, 0

    def extend(row: list[Layer], left: list[Layer]):
        nonlocal tries, found
        tries += 1
        if tries > MAX_TRIES:
            raise HmdcError(f"the order of {len(layers)} layers is not clear from their sizes; "
                            f"{write(layers, '', ())} in the right order")  # fmt: skip
        if not left:
            found += 1
            yield row
            return
        wanted = row[-1].outputs if row else size
        for i, layer in enumerate(left):
            if wanted in (None, layer.inputs) and found < 2:
                yield from extend([*row, layer], [*left[:i], *left[i + 1 :]])

    return extend([], layers)


def _with_embedding(layers: list[Layer], groups: dict[str, Group], by_use: bool) -> list[Layer]:
    """A first matrix that fits as a table of tokens and not as a dense layer is one."""
    table, g = layers[0], next(iter(groups.values()))
    if not by_use or len(layers) < 2 or table.type != "dense" or "bias" in g.tensors:
        return layers
    if table.inputs == layers[1].inputs != table.outputs:
        return [recognize(g, {"type": "embedding"}), *layers[1:]]
    if table.inputs == layers[1].inputs:
        raise HmdcError(f"the file does not tell whether {g.full('weight')!r} {list(g.tensors['weight'].shape)} is a "
                        "table of tokens or a dense layer: "
                        f"{write([], 'embedding | dense', layers[1:], table.weights)}")  # fmt: skip
    return layers


def _check_choices(layers: list[Layer]) -> None:
    if any(layer.choices for layer in layers):
        raise HmdcError("the file does not tell strides and padding of convolutions, which norm a norm is, nor what "
                        "comes between layers; "
                        f"{write(layers, '', ())} with the right numbers, activations such as {{type = \"relu\"}}, and "
                        'what is read of the steps: {type = "last"}, "final" or "mean"')  # fmt: skip


def _check_activations(layers: list[Layer]) -> None:
    """Two dense layers, or a dense layer before a cell, with nothing between them: an activation is most likely."""
    for i, (a, b) in enumerate(zip(layers, layers[1:])):
        if a.type == "dense" and (b.type == "dense" or b.recurrent):
            raise HmdcError(f"the file does not tell which activation comes between {a} and {b}: relu, sigmoid, tanh "
                            f"or none (leave it out); {write(layers[: i + 1], 'relu', layers[i + 1 :])} and say "
                            'what is read of the steps: {type = "last"}, "final" or "mean"')  # fmt: skip
