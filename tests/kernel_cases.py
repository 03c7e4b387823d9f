"""Random and extreme arguments of every kernel: CASES is the registry that test_kernels.py walks."""

from dataclasses import replace

import numpy as np
from kernel_case import Case

from hmdc import kernels as K
from hmdc.functions import FUNCTIONS, SIGMOID, TANH, clipped, function
from hmdc.intmath import INT32_MAX, Requant, limits, table
from hmdc.kernels.base import SUM_BITS, Product
from hmdc.kernels.log_softmax import TABLES
from hmdc.kernels.softmax import DECAY, STEP
from hmdc.program import TOKEN, View

DERIVED = ("affine(2)", "affine(-0.5,1)", "elu", "hardsigmoid", "leakyrelu(-1e-06)", "scaledtanh(1.7,0.67)",
           "scaledtanh(0.5,-1)", "thresholdedrelu(-10)", "celu(2)", "selu", "swish")  # fmt: skip
# every function, and some of their argument limited
SCALARS = [*FUNCTIONS.values(), *map(function, DERIVED), clipped(TANH, 0.5), clipped(function("leakyrelu(-1e-06)"), 3)]


def accumulate(c: Case) -> K.Kernel:
    n = c.size()
    c.ranges["y"] = (2**16 - INT32_MAX, INT32_MAX - 2**16)
    return K.Accumulate("k", c.view("x", n), c.view("y", n), 1, x_zero=c.zero("x") if c.integer else None)


def add(c: Case) -> K.Kernel:
    n = c.size()
    k = K.Add("k", c.view("a", n), c.view("b", n), c.view("y", n), sign=1 if c.chance() else -1)
    if not c.integer:
        return k
    zeros = tuple(map(c.zero, "aby"))
    rq = tuple(c.requant(2 * c.peak(v, z), c.bits["y"]) for v, z in zip("ab", zeros))
    return replace(k, rq=rq, zeros=zeros, **c.clamp("y"))


