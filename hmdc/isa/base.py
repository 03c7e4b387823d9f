"""What an instruction set is, and how an integer Program is fitted to one."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

from ..kernels import Kernel, Matmul
from ..program import Block, Buffer, Format, Program, View

Variant = Callable[["Fitting", Kernel], list[Kernel] | None]


@dataclass(frozen=True)
class Isa:
    """name: folder of runtime_c whose files take the place of those of the same name above it.

    instructions, kernels: for people.  guard: C condition under which its assembly can be used.  variants: kernel ->
    function that returns the calls that replace one call, or None where the call stays as it is.  header: included
    under the guard.
    """

    name: str
    instructions: str
    kernels: str
    guard: str = ""
    variants: dict[type[Kernel], Variant] = field(default_factory=dict)
    header: str = ""
    gains: bool = False  # whether its products take columns that count more than once


class Fitting:
    """What a variant may ask for: operands in the form that its kernel reads, and temporaries."""

    def __init__(self, program: Program):
        self.buffers = dict(program.buffers)
        self._ready: dict[tuple, View] = {}  # (form, view) -> operand that still holds it
        self._names: dict[tuple, str] = {}
        self.emitted: list[Kernel] = []

    def bits(self, v: View) -> int:
        return self.buffers[v.buf].bits

    def temporary(self, name: str, size: int, bits: int) -> View:
        """A buffer of the given name, which grows to the largest size asked for."""
        most = max(size, self.buffers[name].size if name in self.buffers else 0)
        self.buffers[name] = Buffer(name, most, Format(bits), scale=1.0)
        return View(name, 0, (size,), (1,))

    def operand(self, x: View, form: str, make: Callable[[View], tuple[Kernel, View]]) -> View:
        """x in another form.  make: emits nothing itself, returns the call and the view; once per value of x."""
        key = (form, x)
        if key not in self._ready:
            call, view = make(x)
            self.emit(call)
            self._ready[key] = view
        return self._ready[key]

    def operand_name(self, x: View, form: str) -> str:
        """The name of the buffer that holds x in that form: one for each."""
        key = (form, x.buf, x.offset, x.shape)
        return self._names.setdefault(key, f"{x.buf}.{form}{len(self._names) or ''}")

    def emit(self, call: Kernel) -> None:
        written = {v.buf for v in call.writes()}
        self._ready = {k: v for k, v in self._ready.items() if k[1].buf not in written and v.buf not in written}
        self.emitted.append(call)

    def take(self, kind: type[Kernel], y: View) -> Kernel | None:
        """Withdraw the call of that kind which wrote y, if it may as well come now: nobody used y or wrote x since."""
        written = set()
        for i, call in reversed(list(enumerate(self.emitted))):
            if isinstance(call, Block):
                return None
            if any(v.buf == y.buf for v in call.reads() + call.writes()):
                late = any(v.buf in written for v in call.reads())
                same = isinstance(call, kind) and call.y.size == y.size and call.y.reshape(y.size) == y.reshape(y.size)
                return self.emitted.pop(i) if same and not late else None
            written |= {v.buf for v in call.writes()}
        return None

    def start(self, calls: list) -> list:
        """What comes next goes into these calls of a block: nothing is known about the operands."""
        self._ready, self.emitted = {}, calls
        return calls


def fit(program: Program, isa: Isa) -> Program:
    """The program with the calls of that instruction set; it computes the same bits.  Float programs stay."""
    if program.precision == "float32":
        return program
    fitting, functions = Fitting(program), {}
    for name, blocks in program.functions.items():
        functions[name] = [_fit_block(fitting, b, isa) for b in blocks]
    return _unique_names(replace(program, buffers=fitting.buffers, functions=functions))


def _fit_block(fitting: Fitting, block: Block, isa: Isa) -> Block:
    calls = fitting.start([])
    for call in block.calls:
        if isinstance(call, Block):
            calls.append(_fit_block(fitting, call, isa))
            fitting.start(calls)
            continue
        _fit_call(fitting, call, isa)
    return replace(block, calls=calls)


def _fit_call(fitting: Fitting, call: Kernel, isa: Isa) -> None:
    gained = isinstance(call, Matmul) and call.gain > 0
    variant = isa.variants.get(type(call)) if isa.gains or not gained else None
    calls = variant(fitting, call) if variant else None
    if calls is None and gained:
        for part in call.ungained(fitting.temporary(f"{call.y.buf}.x", len(call.w), 32)):
            _fit_call(fitting, part, isa)
        return
    for c in calls or [call]:
        fitting.emit(c)


def _unique_names(program: Program) -> Program:
    """Operands are prepared in several places: number the later calls."""
    seen: dict[str, int] = {}

    def numbered(call: Kernel) -> list[Kernel]:
        n = seen[call.name] = seen.get(call.name, 0) + 1
        return [call if n == 1 else replace(call, name=f"{call.name}_{n}")]

    functions = {name: [b.map(numbered) for b in blocks] for name, blocks in program.functions.items()}
    return replace(program, functions=functions)


def up(n: int, multiple: int) -> int:
    """The next multiple from n on."""
    return -(-n // multiple) * multiple


def become(kind: type[Kernel], call: Kernel, **changes) -> Kernel:
    """The call as a subclass of its kernel."""
    return kind(**{f.name: getattr(call, f.name) for f in fields(call)} | changes)
