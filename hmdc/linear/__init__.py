"""The registry of structures: name -> Structure."""

from .base import Structure
from .block_pruned import BlockPruned
from .block_term import BlockTerm
from .dense import DenseStructure
from .doped_kronecker import DopedKronecker
from .hierarchical_tucker import HierarchicalTucker
from .hmd import Hmd
from .hybrid_kronecker import HybridKronecker
from .kronecker import Kronecker
from .lowrank import LowRank
from .maps import Dense, LinearMap, Rows
from .pruned import Pruned
from .tensor_ring import TensorRing
from .tensor_train import TensorTrain

STRUCTURES: dict[str, Structure] = {
    s.name: s
    for s in (
        DenseStructure(),
        LowRank(),
        Hmd(),
        Kronecker(),
        HybridKronecker(),
        DopedKronecker(),
        TensorTrain(),
        TensorRing(),
        HierarchicalTucker(),
        Pruned(),
        BlockPruned(),
        BlockTerm(),
    )
}

__all__ = ["STRUCTURES", "Dense", "LinearMap", "Rows", "Structure"]