def block_spmv(c: Case) -> K.Kernel:
    r, rows, n = int(c.rng.integers(1, 9)), c.size(20), c.columns()  # blocks may be ragged at both ends
    k = int(c.rng.integers(1, min(n, 9) + 1))
    x, y = c.view("x", n), c.view("y", rows)
    grid = c.rng.random((-(-rows // r), -(-n // k))) < c.rng.choice([0.0, 0.3, 0.7, 1.0])
    blocks = np.kron(grid, np.ones((r, k), int))[:rows, :n]
    kept = blocks * (c.rng.random((rows, n)) < c.rng.choice([0.5, 1.0]))  # a kept block may hold zeros
    return c.product(K.BlockSpmv("k", x, y, np.zeros((rows, n)), (r, k), add=c.optional("add", rows)), kept)


def copy(c: Case) -> K.Kernel:
    shape = tuple(c.size(5) for _ in range(c.size(4)))
    return K.Copy("k", c.strided("x", shape), c.strided("y", shape))


def fastgrnn_update(c: Case) -> K.Kernel:
    n = c.size()
    k = K.FastgrnnUpdate("k", c.view("z", n), c.view("h", n), c.reals(n), c.rng.random(), c.rng.random())
    if not c.integer:
        return k
    zeta, nu = (int(c.values(0, 2**14, 1)[0]) for _ in range(2))
    knots = c.knots(SIGMOID, lo=0), c.knots()
    shift = c.values(*limits(16), n).astype(np.int16)
    return replace(k, shift=shift, zeta=zeta, nu=nu, rq=c.requant(2**30, 16), knots=knots)


def gate(c: Case) -> K.Kernel:
    n = c.size()
    k = K.Gate("k", c.view("a", n), c.view("b", n), c.view("y", n), c.optional("add", n))
    if not c.integer:
        return k
    return replace(k, knots=c.knots(SIGMOID), rq=c.requant(2**30, c.bits["y"]), **c.clamp("y"))


def gru_update(c: Case) -> K.Kernel:
    n = c.size()
    k = K.GruUpdate("k", c.view("z", n), c.view("n", n), c.view("h", n))
    return replace(k, rq=c.requant(2**30, 16), knots=(c.knots(SIGMOID, lo=0), c.knots())) if c.integer else k


def load(c: Case) -> K.Kernel:
    n = c.size()
    return K.Load("k", c.view("y", n), c.values(*limits(c.bits["y"]), n) if c.integer else c.reals(n))


def lstm_update(c: Case) -> K.Kernel:
    n = c.size()
    k = K.LstmUpdate("k", c.view("z", 4 * n), c.view("c", n), c.view("h", n))
    if not c.integer:
        return k
    rq_c, rq_h = c.requant(2**30, 16), c.requant(2**30, c.bits["h"])
    own = {"knots": (c.knots(SIGMOID), c.knots(), c.knots()), "c_shift": int(c.rng.integers(16))}
    return replace(k, rq_c=rq_c, rq_h=rq_h, h_bits=c.bits["h"], **own)


def matmul(c: Case) -> K.Kernel | list[K.Kernel]:
    rows, columns = c.size(40), c.columns(70)
    kind = c.rng.random()
    if kind < 0.5:
        return gates(c, K.Matmul("k", c.view("x", columns), c.view("y", rows), np.zeros((rows, columns))))
    if kind < 0.75:
        return factor(c)
    p, q = c.size(7), int(c.rng.choice([1, 1, 2, 3]))
    return each_bias(c, matrices(c, p, q, rows, columns, c.optional("add", p * rows * q)))


def matrices(c: Case, p: int, q: int, rows: int, columns: int, add: View | None = None) -> K.Matmul:
    x, y = c.view("x", p * columns * q), c.view("y", p * rows * q)
    return c.product(K.Matmul("k", x, y, np.zeros((rows, columns)), add=add, p=p, q=q))


def each_bias(c: Case, k: K.Matmul) -> K.Matmul:
    """The same, or with a bias for each output."""
    if k.bias is None or c.chance():
        return k
    return replace(k, bias=k.bias[:, None] * c.rng.choice([-1, 1], (k.p, len(k.bias), k.q)))


def factor(c: Case) -> K.Matmul:
    """A factor of a structure: small, a few vectors, one multiplier."""
    p, q = c.size(3) if c.chance(0.3) else 1, int(c.rng.choice([1, 2, 2, 3]))
    k = matrices(c, p, q, c.size(24), c.size(10))
    return each_bias(c, replace(k, rq=Requant(k.rq.mult[:1], k.rq.shift)) if c.integer else k)


def gates(c: Case, k: K.Matmul) -> K.Kernel | list[K.Kernel]:
    """One vector, as in the cells: alone, going on from given sums, or from those of a product right before it."""
    k = c.product(k)
    rows, room = len(k.w), 2**24
    if c.integer:
        sums = np.abs(k.w.astype(np.int64)).sum(axis=1).max() * c.peak("x")
        room = (INT32_MAX >> k.rq.shift) - int(sums)
    if c.chance() or room < 2**12:
        return k
    k = replace(k, bias=None, start=c.view("start", rows))
    if c.chance():
        most = room // int(c.rng.choice([1, 100, room]))
        c.ranges["start"] = (-most, most)
        return k
    c.temporary.add("start")
    return [first_sums(c, k.start, min(room, 2**24)), k]


def first_sums(c: Case, y: View, most: int) -> K.Kernel:
    """A product into int32 sums within +-most."""
    columns = c.columns(70)
    c.bits["x1"] = c.bits["x"] if c.chance(0.8) else 16
    k = K.Matmul("first", c.view("x1", columns), y, np.zeros((y.size, columns)))
    if not c.integer:
        return c.product(k)
    w, bias, bound = c.rows(c.values(-128, 127, y.size, columns), x="x1")
    ratio = most / max(bound, 1) * c.rng.uniform(0.1, 0.9, y.size if c.chance() else 1)
    lo, hi = limits(SUM_BITS)
    return replace(k, w=w, bias=bias, rq=Requant.of(ratio), lo=lo, hi=hi)


def mul(c: Case) -> K.Kernel:
    n = c.size()
    k = K.Mul("k", c.view("a", n), c.view("b", n), c.view("y", n))
    if not c.integer:
        return k
    za, zb, zy = map(c.zero, "aby")
    return replace(k, rq=c.requant(c.peak("a", za) * c.peak("b", zb), c.bits["y"]), zeros=(za, zb, zy), **c.clamp("y"))


def pool(c: Case) -> K.Kernel:
    p, q, size, dilation, stride = c.size(3), c.size(5), c.size(5), c.size(3), c.size(3)
    reach = (size - 1) * dilation + 1
    before, x_zero = int(c.rng.integers(reach)) if c.chance() else 0, c.zero("x") if c.integer else 0
    n = max(reach - before, 1 + (reach > before + 1)) + c.size(9) - 1
    before = before if any(0 <= k * dilation - before < n for k in range(size)) else 0
    m = (n + before - reach) // stride + 1 if n + before >= reach else 1
    dims = (n, m, size, stride, dilation, before, p, q)
    k = K.Pool("k", c.view("x", p * n * q), c.view("y", p * m * q), ("max", "min", "mean")[c.rng.integers(3)], *dims)
    own = lambda: {"rq": c.requant(size * c.peak("x", x_zero), c.bits["y"]), "x_zero": x_zero, "zero": c.zero("y")}
    return replace(k, **own(), **c.clamp("y")) if c.integer else k


def rank1(c: Case) -> K.Kernel:
    rows, n1 = c.size(), c.columns()
    n2 = int(c.rng.choice([n1, n1 + 1, max(n1 - 1, 0), c.size(), 0]))
    if c.chance(0.1):
        n1, n2 = 0, max(n2, 1)
    x, t, y = c.view("x", n1 + n2), c.view("t", 2), c.view("y", rows)
    w = [c.values(-128, 127, *shape) if c.integer else c.reals(*shape) / shape[1] for shape in ((1, n1), (1, n2))]
    bd, bias = (c.values(-128, 127, rows, 2), None) if c.integer else (c.reals(rows, 2), c.reals(rows))
    dots, own = [], c.bounds()
    if c.integer:
        for i in (0, 1):
            w[i], fold, bound = c.rows(w[i])
            dots.append(Product(w[i], fold if c.chance() else None, c.requant(bound, 16), bound, np.ones(1)))
        bd, bias, bound = c.rows(bd, x="t")
        own = {"rq": c.requant(bound, c.bits["y"]), "zero": c.zero("y"), **c.clamp("y")}
    own |= {"bias": bias if c.chance(0.7) else None, "add": c.optional("add", rows), "dots": tuple(dots)}
    return K.Rank1("k", x, t, y, bd[:, 0], bd[:, 1], w[0][0], w[1][0], **own)


def rescale(c: Case) -> K.Kernel:
    shape = tuple(c.size(5) for _ in range(c.size(4)))
    x, y = c.strided("x", shape), c.strided("y", shape)
    if not c.integer:
        return K.Rescale("k", x, y, factor=c.rng.random(), **c.bounds())
    x_zero, zero = c.zero("x"), c.zero("y")
    peak = c.peak("x", x_zero)
    if c.bits["x"] == 32:
        peak = int(c.rng.choice([1000, 10**7, INT32_MAX]))
        c.ranges["x"] = (-peak, peak)
    return K.Rescale("k", x, y, rq=c.requant(peak, c.bits["y"]), x_zero=x_zero, zero=zero, **c.clamp("y"))


def scale(c: Case) -> K.Kernel:
    p, n, q = c.size(3), c.size(), c.size(3)
    x, y = c.view("x", p * n * q), c.view("y", p * n * q)
    if not c.integer:
        return K.Scale("k", x, y, c.reals(n), c.reals(n), p, q, **c.bounds())
    w, bias, bound = c.rows(c.values(-128, 127, n))
    rq = c.requant(bound, c.bits["y"], n if c.chance() else 1)
    return K.Scale("k", x, y, w, bias, p, q, rq=rq, zero=c.zero("y"), **c.clamp("y"))


def settle(c: Case) -> K.Kernel:
    n = c.size()
    k = K.Settle("k", c.view("x", n), c.view("y", n), c.optional("add", n))
    return replace(k, zero=c.zero("y"), **c.clamp("y")) if c.integer else replace(k, **c.bounds())


def shift(c: Case) -> K.Kernel:
    return K.Shift("k", c.view("x", n := c.size()), c.view("y", n + c.size() - 1))


def softmax(c: Case) -> K.Kernel:
    p, n, q = c.size(3), c.size(12), c.size(3)
    k = K.Softmax("k", c.view("x", p * n * q), c.view("y", p * n * q), n, p, q)
    if not c.integer:
        c.spread = 100.0  # exp of the largest would leave float
        return k
    own = {"zero": -128, "one": 256} if c.bits["y"] == 8 else {"zero": 0, "one": 2**15}
    return replace(k, knots=table(DECAY, STEP, 2.0**-15), rq=c.requant(2**16, 16), **own, **c.clamp("y"))


def spmv(c: Case) -> K.Kernel:
    rows, n = c.size(9), c.columns()
    if c.chance(0.2):  # few entries, far apart: distances below, at and above the 255 of one byte
        n = int(c.rng.integers(250, 1100))
        kept = np.zeros((rows, n), int)
        ends = [i for i in (0, 1, 254, 255, 256, 257, 510, 511, 512, 765, 766, n - 1) if i < n]
        for row in kept:
            row[c.rng.choice(ends, c.rng.integers(1, 5))] = 1
    else:
        kept = (c.rng.random((rows, n)) < c.rng.choice([0.0, 0.1, 0.5, 1.0])).astype(int)
    kept[c.rng.random(rows) < 0.2] = 0  # rows without entries
    x, y = c.view("x", n), c.view("y", rows)
    return c.product(K.Spmv("k", x, y, np.zeros((rows, n)), add=c.optional("add", rows)), kept)


def log_softmax(c: Case) -> K.Kernel:
    p, n, q = c.size(2), c.size(20), c.size(2)
    k = K.LogSoftmax("k", c.view("x", p * n * q), c.view("y", p * n * q), n, p, q)
    if not c.integer:
        c.spread = 100.0  # exp of the largest would leave float
        return k
    down = Requant.of(2.0 ** c.rng.uniform(-4, 13))  # rows all alike, or far beyond the shifts of C
    bound = int(2**16 * 2.0 ** (down.shift - 1)) + 2**19
    return replace(k, tables=TABLES, rq=(down, c.requant(bound, c.bits["y"])), zero=c.zero("y"), **c.clamp("y"))


def lookup(c: Case) -> K.Kernel:
    n, d, p = c.size(), c.size(), c.size()
    x, c.ranges["x"] = c.view("x", p), (-2 * n, 2 * n)  # the C takes any number
    c.buffers["x"] = replace(c.buffers["x"], fmt=TOKEN)
    table = c.values(*limits(c.bits["y"]), n, d).astype(f"int{c.bits['y']}") if c.integer else c.reals(n, d)
    return K.Lookup("k", x, c.view("y", p, d), table)


def swap(c: Case) -> K.Kernel:
    dims = [c.size(6) for _ in range(4)]
    return K.Swap("k", c.view("x", *dims), c.view("y", int(np.prod(dims))), *dims)


def table_(c: Case) -> K.Kernel:
    n = c.size()
    k = K.Table("k", c.view("x", n), c.view("y", n), SCALARS[c.rng.integers(len(SCALARS))])
    if not c.integer:
        return k
    if c.bits["x"] == 8:
        return replace(k, knots=c.values(*limits(c.bits["y"]), 256).astype(f"int{c.bits['y']}"))
    return replace(k, knots=c.knots(), rq=c.requant(2**16, c.bits["y"]), zero=c.zero("y"), **c.clamp("y"))


def normalize(c: Case) -> K.Kernel:
    p, n, q = c.size(2), c.size(20), c.size(2)
    k = K.Normalize("k", c.view("x", p * n * q), c.view("y", p * n * q), n, p, q, centered=c.chance())
    if not c.integer:
        return replace(k, epsilon=c.rng.choice([1e-5, 1.0]), floor=c.rng.choice([1e-30, 1.0]), gain=c.rng.uniform(0, 2))
    peak = n * (c.peak("x") + (128 if c.bits["x"] == 8 else 0))
    fraction = 2 * int(c.rng.integers(0, (62 - int(peak**2).bit_length()) // 2, endpoint=True))
    epsilon, floor = (int(2.0**e) for e in c.rng.choice([0, 8, 30, 61.9], 2))
    reach = 2.0 ** c.rng.uniform(4, 26)  # of y, from one sign alone to far beyond its type
    return replace(k, squares=(epsilon, max(floor, 2**fraction)), fraction=fraction,
                   mult=int(c.rng.integers(2**30, 2**31)), zeros=(c.zero("x"), c.zero("y")), **c.clamp("y"),
                   exponent=int(np.log2(reach / np.sqrt(n))) + fraction // 2 - 29)  # fmt: skip


ANY, NARROW = (8, 16, 32), (8, 16)
# kernel -> its cases, and per integer C file the bits that each type parameter may have
CASES = {
    K.Accumulate: (accumulate, {"accumulate": {"x": NARROW}}),
    K.Add: (add, {"add": {"a": NARROW, "b": NARROW, "y": NARROW}}),
    K.BlockSpmv: (block_spmv, {"block_spmv": {"x": NARROW, "y": ANY}}),
    K.Copy: (copy, {"copy": {"y": ANY}}),
    K.FastgrnnUpdate: (fastgrnn_update, {"fastgrnn_update": {}}),
    K.Gate: (gate, {"gate": {"y": NARROW}}),
    K.GruUpdate: (gru_update, {"gru_update": {}}),
    K.Load: (load, {"load": {"y": ANY}}),
    K.LogSoftmax: (log_softmax, {"log_softmax": {"y": NARROW}}),
    K.Lookup: (lookup, {"lookup": {"y": NARROW}}),
    K.LstmUpdate: (lstm_update, {"lstm_update": {"h": NARROW}}),
    K.Matmul: (matmul, {f: {"x": NARROW, "y": ANY} for f in ("matmul", "matmul_vectors")}),
    K.Mul: (mul, {"mul": {"a": NARROW, "b": NARROW, "y": NARROW}}),
    K.Normalize: (normalize, {"normalize": {"x": NARROW, "y": NARROW}}),
    K.Pool: (pool, {"pool": {"x": NARROW, "y": NARROW}}),
    K.Rank1: (rank1, {"rank1": {"x": NARROW, "y": ANY}}),
    K.Rescale: (rescale, {"rescale": {"x": ANY, "y": NARROW}}),
    K.Scale: (scale, {"scale": {"x": NARROW, "y": NARROW}}),
    K.Settle: (settle, {"settle": {"y": ANY}}),
    K.Shift: (shift, {"shift": {"y": NARROW}}),
    K.Softmax: (softmax, {"softmax": {"y": NARROW}}),
    K.Spmv: (spmv, {"spmv": {"x": NARROW, "y": ANY}}),
    K.Swap: (swap, {"swap": {"y": ANY}}),
    K.Table: (table_, {"table": {"x": (16,), "y": NARROW}, "table8": {"x": (8,), "y": NARROW}}),
}
