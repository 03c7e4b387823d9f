"""Random choices, and the mutations that any file takes."""

import json

import numpy as np

INTS = [0, 1, -1, 2, -2, 3, 5, 127, 1 << 16, (1 << 31) - 1, -(1 << 31), (1 << 63) - 1, -(1 << 63), 1 << 40]
FLOATS = [0.5, 1.0, 2.0, -0.5, 0.0, 0.1, -2.0, 3.0, 1e-30, 1e30, 3.4e38, float("nan"), float("inf"), -float("inf")]
NAMES = ["", "x", "y", "#1", "a\nb", "\x00", "é", "a" * 300, "../x", "%s", "weight", "bias", "\udcff"]


class Draw:
    """rng: all that is random comes from it."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng

    def int(self, n: int) -> int:
        return int(self.rng.integers(n))

    def chance(self, p: float = 0.5) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, options):
        return options[self.int(len(options))]

    def bytes(self, blob: bytes) -> bytes:
        """Cut, flipped, repeated, or with other bytes."""
        out = bytearray(blob or b"\x00")
        for _ in range(self.pick([1, 1, 2, 4, 8])):
            out = out or bytearray(1)
            at, n = self.int(len(out)), self.int(min(len(out), 16)) + 1
            match self.int(6):
                case 0:
                    out[at] ^= 1 << self.int(8)
                case 1:
                    out[at] = self.pick([0, 1, 0x7F, 0x80, 0xFF, self.int(256)])
                case 2:
                    out[at : at + n] = self.rng.bytes(n)
                case 3:
                    del out[at : at + n]
                case 4:
                    out[at:at] = out[at : at + n]
                case _:
                    del out[at + 1 if self.chance(0.2) else len(out) :]
        return bytes(out)

    def tree(self, value, more: list = ()):
        """JSON with one place of it changed.  more: values that the format knows."""
        value = json.loads(json.dumps(value))
        places = _places(value)
        if not places:
            return value
        where, key = self.pick(places)
        match self.int(5):
            case 0:
                del where[key]
            case 1:
                other, at = self.pick(places)
                where[key] = json.loads(json.dumps(other[at]))
            case 2 if isinstance(where, list):
                where.insert(0, json.loads(json.dumps(where[key])))
            case 2 | 3 if isinstance(where, dict) and more:
                where[str(self.pick(more))] = where.pop(key)
            case _:
                where[key] = self.pick([None, True, [], {}, [None], *INTS, *FLOATS[:8], *NAMES[:-1], *more])
        return value


def _places(value) -> list[tuple]:
    if not isinstance(value, (dict, list)):
        return []
    keys = list(value) if isinstance(value, dict) else range(len(value))
    return [(value, k) for k in keys] + [p for k in keys for p in _places(value[k])]
