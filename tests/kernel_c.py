"""Random calls of every kernel, and the C functions that they need as a library of this process."""

import os
import re
import subprocess
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path

import cffi
import numpy as np
from kernel_case import Case
from kernel_cases import CASES, SCALARS

from hmdc import kernels as K
from hmdc.functions import Function
from hmdc.host import element as host_element
from hmdc.isa import ISAS, fit
from hmdc.kernels.base import Const
from hmdc.paths import RUNTIME_C
from hmdc.program import Block, Env, Program
from hmdc.runtime import PORTABLE, instantiate, math_source

SEED = int(os.environ.get("HMDC_SEED", "1"))
SAMPLES = 2
LEFT_OVER = 85  # what temporaries hold before anything is written there


class Instance:
    """One C function: a runtime_c file with its types filled in."""

    def __init__(self, file: str, types: dict[str, str], isa: str):
        self.file, self.types = file, types
        self.name, self.text = instantiate(file, "t", types, isa)
        parameters = re.search(rf"static void {self.name}\(([^)]*)\)\n{{\n", self.text)[1]
        (_, _, constants), *views = re.findall(r"(const )?(?:struct )?(\w+) \*(\w+)", parameters)
        self.const = {name: bool(const) for const, _, name in views}
        self.elements = {name: c_type for _, c_type, name in views}
        outside = f"void run_{self.name}({parameters})"
        self.wrapper = f"{outside} {{ {self.name}({', '.join([constants, *self.elements])}); }}\n"
        self.cdef = re.search(rf"struct {self.name} {{.*?}};\n", self.text, re.DOTALL)[0] + f"{outside};\n"


@cache
def instance(file: str, types: tuple[tuple[str, str], ...], isa: str) -> Instance:
    return Instance(file, dict(types), isa)


def instance_of(call: K.Kernel, program: Program, isa: str) -> Instance:
    """The C function of one call, found as the renderer finds it."""
    floats = program.precision == "float32"
    types = {} if floats else {f: f"int{program.buffers[getattr(call, f).buf].bits}_t" for f in call.TYPES}
    return instance(call.c_kernel(floats), tuple(types.items()), isa)


def instances_of(program: Program, isa: str) -> tuple[Instance, ...]:
    return tuple(instance_of(call, program, isa) for call in program.calls())


@dataclass(frozen=True)
class Subject:
    """A kernel with the element types of one portable C file: what cases are drawn for."""

    kernel: type[K.Kernel]
    instance: Instance

    @property
    def integer(self) -> bool:
        return not self.instance.file.endswith("_f32")

    def __str__(self) -> str:
        return self.instance.name.removeprefix("t_")


def subjects() -> list[Subject]:
    out = []
    for kernel, (_, files) in CASES.items():
        for file, legal in files.items():
            for bits in product(*legal.values()):
                types = tuple((p, f"int{b}_t") for p, b in zip(legal, bits))
                out.append(Subject(kernel, instance(file, types, PORTABLE)))
        floats = [f"{file}_f32" for file in files if (RUNTIME_C / f"{file}_f32.c").exists()]
        out += [Subject(kernel, instance(file, (), PORTABLE)) for file in floats]
    return out


SUBJECTS = subjects()


@dataclass(frozen=True)
class Example:
    """A program of one call, or of two that belong together, and the content of its buffers: [samples, size]."""

    seed: int
    program: Program
    contents: dict[str, np.ndarray]

    def env(self, program: Program) -> Env:
        """Memory of a program that was fitted from this one."""
        env = Env(program, SAMPLES, program.precision != "float32")
        for name, a in env.arrays.items():
            a[:] = self.contents.get(name, LEFT_OVER)
        return env


