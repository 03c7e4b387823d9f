"""Which structure each weight matrix gets."""

from .cells import CELLS
from .linear import Dense, LinearMap
from .model import Model


def apply(model: Model) -> dict[str, LinearMap]:
    """Matrix name -> map, for every matrix: NAME.w and NAME.u of a recurrent layer, NAME of a dense one."""
    maps: dict[str, LinearMap] = {}
    for node in model.nodes:
        if node.op in CELLS:
            maps |= {f"{node.name}.{k}": Dense(node.weights[k]) for k in ("w", "u")}
        elif node.op == "dense":
            maps[node.name] = Dense(node.weights["w"])
    return maps
