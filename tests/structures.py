"""For every structure: random factors of matrices that have it, and those matrices by the formula of the paper."""

import numpy as np

from hmdc.linear import STRUCTURES
from hmdc.linear.pruned import largest

SHAPES = ((12, 20), (40, 68), (37, 13), (30, 31))  # the last two are awkward: primes


def modes(name, shape, **more):
    """m, n of three modes (two where a dimension is small) and random cores for them, padded where needed."""
    s = STRUCTURES[name]
    m, n, rich = s.modes(shape, None, None)
    assert rich == 0
    return {"m": m, "n": n, **more}


def random_cores(name, shape, rng, **more):
    options = modes(name, shape, **more)
    shapes = STRUCTURES[name].shapes(**options)
    return options, {f"{STRUCTURES[name].prefix}.{k}": rng.standard_normal(s) for k, s in shapes.items()}


def kronecker(shape, rng, prefix="kron", rich=0):
    _, pairs = STRUCTURES["kronecker"].default((shape[0] - rich, shape[1]), rich=False, pad=rich == 0)
    cores = {f"{prefix}.{k}": rng.standard_normal(p) for k, p in enumerate(pairs)}
    if rich:
        return {"rows": rich}, cores | {f"{prefix}.rich": rng.standard_normal((rich, shape[1]))}
    return {"shapes": pairs}, cores


def doped(shape, rng):
    _, cores = kronecker(shape, rng, "doped")
    count = max(1, shape[0] * shape[1] // 50)
    keep = largest(np.ones(shape), count, rng.random(shape))
    return {"density": count / keep.size}, cores | {"doped.sparse": 5 * keep * rng.choice([-1, 1], shape)}


def sparse(name, shape, rng):
    w = largest(rng.standard_normal(shape), shape[0] * shape[1] // 5, rng.random(shape))
    return {"density": np.count_nonzero(w) / w.size}, {f"{name}.w": w}


def block_sparse(shape, rng):
    grid = -(-shape[0] // 4), -(-shape[1] // 4)
    kept = largest(np.ones(grid), max(1, grid[0] * grid[1] // 4), rng.random(grid))
    w = rng.standard_normal(shape) * kept.repeat(4, 0).repeat(4, 1)[: shape[0], : shape[1]]
    factors = {"block_pruned.w": w, "block_pruned.block": np.array([4, 4])}
    return {"density": np.count_nonzero(kept) / kept.size}, factors


def hmd(shape, rng):
    m, n = shape
    sizes = {"rich": (3, n), "b": m - 3, "d": m - 3, "c": n // 2, "e": n - n // 2}
    return {"rows": 3}, {f"hmd.{k}": rng.standard_normal(s) for k, s in sizes.items()}


def low_rank(shape, rng):
    sizes = ((shape[0], 4), (4, shape[1]))
    return {"rank": 4}, {f"lowrank.{i}": rng.standard_normal(s) for i, s in enumerate(sizes)}


# name -> (shape, rng) -> (options that decompose needs, factors)
EXAMPLES = {
    "dense": lambda shape, rng: ({}, {"dense.w": rng.standard_normal(shape)}),
    "lowrank": low_rank,
    "hmd": hmd,
    "kronecker": kronecker,
    "hybrid_kronecker": lambda shape, rng: kronecker(shape, rng, "hkp", 1 if shape[0] % 2 else 2),
    "doped_kronecker": doped,
    "tensor_train": lambda shape, rng: random_cores("tensor_train", shape, rng, rank=3),
    "tensor_ring": lambda shape, rng: random_cores("tensor_ring", shape, rng, rank=2),
    "hierarchical_tucker": lambda shape, rng: random_cores("hierarchical_tucker", shape, rng, rank=3),
    "block_term": lambda shape, rng: random_cores("block_term", shape, rng, rank=2, terms=2),
    "pruned": lambda shape, rng: sparse("pruned", shape, rng),
    "block_pruned": block_sparse,
}


def _values(factors, *names):
    return [factors[n] for n in names]


def _numbered(factors, prefix):
    return [factors[k] for k in sorted(factors) if k.startswith(prefix) and k.rpartition(".")[2].isdigit()]


def _split(t, m, n):
    """[m1, n1, m2, n2, ...] -> matrix."""
    d = t.ndim // 2
    return t.transpose([*range(0, 2 * d, 2), *range(1, 2 * d, 2)]).reshape(m, n)


def _matrix(t):
    m, n = int(np.prod(t.shape[::2])), int(np.prod(t.shape[1::2]))
    return _split(t, m, n)


def hmd_matrix(f):
    rich, b, d, c, e = _values(f, "hmd.rich", "hmd.b", "hmd.d", "hmd.c", "hmd.e")
    return np.vstack([rich, np.hstack([b[:, None] * c, d[:, None] * e])])


def train_matrix(f):
    t = np.ones((1,))
    for core in _numbered(f, "tt."):
        t = np.tensordot(t, core, 1)
    return _matrix(t[..., 0].reshape([s for c in _numbered(f, "tt.") for s in c.shape[1:3]]))


def ring_matrix(f):
    cores = _numbered(f, "tr.")
    total = 0
    for a in range(len(cores[0])):
        t = cores[0][a]  # [m, n, r]
        for core in cores[1:]:
            t = np.tensordot(t, core, 1)
        total = total + t[..., a]
    return _matrix(total)


def tucker_matrix(f):
    """Three modes: ((0, 1), 2); two modes: the root joins both leaves."""
    leaves, root = _numbered(f, "ht.leaf."), f["ht.root"]
    if len(leaves) == 2:
        return _matrix(np.einsum("abr,cds,rs->abcd", *leaves, root))
    return _matrix(np.einsum("abr,cds,eft,rsu,ut->abcdef", *leaves, f["ht.node.0-1"], root))


def block_term_matrix(f):
    total = 0
    for term in ("bt.0.", "bt.1."):
        leaves = _numbered(f, term)
        formula = "abr,cds,eft,rst->abcdef" if len(leaves) == 3 else "abr,cds,rs->abcd"
        total = total + np.einsum(formula, *leaves, f[term + "core"])
    return _matrix(total)


# name -> factors -> matrix, before it is cropped
FORMULAS = {
    "dense": lambda f: f["dense.w"],
    "lowrank": lambda f: f["lowrank.0"] @ f["lowrank.1"],
    "hmd": hmd_matrix,
    "kronecker": lambda f: np.kron(*_numbered(f, "kron.")),
    "hybrid_kronecker": lambda f: np.vstack([f["hkp.rich"], _cut(np.kron(f["hkp.0"], f["hkp.1"]), f["hkp.rich"])]),
    "doped_kronecker": lambda f: _cut(np.kron(f["doped.0"], f["doped.1"]), f["doped.sparse"], True) + f["doped.sparse"],
    "tensor_train": train_matrix,
    "tensor_ring": ring_matrix,
    "hierarchical_tucker": tucker_matrix,
    "block_term": block_term_matrix,
    "pruned": lambda f: f["pruned.w"],
    "block_pruned": lambda f: f["block_pruned.w"],
}


def _cut(w, like, rows=False):
    return w[: len(like) if rows else None, : like.shape[1]]
