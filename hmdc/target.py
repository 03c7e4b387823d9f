"""The registry of targets: which core the C is tuned for, and the board that tests it."""

from dataclasses import dataclass

from .isa import ISAS, Isa


@dataclass(frozen=True)
class Target:
    """name: as in --target.  core: for people.  kernels: name in ISAS.  board: in boards/, the one nearest to it."""

    name: str
    core: str
    kernels: str
    board: str | None

    @property
    def isa(self) -> Isa:
        return ISAS[self.kernels]


TARGETS: dict[str, Target] = {
    t.name: t
    for t in (
        Target("cortex-m0", "Arm Cortex-M0", "v6m", "microbit"),
        Target("cortex-m0plus", "Arm Cortex-M0+", "v6m", "microbit"),
        Target("cortex-m3", "Arm Cortex-M3", "v7m", "mps2-an385"),
        Target("cortex-m4", "Arm Cortex-M4 / M4F", "dsp", "mps2-an386"),
        Target("cortex-m7", "Arm Cortex-M7", "dsp", "mps2-an500"),
        Target("cortex-m33", "Arm Cortex-M33", "dsp", "mps2-an505"),
        Target("cortex-m55", "Arm Cortex-M55 with Helium", "mve", "mps3-an547"),
        Target("cortex-m85", "Arm Cortex-M85 with Helium", "mve", "mps3-an547"),
        Target("generic", "any 32-bit core", "portable", None),
    )
}


def fitting(target: str, board: str) -> str:
    """The target whose C a board should run to measure a network that was compiled for `target`.

    That is the same one where the core has its instructions, and for plain C; otherwise the board's own.
    """
    own = next((t for t in TARGETS.values() if t.board == board), TARGETS[target])
    same = TARGETS[target].board is None or TARGETS[target].kernels == own.kernels
    return target if same else own.name
