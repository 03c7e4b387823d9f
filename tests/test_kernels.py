"""Every kernel: its C gives the bits of its numpy truth, under UBSan, for every legal combination of element types.

So do, for every instruction set, the calls that a call becomes there: on this machine the C beside the assembly, on
boards the assembly itself (test_kernels_on_boards.py).  Registry-driven: a new kernel needs an entry in
kernel_cases.CASES, a new instruction set or variant nothing.  Another seed: HMDC_SEED=2 pytest tests/test_kernels.py
"""

import re
from dataclasses import replace

import numpy as np
import pytest
from kernel_c import (
    SAMPLES,
    SEED,
    SUBJECTS,
    Library,
    Scalars,
    compile_c,
    examples,
    instance_of,
    instances_of,
    needed,
    source,
    typed,
)
from kernel_cases import CASES

from hmdc import kernels as K
from hmdc.boards import load_boards
from hmdc.check import check
from hmdc.errors import HmdcError
from hmdc.intmath import limits
from hmdc.isa import ISAS, fit
from hmdc.paths import RUNTIME_C
from hmdc.program import Block, Buffer, Env, Format, Program, View, row_major
from hmdc.runtime import PORTABLE
from hmdc.target import TARGETS

ROUNDS = 120
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic", "-Werror"]
every_isa = pytest.mark.parametrize("isa", ISAS, scope="module")


@pytest.fixture(scope="module")
def library(isa, tmp_path_factory) -> Library:
    return Library(isa, list(needed(isa, ROUNDS)), tmp_path_factory.mktemp(isa))


@every_isa
@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_c_is_numpy(isa, subject, library):
    for e in examples(subject, ROUNDS):
        fitted = check(fit(e.program, ISAS[isa]))
        if isa != PORTABLE and code(fitted, isa) == code(e.program, PORTABLE):
            continue  # tested there
        print(f"HMDC_SEED={e.seed}: {fitted.functions}")
        truth, env = e.env(e.program), e.env(fitted)
        memory = [{n: a[s].astype(typed(fitted, n)) for n, a in env.arrays.items()} for s in range(SAMPLES)]
        truth.run(e.program.functions["run"])
        env.run(fitted.functions["run"])
        assert all((env.arrays[name] == truth.arrays[name]).all() for name in e.contents)
        used = {v.buf for call in fitted.calls() for v in call.reads() + call.writes()}
        for s in range(SAMPLES):
            for call in fitted.calls():
                library.call(instance_of(call, fitted, isa), call, memory[s])
            for name in used:
                assert same(fitted, memory[s][name], env.arrays[name][s]), f"{name} differs"


def code(program: Program, isa: str) -> str:
    return source(instances_of(program, isa), isa)


def same(program: Program, got: np.ndarray, want: np.ndarray) -> bool:
    if program.precision == "float32":
        return np.allclose(got, want, rtol=1e-6, atol=4e-6)  # terms reach 8
    return bool((got == want).all())


@every_isa
def test_struct_and_arguments(isa, library):
    for i, call in needed(isa, ROUNDS).items():
        assert [name for name, _ in library.ffi.typeof(f"struct {i.name}").fields] == list(call.fields()), i.name
        assert i.const == {name: name not in call.WRITES for name in call.views()}
        assert list(i.const) == list(call.views()), i.name
        if not i.file.endswith("_f32"):
            assert list(i.types) == list(call.TYPES)
        assert not re.search(r"hmdc_|HMDC_|\b[a-z]_t\b", source((i,), isa)), i.name


def test_every_kernel_and_file_has_cases():
    assert set(CASES) == set(K.KERNELS)
    assert {s.instance.file for s in SUBJECTS} == {f.stem for f in RUNTIME_C.glob("*.c")}
    assert {f.name for f in RUNTIME_C.iterdir() if f.is_dir()} <= set(ISAS)


@every_isa
def test_every_file_of_an_instruction_set_is_called(isa):
    assert {f.stem for f in (RUNTIME_C / isa).glob("*.c")} <= {i.file for i in needed(isa, ROUNDS)}
    assert {f.suffix for f in (RUNTIME_C / isa).glob("*")} <= {".c", ".h"}


def compilers() -> dict[str, tuple]:
    """Name -> (instruction set, command); the assembly is used on the boards of its instruction set alone."""
    out = {f"{cc}, {isa}": (isa, [cc]) for isa in ISAS for cc in ("gcc", "clang")}
    out["arm-none-eabi-gcc"] = PORTABLE, ["arm-none-eabi-gcc"]
    for target in TARGETS.values():
        for asm in (0, 1) if target.board else ():
            flags = [*load_boards()[target.board].cflags, f"-DT_ASM={asm}"]
            out[f"{target.board}, {('plain C', 'assembly')[asm]}"] = target.kernels, ["arm-none-eabi-gcc", *flags]
    return out


@pytest.mark.parametrize("isa, command", compilers().values(), ids=list(compilers()))
def test_no_warnings(isa, command, tmp_path):
    instances = list(needed(isa, ROUNDS))
    (tmp_path / "all.c").write_text(source((*instances, Scalars), isa))
    compile_c(*command, *FLAGS, "-O2", "-c", tmp_path / "all.c", "-o", tmp_path / "all.o")
    alone = {i.file: i for i in instances}  # with the helpers that this file needs, and no others
    for name, i in alone.items():
        (tmp_path / f"{name}.c").write_text(source((i,), isa))
    compile_c(*command, *FLAGS, "-fsyntax-only", *(tmp_path / f"{name}.c" for name in alone))


