"""The board room: builds firmware for a QEMU board, runs it, counts its instructions and reads its sizes.

A board is a folder `boards/NAME` with `board.toml` and `memory.ld`; what all boards share is in `boards/common`.
QEMU counts instructions, not cycles: unaligned loads, flash wait states and two-beat MVE instructions are invisible.
"""

import bisect
import contextlib
import hashlib
import math
import os
import platform
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hmdc import paths
from hmdc.errors import HmdcError

_INSTALL = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "arm-none-eabi-objdump": "binutils-arm-none-eabi",
    "qemu-system-arm": "qemu-system-arm",
    "gcc": "gcc",
}
_LAYOUT = ("-ffunction-sections", "-fdata-sections", "-g")  # the linker drops what is unused; -g changes no instruction
# Loops of the harness stay loops: a call of memcpy from there would count as the model's support code.
_HARNESS = ("-std=c99", "-O2", "-fno-tree-loop-distribute-patterns", *_LAYOUT)
_COMMON = {"start": (), "semihost": (), "support": ("-fno-builtin",)}  # boards/common/*.c and their further flags
_LINK = ("-nostdlib", "-Wl,--gc-sections", "-Wl,--build-id=none")
_MARKERS = ("board_mark_begin", "board_mark_end")
_QUIET = ("-display", "none", "-serial", "none", "-monitor", "none", "-semihosting-config", "enable=on,target=native")
_EMPTY_REGION = 2  # the return of the begin marker and the call of the end marker


@dataclass(frozen=True)
class Board:
    """A machine that QEMU emulates."""

    name: str  # of the folder, and QEMU's name of the machine
    core: str  # as in -mcpu: "cortex-m4"
    description: str
    machine: str  # qemu-system-arm -M
    machine_args: tuple[str, ...]
    cflags: tuple[str, ...]  # that select the core, its FPU and its ABI
    path: Path  # of the folder


@dataclass(frozen=True)
class Execution:
    """What a program that ended with status 0 left behind."""

    regions: list[int]  # instructions executed in each marked region, in order; empty when they were not counted
    text: str  # what it printed
    histograms: list[dict[int, int]]  # for each region address -> times executed; the sum is the region's count


@dataclass(frozen=True)
class Origin:
    """Where an instruction comes from."""

    part: str  # "model", "support" (of libgcc, libm, libc, memcpy) or "harness"
    function: str  # as in C, without the suffixes of the compiler's clones
    line: int | None  # of the model's C file; None in the other parts


def load_boards() -> dict[str, Board]:
    """All boards by name, in alphabetical order. HmdcError names the file with a missing, unknown or mistyped key."""
    return {file.parent.name: _load_board(file) for file in sorted(paths.BOARDS.glob("*/board.toml"))}


def _load_board(file: Path) -> Board:
    expected = {"description": str, "core": str, "machine": str, "machine_args": list, "cflags": list}
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise HmdcError(f"{file}: {error}") from error
    if values.keys() != expected.keys():
        raise HmdcError(f"{file} has the keys {', '.join(values) or 'none'}; it needs exactly {', '.join(expected)}")
    for key, kind in expected.items():
        if not isinstance(values[key], kind):
            raise HmdcError(f"{file}: {key} = {values[key]!r} must be a {kind.__name__}")
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return Board(name=file.parent.name, path=file.parent, **{**values, **lists})


def model_flags(board: Board, opt: Sequence[str] = ("-O3",)) -> list[str]:
    """The compiler flags that `build` uses for the model, for the record beside a figure."""
    return [*board.cflags, "-std=c99", *opt, *_LAYOUT]


def gcc_version() -> str:
    """Of arm-none-eabi-gcc, as in "12.2.1". HmdcError when it is missing."""
    return _tool("arm-none-eabi-gcc", ["-dumpfullversion"], Path.cwd()).strip()