def example(subject: Subject, seed: int) -> Example:
    c = Case(np.random.default_rng(seed), subject.instance.elements)
    calls = CASES[subject.kernel][0](c)
    role = lambda name: "temp" if name in c.temporary else "state"
    buffers = {n: replace(b, role=role(n), scale=1.0 if c.integer else None) for n, b in c.buffers.items()}
    run = [Block(calls if isinstance(calls, list) else [calls])]
    contents = {n: c.contents(b, SAMPLES) for n, b in buffers.items() if b.role == "state"}
    return Example(seed, Program(buffers, {"run": run}, precision="int8" if c.integer else "float32"), contents)


@cache
def examples(subject: Subject, count: int) -> list[Example]:
    return [example(subject, seed) for seed in range(SEED, SEED + count)]


@cache
def needed(isa: str, count: int) -> dict[Instance, K.Kernel]:
    """Every C function that the examples call with that instruction set, and one of its calls."""
    out = {}
    for subject in SUBJECTS:
        for e in examples(subject, count):
            program = fit(e.program, ISAS[isa])
            out |= {instance_of(call, program, isa): call for call in program.calls()}
    return out


@cache
def source(instances: tuple[Instance, ...], isa: str) -> str:
    """A C file, with a wrapper for each function that can be called from outside."""
    code = "".join(i.text + i.wrapper for i in instances)
    headers = ["#include <math.h>", "#include <stddef.h>", "#include <stdint.h>"]
    if ISAS[isa].header:
        headers += ["#if T_ASM", f"#include {ISAS[isa].header}", "#endif"]
    return "\n".join([*headers, math_source("t", [code], isa, SCALARS if Scalars in instances else ()), code])


def compile_c(*command) -> None:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Scalars:
    """The functions that constants may point to, in the form of an Instance."""

    names = [f.c.replace("hmdc_", "t_") for f in SCALARS]
    text = ""
    wrapper = "".join(f"float run_{n}(float x) {{ return {n}(x); }}\n" for n in names)
    cdef = "".join(f"float run_{n}(float);" for n in names)


class Library:
    """All functions of an instruction set; undefined behavior ends the process."""

    def __init__(self, isa: str, instances: list[Instance], folder: Path):
        (folder / "all.c").write_text(source((*instances, Scalars), isa))
        sanitize = ["-fsanitize=undefined,float-cast-overflow", "-fno-sanitize-recover=all"]
        compile_c("gcc", "-O1", "-shared", "-fPIC", *sanitize, folder / "all.c", "-o", folder / "all.so", "-lm")
        self.ffi = cffi.FFI()
        self.ffi.cdef("".join(i.cdef for i in [*instances, Scalars]))
        self.lib = self.ffi.dlopen(str(folder / "all.so"))

    def constants(self, instance: Instance, fields: dict):
        """The filled C struct, and the arrays that it points to."""
        k, alive = self.ffi.new(f"struct {instance.name} *"), []
        for name, member in self.ffi.typeof(k[0]).fields:
            value = fields[name].values if isinstance(fields[name], Const) else fields[name]
            if isinstance(value, np.ndarray):
                a = np.ascontiguousarray(value, element(member.type.item.cname))
                assert a.dtype == np.float32 or (a == value).all()
                alive.append(a)
                value = self.ffi.cast(member.type, a.ctypes.data)
            elif isinstance(value, Function):
                value = self.ffi.addressof(self.lib, value.c.replace("hmdc_", "run_t_"))
            setattr(k, name, self.ffi.NULL if value is None else value)
        return k, alive

    def call(self, instance: Instance, call: K.Kernel, memory: dict[str, np.ndarray]) -> None:
        k, _alive = self.constants(instance, call.fields())
        pointers = []
        for name, v in call.views().items():
            at = 0 if v is None else memory[v.buf].ctypes.data + v.offset * memory[v.buf].itemsize
            pointers.append(self.ffi.cast(f"{instance.elements[name]} *", at))
        getattr(self.lib, f"run_{instance.name}")(k, *pointers)


def element(c_type: str) -> np.dtype:
    return np.dtype("float32" if c_type == "float" else c_type.removesuffix("_t"))


def typed(program: Program, buf: str) -> np.dtype:
    return np.dtype(host_element(program, program.buffers[buf]))
