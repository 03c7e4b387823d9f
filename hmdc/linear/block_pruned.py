"""Block pruning (Narang et al., arXiv 1711.02782): of a grid of blocks, those of largest norm stay.

density * m * n parameters and MACs, in blocks that a kernel reads without an index for each entry; the blocks at the
right and lower edge are cut off.  Weighted: an entry counts as |w| sqrt(E[x^2]) of its input.
"""

import numpy as np

from ..errors import HmdcError
from .base import Structure, expect, fraction, take
from .maps import BlockSparse


class BlockPruned(Structure):
    """density: share of the blocks that stay.  block: (rows, columns)."""

    name = prefix = "block_pruned"
    weighted = True

    def decompose(self, w, *, moment=None, density: float, block: tuple = (4, 4)):
        r, k = block = self._block(block, w.shape)
        grid = -(-w.shape[0] // r), -(-w.shape[1] // k)
        score = np.zeros((grid[0] * r, grid[1] * k))
        score[: w.shape[0], : w.shape[1]] = w**2 if moment is None else w**2 * np.diag(moment)
        norms = score.reshape(grid[0], r, grid[1], k).sum(axis=(1, 3))
        kept = np.zeros(norms.size, bool)
        kept[np.argsort(-norms, axis=None, kind="stable")[: fraction(self, "density", density, norms.size)]] = True
        mask = kept.reshape(grid).repeat(r, axis=0).repeat(k, axis=1)[: w.shape[0], : w.shape[1]]
        return BlockSparse(np.where(mask, w, 0.0), block)

    def _block(self, block, shape) -> tuple[int, int]:
        pair = isinstance(block, (tuple, list)) and len(block) == 2
        if not pair or not all(isinstance(b, (int, np.integer)) and 1 <= b <= s for b, s in zip(block, shape)):
            near = tuple(min(4, s) for s in shape)
            raise HmdcError(f"block_pruned(block={block!r}): must be (rows, columns) within {shape[0]}x{shape[1]}; "
                            f"nearest to the usual is {near}")  # fmt: skip
        return int(block[0]), int(block[1])

    def tiers(self, shape, ratio, block=(4, 4)):
        """Counts whole blocks, as if none that stays were at an edge: at least the ratio, whatever stays."""
        (m, n), (r, k) = shape, self._block(block, shape)
        cells = -(-m // r) * -(-n // k)
        fixed = {} if block == (4, 4) else {"block": block}
        yield (({"density": c / cells, **fixed}, min(c * r * k, m * n)) for c in range(1, cells + 1))

    def factors(self, m):
        return {"block_pruned.w": m.w, "block_pruned.block": np.array(m.block)}

    def from_factors(self, factors, shape):
        w, block = take(self, factors, ["w", "block"])
        expect(self, "w", w, shape)
        expect(self, "block", block, (2,))
        return BlockSparse(w, self._block(tuple(int(b) for b in block), shape))

    def form(self, m):
        r, k = m.block
        return f"density {np.count_nonzero(m.w) / m.w.size:.3g} in {r}x{k} blocks"
