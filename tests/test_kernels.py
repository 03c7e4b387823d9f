"""Every kernel: its C gives the bits of its numpy truth, under UBSan, for every legal combination of element types.

Registry-driven: a new kernel needs an entry in CASES.  Another seed: HMDC_SEED=2 pytest tests/test_kernels.py
"""

import os
import re
import subprocess
from dataclasses import replace
from itertools import product

import cffi
import numpy as np
import pytest

from hmdc import kernels as K
from hmdc.errors import HmdcError
from hmdc.functions import FUNCTIONS, RELU, SIGMOID, TANH, Function
from hmdc.intmath import INT32_MAX, Requant, limits, table
from hmdc.kernels.base import SUM_BITS, Const
from hmdc.kernels.softmax import DECAY, STEP
from hmdc.paths import RUNTIME_C
from hmdc.program import Buffer, Env, Format, Program, View, row_major
from hmdc.runtime import instantiate, math_source

SEED = int(os.environ.get("HMDC_SEED", "1"))
ROUNDS = 200
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic", "-Werror"]
COMPILERS = ["gcc", "clang", "arm-none-eabi-gcc"]
DTYPE = {"int8_t": np.int8, "int16_t": np.int16, "int32_t": np.int32, "float": np.float32}


class Case:
    """Random arguments of one call.  types: C argument -> C element type."""

    def __init__(self, rng: np.random.Generator, types: dict[str, str]):
        self.rng, self.buffers, self.spread = rng, {}, 2.0
        self.bits = {name: 8 * DTYPE[t]().itemsize for name, t in types.items()}
        self.integer = "float" not in types.values()
        self.ranges: dict[str, tuple[int, int]] = {}  # contents of buffers whose range is not that of their type

    def chance(self, p: float = 0.5) -> bool:
        return bool(self.rng.random() < p)

    def size(self, most: int = 37) -> int:
        return 1 if self.chance(0.1) else int(self.rng.integers(1, most + 1))

    def view(self, name: str, *shape: int) -> View:
        """One piece of memory inside a larger buffer, whose other elements must survive."""
        before, after = self.rng.integers(0, 4, 2)
        self.buffers[name] = Buffer(name, int(before + np.prod(shape) + after), Format(self.bits[name]))
        return View(name, int(before), shape, row_major(shape))

    def strided(self, name: str, shape: tuple[int, ...]) -> View:
        """Axes permuted, elements skipped, directions reversed."""
        if self.chance(0.2):
            return self.view(name, *shape)
        order = self.rng.permutation(len(shape))
        v = self.view(name, *(2 * shape[a] for a in order)).transpose(np.argsort(order))
        for axis, n in enumerate(shape):
            step = int(self.rng.choice([-2, -1, 1, 2]))
            first = 0 if step > 0 else -step * (n - 1)
            v = v.slice(axis, first, first + step * n, step)
        return v

    def values(self, lo: int, hi: int, *shape: int) -> np.ndarray:
        extremes = [[lo], [hi], [lo, hi]][self.rng.integers(3)]
        return np.resize(extremes, shape) if self.chance() else self.rng.integers(lo, hi, shape, endpoint=True)

    def reals(self, *shape: int) -> np.ndarray:
        return np.float32(self.spread * self.rng.normal(size=shape)).astype(np.float64)

    def contents(self, b: Buffer, samples: int) -> np.ndarray:
        if not self.integer:
            return self.reals(samples, b.size)
        lo, hi = self.ranges.get(b.name, limits(min(b.bits, SUM_BITS)))
        return np.stack([self.values(lo, hi, b.size) for _ in range(samples)])

    def zero(self, name: str) -> int:
        return int(self.rng.integers(-128, 128)) if self.bits[name] == 8 else 0

    def peak(self, name: str, zero: int = 0) -> int:
        return (1 << (self.bits[name] - 1)) + abs(zero)

    def requant(self, bound: int, y_bits: int, rows: int = 1) -> Requant:
        """Anything that hmdc can prove for sums up to `bound`; mostly such that y is neither 0 nor saturated."""
        most = int(INT32_MAX // max(int(bound), 1)).bit_length() - 1
        rq = Requant.of(2.0 ** (min(y_bits, 24) - 1) / max(bound, 1) * self.rng.uniform(0.1, 2, rows))
        if rq.shift > most or self.chance(0.25):
            rq = Requant(self.values(0, INT32_MAX, rows), int(self.rng.integers(0, most, endpoint=True)))
        rq.prove(bound, "case")
        return rq

    def clamp(self, name: str) -> dict[str, int]:
        lo, hi = limits(min(self.bits[name], SUM_BITS))
        if self.chance(0.3):
            lo, hi = sorted(self.rng.integers(lo, hi, 2))
        return {"lo": int(lo), "hi": int(hi)}

    def bounds(self) -> dict[str, float]:
        return [{}, {"low": 0.0}, {"low": -0.5, "high": 1.5}][self.rng.integers(3)]

    def knots(self, f: Function = TANH, lo: int = -32768) -> np.ndarray:
        return table(f, 2.0**-12, 2.0**-15) if self.chance() else self.values(lo, 32767, 257).astype(np.int16)

    def rows(self, n: int, *columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """int8 weights, biases up to the last bit that int32 has room for, and a bound on the sums of each row."""
        w = np.maximum(self.values(-128, 127, n, *columns), -127).astype(np.int8)
        bound = np.abs(w.reshape(n, -1).astype(np.int64)).sum(axis=1) * self.peak("x")
        room = (INT32_MAX - bound) // int(self.rng.choice([1, 100, 10**6]))
        bias = np.array([self.values(-r, r, 1)[0] for r in room])
        return w, bias, np.max(bound + np.abs(bias))


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


def copy(c: Case) -> K.Kernel:
    shape = tuple(c.size(5) for _ in range(c.size(4)))
    return K.Copy("k", c.strided("x", shape), c.strided("y", shape))


def gate(c: Case) -> K.Kernel:
    n = c.size()
    k = K.Gate("k", c.view("a", n), c.view("b", n), c.view("y", n), c.view("add", n) if c.chance() else None)
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
    return replace(k, rq_c=rq_c, rq_h=rq_h, **own, **c.clamp("h"))


def matmul(c: Case) -> K.Kernel:
    p, q, rows = c.size(3), int(c.rng.choice([1, 1, 2, 3])), c.size(9)
    # 515 columns of int16 come within 0.3 % of the end of int32
    columns = 515 if c.integer and c.chance(0.1) else c.size()
    x, y = c.view("x", p * columns * q), c.view("y", p * rows * q)
    end = {"add": c.view("add", p * rows * q) if c.chance() else None, "p": p, "q": q}
    if not c.integer:
        w, bias = c.reals(rows, columns) / columns, c.reals(rows) if c.chance() else None
        return K.Matmul("k", x, y, w, bias, **end, **c.bounds())
    w, bias, bound = c.rows(rows, columns)
    rq = c.requant(bound, c.bits["y"], rows if c.chance() else 1)
    return K.Matmul("k", x, y, w, bias if c.chance(0.7) else None, **end, rq=rq, zero=c.zero("y"), **c.clamp("y"))


def mul(c: Case) -> K.Kernel:
    n = c.size()
    k = K.Mul("k", c.view("a", n), c.view("b", n), c.view("y", n))
    if not c.integer:
        return k
    za, zb, zy = map(c.zero, "aby")
    return replace(k, rq=c.requant(c.peak("a", za) * c.peak("b", zb), c.bits["y"]), zeros=(za, zb, zy), **c.clamp("y"))


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
    w, bias, bound = c.rows(n)
    rq = c.requant(bound, c.bits["y"], n if c.chance() else 1)
    return K.Scale("k", x, y, w, bias, p, q, rq=rq, zero=c.zero("y"), **c.clamp("y"))


def softmax(c: Case) -> K.Kernel:
    p, n, q = c.size(3), c.size(12), c.size(3)
    k = K.Softmax("k", c.view("x", p * n * q), c.view("y", p * n * q), n, p, q)
    if not c.integer:
        c.spread = 100.0  # exp of the largest would leave float
        return k
    own = {"zero": -128, "one": 256} if c.bits["y"] == 8 else {"zero": 0, "one": 2**15}
    return replace(k, knots=table(DECAY, STEP, 2.0**-15), rq=c.requant(2**16, 16), **own, **c.clamp("y"))


def table_(c: Case) -> K.Kernel:
    n = c.size()
    k = K.Table("k", c.view("x", n), c.view("y", n), [SIGMOID, TANH, RELU][c.rng.integers(3)])
    if not c.integer:
        return k
    if c.bits["x"] == 8:
        return replace(k, knots=c.values(*limits(c.bits["y"]), 256))
    return replace(k, knots=c.knots(), rq=c.requant(2**16, c.bits["y"]), zero=c.zero("y"), **c.clamp("y"))


ANY, NARROW = (8, 16, 32), (8, 16)
# kernel -> its cases, and per integer C file the bits that each type parameter may have
CASES = {
    K.Accumulate: (accumulate, {"accumulate": {"x": NARROW}}),
    K.Add: (add, {"add": {"a": NARROW, "b": NARROW, "y": NARROW}}),
    K.Copy: (copy, {"copy": {"y": ANY}}),
    K.Gate: (gate, {"gate": {"y": NARROW}}),
    K.GruUpdate: (gru_update, {"gru_update": {}}),
    K.Load: (load, {"load": {"y": ANY}}),
    K.LstmUpdate: (lstm_update, {"lstm_update": {"h": NARROW}}),
    K.Matmul: (matmul, {"matmul": {"x": NARROW, "y": ANY}}),
    K.Mul: (mul, {"mul": {"a": NARROW, "b": NARROW, "y": NARROW}}),
    K.Rescale: (rescale, {"rescale": {"x": ANY, "y": NARROW}}),
    K.Scale: (scale, {"scale": {"x": NARROW, "y": NARROW}}),
    K.Softmax: (softmax, {"softmax": {"y": NARROW}}),
    K.Table: (table_, {"table": {"x": (16,), "y": NARROW}, "table8": {"x": (8,), "y": NARROW}}),
}


class Instance:
    """One C function: a runtime_c file with its types filled in."""

    def __init__(self, kernel: type[K.Kernel], file: str, types: dict[str, str]):
        self.kernel, self.file, self.types = kernel, file, types
        self.name, self.text = instantiate(self.file, "t", self.types)
        parameters = re.search(rf"static void {self.name}\(([^)]*)\)\n{{\n", self.text)[1]
        views = re.findall(r"(const )?(\w+) \*(\w+)", parameters.split(",", 1)[1])
        self.const = {name: bool(const) for const, _, name in views}
        self.elements = {name: c_type for _, c_type, name in views}
        outside = f"void run_{self.name}({parameters})"
        self.wrapper = f"{outside} {{ {self.name}({', '.join(['k', *self.elements])}); }}\n"
        self.cdef = re.search(rf"struct {self.name} {{.*?}};\n", self.text, re.DOTALL)[0] + f"{outside};\n"

    def case(self, rng: np.random.Generator) -> tuple[Case, K.Kernel]:
        c = Case(rng, self.elements)
        return c, CASES[self.kernel][0](c)


def instances() -> list[Instance]:
    out = []
    for kernel, (_, files) in CASES.items():
        for file, legal in files.items():
            for bits in product(*legal.values()):
                out.append(Instance(kernel, file, {p: f"int{b}_t" for p, b in zip(legal, bits)}))
        out.append(Instance(kernel, f"{kernel.kernel()}_f32", {}))
    return out


INSTANCES = instances()
every_instance = pytest.mark.parametrize("instance", INSTANCES, ids=lambda i: i.name)


def source() -> str:
    """All instances in one C file, with a wrapper for each that can be called from outside."""
    code = "".join(i.text + i.wrapper for i in INSTANCES)
    for f in FUNCTIONS.values():
        name = f.c.replace("hmdc_", "t_")
        code += f"float run_{name}(float x) {{ return {name}(x); }}\n"
    return f"#include <math.h>\n#include <stdint.h>\n{math_source('t', [code])}\n{code}"


def compile_c(*command) -> None:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def c(tmp_path_factory):
    """cffi interface and library of all instances; undefined behavior ends the process."""
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "all.c").write_text(source())
    sanitize = ["-fsanitize=undefined,float-cast-overflow", "-fno-sanitize-recover=all"]
    compile_c("gcc", "-O1", "-shared", "-fPIC", *sanitize, folder / "all.c", "-o", folder / "all.so", "-lm")
    ffi = cffi.FFI()
    ffi.cdef("".join(i.cdef for i in INSTANCES))
    ffi.cdef("".join(f"float run_{f.c.replace('hmdc_', 't_')}(float);" for f in FUNCTIONS.values()))
    return ffi, ffi.dlopen(str(folder / "all.so"))


def constants(ffi, lib, instance: Instance, fields: dict):
    """The filled C struct, and the arrays that it points to."""
    k, alive = ffi.new(f"struct {instance.name} *"), []
    for name, member in ffi.typeof(k[0]).fields:
        value = fields[name].values if isinstance(fields[name], Const) else fields[name]
        if isinstance(value, np.ndarray):
            a = np.ascontiguousarray(value, DTYPE[member.type.item.cname])
            assert a.dtype == np.float32 or (a == value).all()
            alive.append(a)
            value = ffi.cast(member.type, a.ctypes.data)
        elif isinstance(value, Function):
            value = ffi.addressof(lib, value.c.replace("hmdc_", "run_t_"))
        setattr(k, name, ffi.NULL if value is None else value)
    return k, alive


def call_c(ffi, lib, instance: Instance, kernel: K.Kernel, memory: dict[str, np.ndarray]) -> None:
    k, _alive = constants(ffi, lib, instance, kernel.fields())
    at = lambda v: memory[v.buf].ctypes.data + v.offset * memory[v.buf].itemsize
    pointer = lambda name, v: ffi.NULL if v is None else ffi.cast(f"{instance.elements[name]} *", at(v))
    getattr(lib, f"run_{instance.name}")(k, *(pointer(*item) for item in kernel.views().items()))


@every_instance
def test_c_is_numpy(c, instance):
    for seed in range(SEED, SEED + ROUNDS):
        print(f"{instance.name}: HMDC_SEED={seed}")
        case, kernel = instance.case(np.random.default_rng(seed))
        assert kernel.c_kernel(not case.integer) == instance.file
        env = Env(Program(case.buffers), 2, case.integer)
        for name, b in case.buffers.items():
            env.arrays[name][:] = case.contents(b, 2)
        memory = [{n: a[s].astype(DTYPE[instance.elements[n]]) for n, a in env.arrays.items()} for s in range(2)]
        kernel.run(env)
        for s in range(2):
            call_c(*c, instance, kernel, memory[s])
            for name, got in memory[s].items():
                want = env.arrays[name][s]
                same = (
                    (got == want).all() if case.integer else np.allclose(got, want, rtol=1e-6, atol=4e-6)
                )  # terms reach 8
                assert same, f"{name} differs: {kernel}"


@every_instance
def test_struct_and_arguments(c, instance):
    _, kernel = instance.case(np.random.default_rng(SEED))
    assert [name for name, _ in c[0].typeof(f"struct {instance.name}").fields] == list(kernel.fields())
    assert list(instance.const) == list(kernel.views())
    assert instance.const == {name: name not in kernel.WRITES for name in kernel.views()}
    if not instance.file.endswith("_f32"):
        assert list(instance.types) == list(kernel.TYPES)
    assert "hmdc_" not in instance.text and not re.search(r"\b[a-z]_t\b", instance.text)


def test_every_kernel_and_file_has_cases():
    assert set(CASES) == set(K.KERNELS)
    assert {i.file for i in INSTANCES} == {f.stem for f in RUNTIME_C.glob("*.c")}


@pytest.mark.parametrize("compiler", COMPILERS)
def test_no_warnings(compiler, tmp_path):
    (tmp_path / "all.c").write_text(source())
    compile_c(compiler, *FLAGS, "-O2", "-c", tmp_path / "all.c", "-o", tmp_path / "all.o")
    # each file alone, through its preamble
    compile_c(compiler, *FLAGS, "-Wno-unused-function", "-fsyntax-only", *sorted(RUNTIME_C.glob("*.c")))


def test_sums_that_leave_int32_are_split():
    """The partial sums add up to what one exact sum would give, within the rounding of each part."""
    rng, p, rows, columns = np.random.default_rng(SEED), 2, 3, 1500
    w = rng.integers(-126, 127, (rows, columns))
    w[:, ::10] = 127  # every part gets the same scale
    sizes = (("x", p * columns, 2.0**-15), ("y", p * rows, 0.01))
    buffers = {name: Buffer(name, size, Format(16), scale=scale) for name, size, scale in sizes}
    x, y = (View(b.name, 0, (b.size,), (1,)) for b in buffers.values())
    q = K.Quantizer(Program(), buffers)
    calls = K.Matmul("k", x, y, w / 127, np.array([1.0, -3.0, 2.0]), p=p).quantize(q)
    assert len(calls) > p
    env = Env(Program(q.buffers), 4, integer=True)
    env.arrays["x"][:] = rng.integers(-32768, 32768, (4, p * columns))
    for call in calls:
        call.run(env)
    real = env.arrays["x"].reshape(4, p, columns) * 2.0**-15 @ w.T / 127 + [1, -3, 2]
    assert np.abs(env.arrays["y"] - real.reshape(4, -1) / 0.01).max() < 4


def test_copy_of_too_many_axes_is_refused():
    v = View("x", 0, (2, 3, 2, 3, 2), row_major((2, 3, 2, 3, 2)))
    with pytest.raises(HmdcError, match="5 nested loops"):
        K.Copy("k", v, v.transpose((4, 3, 2, 1, 0))).fields()
