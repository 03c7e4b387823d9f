"""The registry of structures: name -> Structure."""

from .maps import Dense, LinearMap, Rows

STRUCTURES: dict = {"dense": Dense}

__all__ = ["STRUCTURES", "Dense", "LinearMap", "Rows"]


def describe(structure: str, m: LinearMap) -> str:
    """What a report adds to a map: padding, rich rows."""
    found = STRUCTURES[structure]
    return found.describe(m) if hasattr(found, "describe") else ""
