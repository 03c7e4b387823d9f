"""The registry of structures: name -> decompose(w, **options) -> LinearMap."""

from .maps import Dense, LinearMap

DECOMPOSITIONS = {"dense": Dense}

__all__ = ["DECOMPOSITIONS", "Dense", "LinearMap"]
