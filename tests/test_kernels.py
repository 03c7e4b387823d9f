"""Every kernel: its C gives the bits of its numpy truth, under UBSan, for every legal combination of element types.

Registry-driven: a new kernel needs an entry in kernel_cases.CASES.
Another seed: HMDC_SEED=2 pytest tests/test_kernels.py
"""

import os
import re
import subprocess
from dataclasses import replace
from itertools import product

import cffi
import numpy as np
import pytest
from kernel_cases import CASES, DTYPE, Case

from hmdc import kernels as K
from hmdc.errors import HmdcError
from hmdc.functions import FUNCTIONS, Function
from hmdc.kernels.base import Const
from hmdc.paths import RUNTIME_C
from hmdc.program import Buffer, Env, Format, Program, View, row_major
from hmdc.runtime import instantiate, math_source

SEED = int(os.environ.get("HMDC_SEED", "1"))
ROUNDS = 200
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic", "-Werror"]
COMPILERS = ["gcc", "clang", "arm-none-eabi-gcc"]


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


SCALE = {"x": 1 / 128, "y": 1 / 512, "t": 1 / 4096}


def quantizer(**sizes: tuple[int, int]) -> tuple[K.Quantizer, dict[str, View]]:
    """Buffers of (elements, bits); x of 8 bits has a zero point."""
    buffers = {}
    for name, (size, bits) in sizes.items():
        zero = 37 if (name, bits) == ("x", 8) else 0
        scale = SCALE[name] * (1 if bits == 8 or name != "x" else 2.0**-8)
        buffers[name] = Buffer(name, size, Format(bits), scale=scale, zero=zero)
    return K.Quantizer(Program(), buffers), {n: View(n, 0, (b.size,), (1,)) for n, b in buffers.items()}


def products(x: View, y: View, t: View, w: np.ndarray, bias: np.ndarray) -> dict[str, K.Kernel]:
    """Every structure, of about the same matrix."""
    half = w.shape[1] // 2
    dense = lambda per_row: K.Matmul("k", x, y, w, bias, per_row=per_row)
    return {
        "matmul": dense(True),
        "matmul, one scale": dense(False),
        "spmv": K.Spmv("k", x, y, w, bias),
        "spmv, one scale": K.Spmv("k", x, y, w * (np.arange(w.shape[1]) % 7 == 0), bias),
        "block_spmv": K.BlockSpmv("k", x, y, w, (4, 3), bias),
        "rank1": K.Rank1("k", x, t, y, w[:, 0], w[:, 1], w[0, :half] / half, w[1, half:] / half, bias),
    }


@pytest.mark.parametrize("y_bits", [16, 32])
@pytest.mark.parametrize("x_bits", [8, 16])
@pytest.mark.parametrize("kind", products(*[None] * 3, np.ones((3, 9)), None))
def test_quantized_products_are_close(kind, x_bits, y_bits):
    """The integer call gives the values of the float call.  Row 2 has a bias and no weights."""
    rng, rows, columns = np.random.default_rng(SEED), 7, 61
    w, bias = rng.normal(size=(rows, columns)), rng.normal(size=rows)
    w[2] = 0
    q, v = quantizer(x=(columns, x_bits), y=(rows, y_bits), t=(2, 16))
    call = products(**v, w=w, bias=bias)[kind]
    (integer,) = call.quantize(q)
    x = rng.integers(-(1 << (x_bits - 1)), 1 << (x_bits - 1), (20, columns))
    got, want = Env(Program(q.buffers), 20, True), Env(Program(q.buffers), 20, False)
    got.arrays["x"][:], want.arrays["x"][:] = x, q.buffers["x"].dequantize(x)
    integer.run(got)
    call.run(want)
    assert np.abs(q.buffers["y"].dequantize(got.arrays["y"]) - want.arrays["y"]).max() < 0.3  # sums reach 30
    assert (integer.rq.mult.size > 1) == (kind in ("matmul", "spmv", "block_spmv"))


@pytest.mark.parametrize("kind", ["spmv", "block_spmv", "rank1"])
def test_sums_that_leave_int32_are_refused(kind):
    q, v = quantizer(x=(1200, 16), y=(3, 16), t=(2, 16))
    with pytest.raises(HmdcError, match="leave the matrix dense"):
        products(**v, w=np.ones((3, 1200)), bias=np.zeros(3))[kind].quantize(q)


@pytest.mark.parametrize("kind", ["matmul", "spmv", "block_spmv"])
def test_rows_of_bias_alone_leave_room_for_the_shift(kind):
    """Inputs far from 1 ask for a left shift, which all rows share."""
    w, bias = np.full((3, 9), 0.5), np.array([1.0, 2.0, -3.0])
    w[1], w[2] = 0, 1e-9
    q, v = quantizer(x=(9, 8), y=(3, 16), t=(2, 16))
    q.buffers["x"] = replace(q.buffers["x"], scale=8.0)
    (call,) = products(**v, w=w, bias=bias)[kind].quantize(q)
    assert call.rq.shift >= 3
    env = Env(Program(q.buffers), 1, True)
    env.arrays["x"][:] = 37  # zero
    call.run(env)
    assert np.abs(q.buffers["y"].dequantize(env.arrays["y"]) - bias).max() < 0.02  # half a step of the sums


def test_limits_of_sparse_indices():
    v = View("x", 0, (9,), (1,))
    for shape, block in (((4, 9), (9, 3)), ((4, 9), (3, 10)), ((4, 65536), (4, 4)), ((4, 9), (0, 3))):
        with pytest.raises(HmdcError, match="at most 8 rows"):
            K.BlockSpmv("k", v, v, np.ones(shape), block)
    with pytest.raises(HmdcError, match="65536 kept entries"):
        K.Spmv("k", v, v, np.ones((1, 65536))).fields()
    K.Spmv("k", v, v, np.ones((1, 65535))).fields()