@pytest.mark.parametrize("compiler", ["gcc", "clang", "arm-none-eabi-gcc"])
def test_files_can_be_linted_alone(compiler):
    """Through their preambles."""
    files = sorted(RUNTIME_C.glob("*.c"))
    compile_c(compiler, *FLAGS, "-Wno-unused-function", "-fsyntax-only", *files)


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


def rounded_once(k: K.Kernel, env_x: np.ndarray, buffers: dict[str, Buffer], allowed: float) -> None:
    """The integers of a call are those of its exact results, rounded; `allowed`: how far off, in steps of y."""
    q = K.Quantizer(Program(), buffers)
    (call,) = k.quantize(q)
    got, want = (Env(Program(buffers), len(env_x), integer) for integer in (True, False))
    got.arrays["x"][:], want.arrays["x"][:] = env_x, buffers["x"].dequantize(env_x)
    call.run(got)
    k.run(want)
    y, exact = buffers["y"], want.arrays["y"] / buffers["y"].scale + buffers["y"].zero
    assert np.abs(got.arrays["y"] - np.clip(exact, *limits(y.bits))).max() <= 0.5 + allowed


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("centered", [True, False])
def test_normalization_is_rounded_once(centered, bits):
    """Whatever the row: noise, one value that differs by one step, constants; epsilon may be all there is."""
    rng = np.random.default_rng(SEED)
    for n in (1, 2, 3, 5, 64, 1000, 4096):
        for epsilon, floor in ((1e-12, 1e-30), (1e-5, 1e-30), (0.3, 1e-30), (0.0, 1e-3)):
            scale, peak, zero = 10.0 ** rng.uniform(-4, -1), 1 << (bits - 1), 19 if bits == 8 else 0
            spread = np.array([0, 1, 3, peak / 4, peak])[:, None]
            x = np.clip(np.round(rng.normal(size=(5, n)) * spread + rng.integers(-9, 9)), -peak, peak - 1).astype(int)
            x[0, 0] += 1
            x[1] = x[1, 0]
            x[4] = np.where(x[4] < 0, -peak, peak - 1)
            k = K.Normalize("k", *(View(v, 0, (n,), (1,)) for v in "xy"), n, 1, 1, centered, epsilon, floor)
            y = Buffer("y", n, Format(bits), scale=max(1.5, np.sqrt(n) / 4) / peak, zero=zero)
            buffers = {"x": Buffer("x", n, Format(bits), scale=scale, zero=zero), "y": y}
            rounded_once(k, x, buffers, 1e-3 if bits == 8 else 0.02)


@pytest.mark.parametrize("bits", [8, 16])
def test_longest_normalization(bits, tmp_path):
    """C of the largest sums and squares that there are, under UBSan."""
    n, peak = 4096, 1 << (bits - 1)
    buffers = {v: Buffer(v, n, Format(bits), scale=0.1, zero=-peak if bits == 8 else 0) for v in "xy"}
    x, y = (View(v, 0, (n,), (1,)) for v in "xy")
    ends = np.resize([-peak, peak - 1], n)
    data = np.stack([ends, np.sort(ends), np.full(n, peak - 1), np.full(n, -peak), np.eye(1, n, dtype=int)[0]])
    (call,) = K.Normalize("k", x, y, n, epsilon=1e-3).quantize(K.Quantizer(Program(), buffers))
    library = None
    for centered in (True, False):
        k = replace(call, centered=centered)
        program = Program(buffers, {"run": [Block([k])]})
        library = library or Library(PORTABLE, [instance_of(k, program, PORTABLE)], tmp_path)
        truth = Env(program, len(data), integer=True)
        truth.arrays["x"][:] = data
        truth.run(program.functions["run"])
        for row, want in zip(data, truth.arrays["y"]):
            memory = {"x": row.astype(f"int{bits}"), "y": np.zeros(n, f"int{bits}")}
            library.call(instance_of(k, program, PORTABLE), k, memory)
            assert (memory["y"] == want).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_log_softmax_is_rounded_once(bits):
    rng = np.random.default_rng(SEED)
    for n in (1, 2, 7, 300):
        for scale in (1e-4, 1e-3, 1e-2):
            x = rng.integers(-32768, 32768, (20, n)) // rng.choice([1, 10, 1000], (20, 1))
            y = Buffer("y", n, Format(bits), scale=10 / 2**bits, zero=127 if bits == 8 else 0)
            k = K.LogSoftmax("k", *(View(v, 0, (n,), (1,)) for v in "xy"), n)
            buffers = {"x": Buffer("x", n, Format(16), scale=scale), "y": y}
            rounded_once(k, x, buffers, (1e-4 + n * 2.0**-20) / y.scale)


def test_normalizations_out_of_reach_are_refused():
    sizes = {name: Buffer(name, 5000, Format(8), scale=1e-9) for name in "xy"}
    views = [View(v, 0, (5000,), (1,)) for v in "xy"]
    with pytest.raises(HmdcError, match="the most is 4096"):
        K.Normalize("k", *views, 5000).quantize(K.Quantizer(Program(), sizes))
    with pytest.raises(HmdcError, match="as good as 0 beside"):
        K.Normalize("k", *views, 50, 100).quantize(K.Quantizer(Program(), sizes))
    with pytest.raises(HmdcError, match="log_softmax over 40000 classes"):
        K.LogSoftmax("k", *views, 40000).quantize(K.Quantizer(Program(), sizes))
