"""The registry of structures: name -> Structure."""

from .maps import Dense, LinearMap, Rows

STRUCTURES: dict = {"dense": Dense}

__all__ = ["STRUCTURES", "Dense", "LinearMap", "Rows"]
