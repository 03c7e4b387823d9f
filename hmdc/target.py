"""The registry of targets: which core the C is tuned for, and the board that tests it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """name: as in --target.  core: for people.  isa: which variants of the kernels it takes.  board: in boards/."""

    name: str
    core: str
    isa: str
    board: str | None


TARGETS: dict[str, Target] = {
    t.name: t
    for t in (
        Target("cortex-m4", "Arm Cortex-M4 / M4F", "portable C99", "mps2-an386"),
        Target("generic", "any 32-bit core", "portable C99", None),
    )
}
