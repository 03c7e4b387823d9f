"""What the papers promise, held against the measured rows, for each network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

WITHIN_DENSE, EQUAL, ROUNDING, TIMES, BYTES = 0.015, 0.005, 0.005, 2.0, 50.0
NOT_MEASURED, IMPOSSIBLE = "not measured yet", "no such size"


@dataclass(frozen=True)
class Seen:
    """One network trained in one way, over all seeds.

    real, int8: mean accuracy of floats and of the C; int8 and instructions are None where it fits no board.  spread:
    standard deviation over the seeds, None for one.  error: half of the 95 % confidence interval that the number of
    test items leaves.  Both are of `accuracy`.  impossible: why there is none.
    """

    rows: list[dict]
    impossible: str = ""
    real: float = 0.0
    int8: float | None = 0.0
    spread: float | None = None
    error: float = 0.0
    bytes: float = 0.0
    instructions: float | None = 0.0

    @property
    def accuracy(self) -> float:
        """Of the C, or of floats where there is none."""
        return self.real if self.int8 is None else self.int8


def seen(rows: Sequence[dict]) -> Seen:
    """rows: of one network and method."""
    good = [r for r in rows if "impossible" not in r]
    if not good:
        return Seen(list(rows), rows[0]["impossible"])
    of = lambda key: [r[key] for r in good]
    fits = None not in of("int8_accuracy")
    accuracies, average = of("int8_accuracy" if fits else "float_accuracy"), lambda key: mean(of(key)) if fits else None
    p = mean(accuracies)
    error = 1.96 * (p * (1 - p) / good[0]["items"]) ** 0.5
    return Seen(good, "", mean(of("float_accuracy")), average("int8_accuracy"),
                stdev(accuracies) if len(good) > 1 else None, error, mean(of("bytes")),
                average("instructions"))  # fmt: skip


def table(rows: Sequence[dict]) -> dict[tuple[str, str], Seen]:
    """(network, method) -> what was measured."""
    groups: dict[tuple[str, str], list[dict]] = {}
    for r in rows:
        groups.setdefault((r["network"], r["method"]), []).append(r)
    return {key: seen(group) for key, group in groups.items()}


def same_seeds(found: Sequence[Seen]) -> list[Seen]:
    """The same, of the seeds that all of them have; none where there is no such seed."""
    common = set.intersection(*({r["seed"] for r in s.rows if "impossible" not in r} for s in found))
    return [seen([r for r in s.rows if r["seed"] in common]) for s in found] if common else []


@dataclass(frozen=True)
class Claim:
    """methods: those that it is about, or () for all that are measured.  judge: their rows -> held, and the figure."""

    title: str
    methods: tuple[str, ...]
    judge: Callable[..., tuple[bool, str]]

    def verdict(self, network: str, found: dict[tuple[str, str], Seen]) -> str:
        if self.methods:
            named = [found.get((network, m)) for m in self.methods]
            if any(s is not None and s.impossible for s in named):
                return IMPOSSIBLE
            rows = [] if None in named else same_seeds(named)
        else:
            rows = [s for (n, _), s in found.items() if n == network and not s.impossible and s.int8 is not None]
        if not rows:
            return NOT_MEASURED
        held, figure = self.judge(*rows)
        return f"{'held' if held else '**not held**'} ({figure})"


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}"


def _above(a: Seen, b: Seen) -> tuple[bool, str]:
    return a.accuracy > b.accuracy, _points(a.accuracy - b.accuracy)


def _near_dense(a: Seen, dense: Seen) -> tuple[bool, str]:
    return a.int8 >= dense.int8 - WITHIN_DENSE, _points(a.int8 - dense.int8)


def _faster(hmd: Seen, *pruned: Seen) -> tuple[bool, str]:
    """Than the fastest that is as accurate; where none is, one that were would take more than the largest."""
    equal = [p for p in pruned if p.int8 >= hmd.int8 - EQUAL] or [max(pruned, key=lambda p: p.bytes)]
    times = min(p.instructions for p in equal) / hmd.instructions
    return times >= TIMES, f"{times:.2f}x"


def _smaller(a: Seen, dense: Seen) -> tuple[bool, str]:
    """The layer as compiled, against 4 bytes for each number of its matrices."""
    times = 4 * dense.rows[0]["layer_parameters"] / a.rows[0]["layer_bytes"]
    return times >= BYTES, f"{times:.0f}x"


def smallest(network: str, found: dict[tuple[str, str], Seen]) -> str | None:
    """What it takes to stay near dense: the method of the fewest bytes, of these the best, "" where none does.

    None where nothing is to be compared: dense or all others are not measured, or fit no board.
    """
    own = {m: s for (n, m), s in found.items() if n == network and not s.impossible and s.int8 is not None}
    if "dense" not in own or len(own) < 2:
        return None
    pairs = {m: same_seeds([s, own["dense"]]) for m, s in own.items() if m != "dense"}
    near = [m for m, pair in pairs.items() if pair and _near_dense(*pair)[0]]
    return min(near, key=lambda m: (own[m].bytes, -own[m].accuracy), default="")


def _integers(*rows: Seen) -> tuple[bool, str]:
    worst = min(r.int8 - r.real for r in rows)
    return worst >= -ROUNDING, f"worst of {len(rows)}: {_points(worst)}"


CLAIMS = [
    Claim("HMD 2x above low-rank of equal size", ("hmd_2x", "lowrank_2x"), _above),
    Claim("HMD 2x: 2 times fewer instructions than pruned at equal accuracy",
          ("hmd_2x", "pruned_2x", "pruned_4x", "pruned"), _faster),
    Claim("Kronecker within 1.5 points of dense", ("kronecker", "dense"), _near_dense),
    Claim("Kronecker, trained longer, within 1.5 points of dense", ("kronecker_longer", "dense"), _near_dense),
    Claim("Kronecker layer in int8 50 times smaller than in float32", ("kronecker", "dense"), _smaller),
    *(Claim(f"Kronecker above {words} of equal size", ("kronecker", method), _above)
      for method, words in (("small", "small dense"), ("pruned", "pruned"), ("lowrank", "low-rank"))),
    *(Claim(f"Hybrid Kronecker {n}x above Kronecker", (f"hybrid_{n}x", "kronecker"), _above) for n in (10, 20)),
    Claim("Hierarchical Tucker above dense (floats, fewer epochs)", ("hierarchical_tucker", "dense"), _above),
    *(Claim(f"Hierarchical Tucker above {words} of no smaller size", ("hierarchical_tucker", method), _above)
      for method, words in (("tensor_train_joined", "tensor train"), ("tensor_ring", "tensor ring"),
                            ("block_term", "block term"))),
    Claim("int8 within 0.5 points of float", (), _integers),
]  # fmt: skip