def build(
    board: Board,
    harness: Sequence[Path],
    model_c: Path,
    include: Sequence[Path],
    workdir: Path,
    opt: Sequence[str] = ("-O3",),
    libs: Sequence[str] = (),
) -> Path:
    """Compiles the model and the harness (the C files with `main`) and links `workdir/firmware.elf`.

    `include` are directories for both; the harness also finds "semihost.h". `opt` is for the model alone. `libs` are
    linker arguments for what the model needs beside libgcc: ("-lm", "-lc_nano") for float32 models.
    HmdcError when the compiler is missing, or with the first error that it reports.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    includes = [f"-I{folder.resolve()}" for folder in include]
    common = paths.BOARDS / "common"
    objects = ["model.o"]  # these names are known to link.ld
    _compile(model_c, "model.o", [*model_flags(board, opt), *includes], workdir)
    for name, flags in _COMMON.items():
        objects.append(f"{name}.o")
        _compile(common / f"{name}.c", objects[-1], [*board.cflags, *_HARNESS, *flags], workdir)
    for source in harness:
        objects.append(f"{source.stem}.harness.o")  # whatever its name, never taken for the model
        _compile(source, objects[-1], [*board.cflags, *_HARNESS, f"-I{common.resolve()}", *includes], workdir)
    scripts = [f"-Wl,-T,{script.resolve()}" for script in (board.path / "memory.ld", common / "link.ld")]
    link = [*board.cflags, *_LINK, *scripts, *objects, *libs, "-lgcc", "-o", "firmware.elf"]
    _tool("arm-none-eabi-gcc", link, workdir)
    return workdir / "firmware.elf"


def _compile(source: Path, target: str, flags: Sequence[str], workdir: Path) -> None:
    _tool("arm-none-eabi-gcc", [*flags, "-c", str(source.resolve()), "-o", target], workdir)


def _tool(name: str, arguments: Sequence[str], workdir: Path) -> str:
    """What a tool of the compiler prints, run in `workdir`; HmdcError with its first error."""
    command = [_find(name), *arguments]
    english = {**os.environ, "LC_ALL": "C"}  # errors read "error:"
    done = subprocess.run(command, cwd=workdir, env=english, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.splitlines() or [f"status {done.returncode}"]
        telling = (line for line in lines if re.search("error:|undefined|overflowed|cannot|multiple definition", line))
        raise HmdcError(f"{name} failed: {next(telling, lines[-1]).strip()}")
    return done.stdout


def _find(tool: str) -> str:
    found = shutil.which(tool)
    if found is None:
        raise HmdcError(f"{tool} is not installed: on Debian/Ubuntu: apt-get install {_INSTALL[tool]}")
    return found


def execute(
    board: Board, elf: Path, workdir: Path, count: bool = False, timeout: float = 60.0, histogram: bool = False
) -> Execution:
    """Runs the firmware in QEMU until it exits; the host files that it opens are relative to `workdir`.

    `count` fills `regions`, `histogram` (which implies it) also `histograms`; `timeout` is in seconds.
    HmdcError when QEMU is missing, after the timeout, and with the program's last line when its status is not 0.
    """
    qemu = _find("qemu-system-arm")
    command = [qemu, "-M", board.machine, *board.machine_args, "-kernel", str(elf.resolve()), *_QUIET]
    workdir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hmdc-", dir=workdir) as scratch:
        # Relative names: a comma in a path would end a plugin's argument.
        counts, hist = (Path(Path(scratch).name) / name for name in ("counts", "hist"))
        if count or histogram:
            command += ["-plugin", _plugin_arguments(elf, workdir, counts, hist if histogram else None)]
        text = _run_qemu(board, command, workdir, timeout)
        regions = _read_counts(workdir / counts) if count or histogram else []
        return Execution(regions, text, _read_histograms(workdir / hist, _marks(elf)) if histogram else [])


def _run_qemu(board: Board, command: Sequence[str], workdir: Path, timeout: float) -> str:
    with subprocess.Popen(
        command, cwd=workdir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as qemu:
        _limit_cpu_time(qemu.pid, timeout)
        try:
            output, _ = qemu.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            qemu.kill()
            said = _last_line(qemu.communicate()[0])
            advice = "raise the timeout or look for an endless loop"
            raise HmdcError(f"{board.name} did not finish within {timeout:g} s; {said}; {advice}") from None
        finally:
            qemu.kill()
    if qemu.returncode != 0:
        raise HmdcError(f"{board.name} stopped with status {qemu.returncode}; {_last_line(output)}")
    return output.decode(errors="replace")


def _limit_cpu_time(pid: int, timeout: float) -> None:
    """Ends QEMU even when this process is killed before it can; twice the time, as QEMU has more than one thread."""
    import resource  # absent on Windows, and its prlimit on macOS

    if hasattr(resource, "prlimit"):
        seconds = 2 * math.ceil(timeout) + 2
        with contextlib.suppress(ProcessLookupError):  # already done
            resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, seconds))


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").split("\n")
    return next((f"its last line: {line.strip()}" for line in reversed(lines) if line.strip()), "it printed nothing")


def _plugin_arguments(elf: Path, workdir: Path, counts: Path, hist: Path | None) -> str:
    symbols, sections = _symbols(elf), _sections(elf)
    if missing := [name for name in _MARKERS if name not in symbols]:
        raise HmdcError(f"{elf.name} cannot be counted: it never calls {' and '.join(missing)}")
    begin, end = (symbols[name][0] & ~1 for name in _MARKERS)  # bit 0 says Thumb
    arguments = [_plugin(workdir).replace(",", ",,"), f"begin={begin:#x}", f"end={end:#x}", f"counts={counts}"]
    if hist is not None:
        code = [sections[name] for name in (".model.text", ".support.text", ".text") if name in sections]
        low, high = min(start for start, _ in code), max(start + size for start, size in code)
        arguments += [f"hist={hist}", f"low={low:#x}", f"high={high:#x}"]
    return ",".join(arguments)


def _plugin(workdir: Path) -> str:
    """The instruction counter, built once for each version of its source and kept in the user's cache."""
    source = paths.BOARDS / "common" / "insn_count.c"
    flags = ["-std=c99", "-O2", "-fPIC", "-shared", "-fvisibility=hidden"]
    key = hashlib.sha256(source.read_bytes() + " ".join(flags).encode()).hexdigest()[:16]
    library = _cache(workdir) / f"insn_count-{platform.machine()}-{key}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=library.parent) as scratch:  # renamed when complete: others may build it
            _tool("gcc", [*flags, str(source.resolve()), "-o", library.name], Path(scratch))
            os.replace(Path(scratch) / library.name, library)
    return str(library.resolve())


