"""Mutation fuzzing of everything that hmdc reads.

    python -m tests.fuzz onnx pt --minutes 10 --seed 1    for each kind; make fuzz MINUTES=10 takes all kinds
    python -m tests.fuzz --mutants 200                    so many of each kind, always the same ones
    python -m tests.fuzz --replay FOLDER                  the files in there, whose names begin with the kind

A mutant that reaches new lines of the frontends becomes a seed.  Each must end as oracle.py says, within 10 seconds
and 1 GB.  One file of each sort of finding is left in --keep; once its cause is mended it belongs into
tests/fuzz/found, which tests/test_fuzz.py replays forever.
"""

import argparse
import os
import pickle
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402, F401  before memory is limited

from . import files, oracle, seeds  # noqa: E402
from .draw import Draw  # noqa: E402
from .kinds import KINDS, Kind  # noqa: E402

MEMORY, SECONDS = 1 << 30, 10  # for one mutant; of the processor's time
BATCH = 2000  # mutants of one process
OTHERS = ("mutation", "onnxruntime")  # stages whose crashes are those of other programs
TRACED = str(Path(oracle.hmdc.__file__).parent / "frontends")


class Lines:
    """A trace function: which lines of the frontends ran."""

    def __init__(self):
        self.known, self.new = set(), False

    def __call__(self, frame, event, _):
        if not frame.f_code.co_filename.startswith(TRACED):
            return None
        if event == "line" and (key := (frame.f_code.co_filename, frame.f_lineno)) not in self.known:
            self.known.add(key)
            self.new = True
        return self


def attempt(kind: Kind, path: Path, lines: Lines | None = None) -> tuple[str, str]:
    """What is wrong with how this file ends, as one line and in full; empty where nothing is."""

    def stage(name: str) -> None:
        path.with_name("stage").write_text(name)
        sys.settrace(lines if name == "load" else None)

    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        outcome = kind.run(path, stage)
        with path.with_name("outcomes").open("a") as f:
            f.write(f"{outcome!r}\n")
        return "", ""
    except oracle.Wrong as e:
        return str(e).partition("\n")[0], str(e)
    except Exception as e:  # whatever it is, it is not HmdcError
        return oracle.where(e), traceback.format_exc()
    finally:
        sys.settrace(None)
        signal.setitimer(signal.ITIMER_PROF, 0)


def limited(work: Callable[[], None]) -> str:
    """Run in a process of its own with little memory; how it died, if it did."""
    if (pid := os.fork()) == 0:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        warnings.simplefilter("ignore")  # as the command line does
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return f"more than {SECONDS} s" if code == -signal.SIGPROF else f"exit code {code}" if code else ""


