"""Program + plan -> C text.  Values and names are made here; the templates hold the layout."""

from dataclasses import dataclass
from textwrap import wrap

import jinja2
import numpy as np

from . import runtime
from .functions import Function
from .isa import Isa
from .kernels import Kernel
from .kernels.base import Const
from .kernels.load import Load
from .names import Namespace
from .paths import TEMPLATES
from .place import ALIGN, Plan
from .program import PARTS, Block, Buffer, Port, Program, View

C_TYPES = {f"{u}int{n}": f"{u}int{n}_t" for u in ("", "u") for n in (8, 16, 32)} | {"float32": "float"}
WIDTH = 108


@dataclass(frozen=True)
class Argument:
    """A port as the C sees it: parameter name, element type, macro stem, elements per step and per run."""

    port: Port
    name: str
    ctype: str
    macro: str
    size: int
    run_size: int
    scale: str | None
    zero: int
    const: str


class Renderer:
    """One use: walks the program once, collecting constants, kernels and lines of C."""

    def __init__(self, program: Program, plan: Plan, name: str, isa: Isa):
        self.program, self.plan, self.prefix, self.isa = program, plan, name, isa
        self.float_mode = program.precision == "float32"
        self.idents = Namespace(name)
        self.arrays: dict[tuple[str, bytes], tuple[str, str, np.ndarray]] = {}
        self.kernels: dict[str, str] = {}
        self.scalars: dict[Function, None] = {}  # that descriptors point to, in order
        self.descriptors: list[tuple[str, str, list[tuple[str, str]]]] = []
        self.arguments = self._arguments()

    def collect(self) -> None:
        """Walk the program: afterwards `kernels` and `constant_bytes` are known."""
        self.functions = {name: self._function(name, blocks) for name, blocks in self.program.functions.items()}
        self.constant_bytes = sum(v.nbytes for _, _, v in self.arrays.values())
        self.constant_bytes += sum(4 * len(fields) for _, _, fields in self.descriptors)

    def render(self, header: list[str], figures: dict[str, tuple[int, str]]) -> dict[str, str]:
        """header: lines of the comment on top.  figures: macro -> (value, comment).  Returns suffix -> text."""
        kernels, helpers = list(self.kernels.values()), self.helpers()
        context = {
            "prefix": self.prefix, "macro": self.prefix.upper(), "header": header, "figures": figures,
            "program": self.program, "functions": self.functions, "float_mode": self.float_mode,
            "helpers": helpers, "kernels": kernels, "isa": self.isa,
            "asm": f"{self.prefix.upper()}_ASM" in "".join([helpers, *kernels]),
            "arrays": [(ctype, array, values.size, _rows(values)) for array, ctype, values in self.arrays.values()],
            "descriptors": self.descriptors, "states": self._members("state"), "scratch": self._scratch(),
            "inputs": [a for a in self.arguments if a.const], "outputs": [a for a in self.arguments if not a.const],
            "states_in": [a for a in self.arguments if a.const and a.port.kind == "state"],
            "states_out": [a for a in self.arguments if not a.const and a.port.kind == "state"],
            "stream": [a for a in self.arguments if a.port.kind == "stream"],
            "steps": self.program.steps, "period": self.program.period, "plan": self.plan,
            "lengths": self.program.lengths(),
        }  # fmt: skip
        files = {".c": "model.c.j2", ".h": "model.h.j2"}
        if not self.float_mode:
            files["_float.h"] = "model_float.h.j2"
        return {suffix: environment().get_template(t).render(context) for suffix, t in files.items()}

    def helpers(self) -> str:
        """C text of the helper functions."""
        return runtime.math_source(self.prefix, list(self.kernels.values()), self.isa.name, self.scalars)

    # --- names and types

    def ctype(self, b: Buffer) -> str:
        return "float" if self.float_mode and not b.fmt.token else f"int{b.bits}_t"

    def _arguments(self) -> list[Argument]:
        macros, out = Namespace("scratch"), []
        for ports, first, const in ((self.program.inputs, "input", "const "), (self.program.outputs, "output", "")):
            for i, p in enumerate(ports):
                b = self.program.buffers[p.buf]
                macro = macros.fresh((first if i == 0 else p.name).lower()).upper()
                scale = None if b.scale is None or b.fmt.token else f"{np.float32(b.scale)!s}f"
                run = p.frame * p.frames
                out.append(Argument(p, self.idents[p.buf], self.ctype(b), macro, p.frame, run, scale, b.zero, const))
        return out

    def _argument(self, buf: str) -> Argument | None:
        return next((a for a in self.arguments if a.port.buf == buf), None)

    def pointer(self, v: View, counters: tuple[str, ...]) -> str:
        b = self.program.buffers[v.buf]
        base = self.idents[v.buf]
        if b.role == "state":
            base = f"s->{base}"
        elif b.role == "temp":
            base = f"s->scratch.{base}.v"
        steps = zip((v.advance, v.outer), counters)
        moves = sorted(((step, variable) for step, variable in steps if step and variable), reverse=True)
        terms = [f"+ {v.offset}"] if v.offset or any(step < 0 for step, _ in moves) else []
        terms += [f"{'-' if step < 0 else '+'} {abs(step)} * {variable}" for step, variable in moves]
        return " ".join([base, *terms])

    # --- memory

    def _members(self, role: str) -> list[tuple[str, str, int]]:
        """(type, name, elements), widest type first: no padding in between."""
        found = [b for b in self.program.buffers.values() if b.role == role]
        found.sort(key=lambda b: -b.bits)
        return [(self.ctype(b), self.idents[b.name], b.size) for b in found]

    def _scratch(self) -> list[tuple[str, str, int, int]]:
        """(type, name, elements, bytes in front) of every temporary."""
        buffers = self.program.buffers
        order = sorted(self.plan.offsets, key=lambda n: (self.plan.offsets[n], n))
        return [(self.ctype(buffers[n]), self.idents[n], buffers[n].size, self.plan.offsets[n]) for n in order]

    # --- calls

    def _function(self, name: str, blocks: list[Block]) -> dict:
        lines = [line for block in blocks for line in self._block(block, ())]
        lines = [*dict.fromkeys(self._limited(b) for b in blocks if b.length), *lines]
        used = {v.buf for c in self.program.calls(name) for v in c.reads() + c.writes()}
        return {"lines": lines, "arguments": [a for a in self.arguments if a.port.buf in used],
                "uses_state": any("s->" in line for line in lines)}  # fmt: skip

    def _block(self, block: Block, around: tuple[str, ...]) -> list[str]:
        """around: the variable that counts the iterations of the block around this one, if there is one."""
        variable = "block" if any(isinstance(c, Block) for c in block.calls) else "t"
        counters = ((variable,) if block.repeat > 1 else ("",)) + around
        lines = []
        for c in block.calls:
            lines += self._block(c, counters) if isinstance(c, Block) else [self._call(c, counters)]
        if block.repeat == 1:
            return lines
        first, end = self._bounds(block)
        head = f"for (int {variable} = {first}; {variable} < {end}; {variable}++) {{"
        return [head, *(f"    {line}" for line in lines), "}"]

    def _bounds(self, block: Block) -> tuple[str, str]:
        """The iterations of a loop, from and up to, as C."""
        n, repeat = self.idents[f"{block.length}.limited"] if block.length else "", block.repeat
        text = {(0, 0): "0", (0, 1): n, (1, 0): str(repeat), (1, -1): f"{repeat} - {n}"}
        return tuple(text[bound] for bound in PARTS[block.part]) if block.length else ("0", str(repeat))

    def _limited(self, block: Block) -> str:
        """How many iterations the caller wants, of those that there are."""
        given, n = self.idents[block.length], self.idents[f"{block.length}.limited"]
        return f"const int {n} = *{given} < 0 ? 0 : *{given} > {block.repeat} ? {block.repeat} : (int)*{given};"

    def _call(self, call: Kernel, counters: tuple[str, ...]) -> str:
        """counters: variables that count the iterations of its block and of the one around, "" without a loop."""
        views = call.views()
        types = {} if self.float_mode else {f: self.ctype(self.program.buffers[views[f].buf]) for f in call.TYPES}
        function, text = runtime.instantiate(call.c_kernel(self.float_mode), self.prefix, types, self.isa.name)
        self.kernels[function] = text.replace("static void", f"{self.prefix.upper()}_KERNEL void")
        name = self.idents.fresh(call.name)
        fields = [(f, self._value(call, name, f, v)) for f, v in call.fields().items()]
        same = next((n for f, n, known in self.descriptors if (f, known) == (function, fields)), None)
        if same is None:  # calls of the same constants share them
            self.descriptors.append((function, name, fields))
        pointers = ["NULL" if v is None else self.pointer(v, counters) for v in views.values()]
        return f"{function}(&{same or name}, {', '.join(pointers)});"

    def _value(self, call: Kernel, name: str, field: str, value) -> str:
        if value is None:
            return "NULL"
        if isinstance(value, Function):
            self.scalars[value] = None
            return value.c.replace("hmdc_", f"{self.prefix}_")
        if isinstance(value, Const):
            return self._array(value.name + "_table", value.values)
        if isinstance(value, np.ndarray):
            if isinstance(call, Load):
                value = np.asarray(value).astype(self.ctype(self.program.buffers[call.y.buf]).removesuffix("_t"))
            return self._array(f"{name}_{field}", value)
        return c_number(value) if self.float_mode and isinstance(value, float) else str(int(value))

    def _array(self, name: str, values: np.ndarray) -> str:
        ctype = C_TYPES.get(values.dtype.name) or C_TYPES["float32"]
        values = values.astype(np.float32) if ctype == "float" else values
        key = (ctype, values.tobytes())
        if key not in self.arrays:
            self.arrays[key] = (self.idents.fresh(name), ctype, values)
        return self.arrays[key][0]