def _cache(otherwise: Path) -> Path:
    """The user's cache directory, or `otherwise` where there is no home to write to."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hmdc"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return otherwise
    return folder if os.access(folder, os.W_OK) else otherwise


def _read_counts(file: Path) -> list[int]:
    return [int(line) - _EMPTY_REGION for line in file.read_text().splitlines()]


def _marks(elf: Path) -> set[int]:
    """Addresses of what an empty region counts: the return of the begin marker and all calls of the end marker."""
    begin, end = _MARKERS
    calls = re.findall(rf"^ *([0-9a-f]+):.*<{end}>$", disassembly(elf), re.MULTILINE)
    return {_symbols(elf)[begin][0] & ~1, *(int(address, 16) for address in calls)}


def _read_histograms(file: Path, without: set[int]) -> list[dict[int, int]]:
    histograms: list[dict[int, int]] = []
    for line in file.read_text().splitlines():
        first, second = line.split()
        if first == "region":
            histograms.append({})
        elif (address := int(first, 16)) not in without:
            histograms[-1][address] = int(second)
    return histograms


def sizes(elf: Path) -> dict[str, int]:
    """Bytes of the model in a linked firmware, without the harness and what the linker dropped as unused.

    code_bytes = model_code_bytes + support_bytes (functions of libgcc, libm, libc and memcpy that were linked for it).
    const_bytes: constants and the initial values of variables; with code_bytes, the flash that the model takes.
    ram_bytes: variables, and the symbol `hmdc_instance`, by which a harness names its model's state; no stack.
    """
    sections = {name: size for name, (_, size) in _sections(elf).items()}
    symbols = _symbols(elf)

    def total(*names: str) -> int:
        return sum(sections.get(name, 0) for name in names)

    variables = total(".model.data", ".support.data")
    instance = symbols["hmdc_instance"][1] if "hmdc_instance" in symbols else 0
    return {
        "code_bytes": total(".model.text", ".support.text"),
        "model_code_bytes": total(".model.text"),
        "support_bytes": total(".support.text"),
        "const_bytes": total(".model.rodata", ".support.rodata") + variables,
        "ram_bytes": total(".model.bss", ".support.bss") + variables + instance,
    }


def disassembly(elf: Path) -> str:
    """The code as arm-none-eabi-objdump -d prints it. HmdcError when that is missing."""
    return _tool("arm-none-eabi-objdump", ["-d", str(elf.resolve())], elf.parent)


def origins(elf: Path, addresses: Iterable[int]) -> dict[int, Origin]:
    """Where each of these instructions of a linked firmware comes from, by the symbols and by DWARF."""
    parts = {}
    for part in ("model", "support"):
        start, size = _sections(elf).get(f".{part}.text", (0, 0))
        parts[part] = range(start, start + size)
    functions, lines = _functions(elf), _lines(elf, parts["model"])
    found = {}
    for address in addresses:
        part = next((name for name, place in parts.items() if address in place), "harness")
        line = _below(lines, address) if part == "model" else None
        found[address] = Origin(part, _below(functions, address).split(".")[0], line)
    return found


def _below(table: list[tuple], address: int):
    """What the last entry at or before the address says."""
    return table[bisect.bisect_right(table, address, key=lambda entry: entry[0]) - 1][1]


def _functions(elf: Path) -> list[tuple[int, str]]:
    """(address, name), in ascending order."""
    from elftools.elf.elffile import ELFFile

    with elf.open("rb") as stream:
        symbols = list(ELFFile(stream).get_section_by_name(".symtab").iter_symbols())
    return sorted((s["st_value"] & ~1, s.name) for s in symbols if s["st_info"]["type"] == "STT_FUNC")


def _lines(elf: Path, model: range) -> list[tuple[int, int]]:
    """(address, line of the model's C file), in ascending order; what arm_mve.h does belongs to the line before."""
    from elftools.elf.elffile import ELFFile

    with elf.open("rb") as stream:
        dwarf = ELFFile(stream).get_dwarf_info()
        unit = next(dwarf.iter_CUs())  # model.o is linked first
        states = [entry.state for entry in dwarf.line_program_for_CU(unit).get_entries() if entry.state]
    sequences: list[list[tuple[int, int]]] = [[]]  # one for each function
    for state in states:
        if state.end_sequence:
            sequences.append([])
        elif state.line and state.file <= 1:  # the C file itself: 1, since DWARF 5 also 0
            sequences[-1].append((state.address, state.line))
    # Functions that the linker dropped are left at address 0, where they would overlap with others.
    return [entry for sequence in sorted(s for s in sequences if s and s[0][0] in model) for entry in sequence]


def _sections(elf: Path) -> dict[str, tuple[int, int]]:
    """Name -> (address, bytes)."""
    from elftools.elf.elffile import ELFFile

    with elf.open("rb") as stream:
        return {s.name: (s["sh_addr"], s["sh_size"]) for s in ELFFile(stream).iter_sections()}


def _symbols(elf: Path) -> dict[str, tuple[int, int]]:
    """Name -> (value, bytes)."""
    from elftools.elf.elffile import ELFFile

    with elf.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        return {s.name: (s["st_value"], s["st_size"]) for s in table.iter_symbols()} if table is not None else {}
