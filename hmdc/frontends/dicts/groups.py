"""Tensors that belong together by the beginning of their names."""

from dataclasses import dataclass, field

import numpy as np

from ...errors import HmdcError


@dataclass
class Group:
    """The tensors whose names begin with `prefix`, by the last part of the name."""

    prefix: str
    tensors: dict[str, np.ndarray]
    used: set[str] = field(default_factory=set)

    def full(self, leaf: str) -> str:
        return f"{self.prefix}.{leaf}" if self.prefix else leaf

    def get(self, leaf: str, *shape: int | None) -> np.ndarray:
        """A tensor of that shape; None: any size."""
        self.used.add(leaf)
        a = self.tensors.get(leaf)
        if a is None:
            raise HmdcError(f"tensor {self.full(leaf)!r} is missing; save the whole network again")
        if a.ndim != len(shape) or any(want not in (None, n) for want, n in zip(shape, a.shape)) or 0 in a.shape:
            wanted = ", ".join("any" if n is None else str(n) for n in shape)
            raise HmdcError(f"tensor {self.full(leaf)!r} has shape {list(a.shape)} where [{wanted}] fits; "
                            "save the whole network again")  # fmt: skip
        return a

    def optional(self, leaf: str, *shape: int | None) -> np.ndarray | None:
        return self.get(leaf, *shape) if leaf in self.tensors else None

    def factors(self, place: str = "") -> dict[str, np.ndarray]:
        """Those that hmdc.torch trained, as a Node names them, e.g. wu.i.kron.0.  place: l0_reverse, or none."""
        start = f"factors.{place}." if place else "factors."
        found = {k: a for k, a in self.tensors.items() if k.startswith(start)}
        self.used |= found.keys()
        return {k.removeprefix(start): a for k, a in found.items()}

    def done(self) -> None:
        """Nothing is left over: what no layer of ours computes with would be ignored in silence."""
        for leaf in self.tensors:
            if leaf not in self.used:
                raise unknown(self.full(leaf), self.tensors[leaf])


def unknown(name: str, a: np.ndarray) -> HmdcError:
    return HmdcError(f"tensor {name!r} {list(a.shape)} belongs to no layer that is read from names; export the network "
                     f"as ONNX, or, if the network does not use it, write ignore = [{quoted(name)}] in a file "
                     "for --architecture")  # fmt: skip


def quoted(text: str) -> str:
    """A TOML string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