def c_number(v: float) -> str:
    """A float constant that reads back as the same float32."""
    if np.isinf(v):
        return "-3.402823466e+38f" if v < 0 else "3.402823466e+38f"
    text = repr(float(np.float32(v))) if np.float32(v) == v else np.format_float_scientific(np.float32(v))
    return text + ("f" if any(c in text for c in ".e") else ".0f")


def _rows(values: np.ndarray) -> list[str]:
    flat = values.ravel().tolist()
    write = {"float32": c_number, "uint32": "0x{:08x}".format}.get(values.dtype.name, str)
    text = ", ".join(map(write, flat))
    return wrap(text, WIDTH, break_long_words=False) if len(text) < 4000 else _fast_wrap(text)


def _fast_wrap(text: str) -> list[str]:
    """textwrap is slow on megabytes: break at the last space before the width."""
    lines, at = [], 0
    while len(text) - at > WIDTH:
        cut = text.rindex(" ", at, at + WIDTH)
        lines.append(text[at:cut])
        at = cut + 1
    return [*lines, text[at:]]


def environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip


def state_bytes(program: Program, plan: Plan) -> int:
    """sizeof of the state struct on every supported compiler; the generated C asserts it."""
    element = 4 if program.precision == "float32" else None
    sizes = [(element or b.bits // 8, b.size) for b in program.buffers.values() if b.role == "state"]
    sizes.append((4, len(program.rates) + (program.period > 1)))
    if plan.scratch:
        sizes.append((4, plan.scratch // 4))
    if not sum(n for _, n in sizes):
        return ALIGN
    total = sum(a * n for a, n in sizes)
    widest = max(a for a, n in sizes if n)
    return -(-total // widest) * widest