class Fuzzer:
    """Mutants of one kind of file.  In `work`: the mutant, the stage that it is in, outcomes, and the new seeds."""

    def __init__(self, name: str, seed: int, work: Path, keep: Path):
        self.name, self.kind, self.seed, self.work, self.keep = name, KINDS[name], seed, work, keep
        self.path = work / f"m{self.kind.suffix}"
        self.told = self.path.with_suffix(".toml") if self.kind.told else work / "told"
        self.queue, self.lines = work / "queue", work / "lines"
        self.queue.mkdir(parents=True)
        (work / "stage").write_text("start")

    def run(self, end: float) -> None:
        """Mutants of mutants until then."""
        batch = 0
        while time.monotonic() < end:
            self.survive(lambda: self.guided(batch, end))  # noqa: B023
            batch += 1

    def count(self, mutants: int) -> None:
        """So many mutants of the bundled files: the same ones, whatever becomes of them."""
        first = 0
        while first < mutants:
            self.survive(lambda: self.plain(first, mutants))  # noqa: B023
            first = 1 + int((self.work / "number").read_text())

    def survive(self, work: Callable[[], None]) -> None:
        died = limited(work)
        stage = (self.work / "stage").read_text()
        if died == "exit code 1":
            raise RuntimeError(f"the fuzzer itself failed in {stage}, see above")
        if died and stage not in OTHERS:
            self.finding(f"{died} in {stage}", "")

    def guided(self, batch: int, end: float) -> None:
        draw, lines = Draw(np.random.default_rng([self.seed, batch])), Lines()
        known = [*self.kind.seeds(), *(p.read_bytes() for p in sorted(self.queue.iterdir()))]
        if self.lines.exists():
            lines.known = pickle.loads(self.lines.read_bytes())
        for i in range(BATCH):
            if time.monotonic() > end:
                break
            lines.new = False
            if self.one(draw, draw.pick(known), lines) and lines.new:
                known.append(self.path.read_bytes())
                (self.queue / f"{batch}_{i}").write_bytes(known[-1])
        self.lines.write_bytes(pickle.dumps(lines.known))

    def plain(self, first: int, last: int) -> None:
        known = self.kind.seeds()
        for i in range(first, last):
            (self.work / "number").write_text(str(i))
            draw = Draw(np.random.default_rng([self.seed, i]))
            self.one(draw, draw.pick(known), None)

    def one(self, draw: Draw, blob: bytes, lines: Lines | None) -> bool:
        """Whether nothing is wrong."""
        self.mutant(draw, blob)
        what, more = attempt(self.kind, self.path, lines)
        if what:
            self.finding(what, more)
        return not what and self.path.stat().st_size < 2 * seeds.MOST_BYTES

    def mutant(self, draw: Draw, blob: bytes) -> None:
        (self.work / "stage").write_text("mutation")  # onnx aborts while it infers the shapes of some
        try:
            self.path.write_bytes(self.kind.mutate(draw, blob))
        except Exception:  # the libraries that write such files do not hold everything
            self.path.write_bytes(draw.bytes(blob))
        self.told.unlink(missing_ok=True)
        if self.kind.told and draw.chance(0.3):
            self.told.write_bytes(files.toml(draw, seeds.TOLD))

    def finding(self, what: str, more: str) -> None:
        place = self.keep / f"{self.name}_{sha256(what.encode()).hexdigest()[:6]}{self.kind.suffix}"
        told = self.work / "found"
        if told.exists() and f"{place}\n" in told.read_text():
            return
        self.keep.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.path, place)
        if self.told.exists():
            shutil.copy(self.told, place.with_suffix(".toml"))
        with told.open("a") as f:
            f.write(f"{place}\n")
        print(f"{place}: {what}\n{more}", flush=True)


def fuzz(name: str, seconds: float, mutants: int, seed: int, keep: Path) -> int:
    """Number of findings."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        fuzzer = Fuzzer(name, seed, work, keep)
        if mutants:
            fuzzer.count(mutants)
        else:
            fuzzer.run(time.monotonic() + seconds)
        read = lambda file: (work / file).read_text().splitlines() if (work / file).exists() else []
        outcomes, found, queue = read("outcomes"), len(read("found")), len(list((work / "queue").iterdir()))
    rough = sum("last resort" in line for line in outcomes)
    print(f"{name}: seed {seed}, {len(outcomes)} mutants, {queue} with new lines, {rough} refused by the last resort "
          f"only, {found} findings", flush=True)  # fmt: skip
    return found


def replay(folder: Path) -> int:
    """Number of files in there that do not end as they should."""
    found = 0
    with tempfile.TemporaryDirectory() as work:
        for file in sorted(p for p in folder.iterdir() if p.suffix != ".toml" or p.name.startswith("recipe_")):
            fuzzer = Fuzzer(file.name.partition("_")[0], 0, Path(work) / file.name, folder)
            shutil.copy(file, fuzzer.path)
            if file.with_suffix(".toml").exists() and fuzzer.kind.told:
                shutil.copy(file.with_suffix(".toml"), fuzzer.told)

            def check(fuzzer: Fuzzer = fuzzer) -> None:
                (fuzzer.work / "found").write_text("".join(attempt(fuzzer.kind, fuzzer.path)))

            died = limited(check)
            what = died or (fuzzer.work / "found").read_text()
            found += bool(what)
            print(f"{file}: {what or 'ends as it should'}", flush=True)
    return found


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    p.add_argument("--minutes", type=float, default=1.0, help="for each kind")
    p.add_argument("--mutants", type=int, default=0, help="for each kind, instead of minutes")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="folder for what is found")
    p.add_argument("--replay", type=Path, help="folder of files to run instead")
    o = p.parse_args()
    if o.replay:
        return int(replay(o.replay) > 0)
    return int(sum(fuzz(name, o.minutes * 60, o.mutants, o.seed, o.keep) for name in o.kinds or KINDS) > 0)


if __name__ == "__main__":
    sys.exit(main())
