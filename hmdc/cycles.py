"""Estimated cycles of executed instructions on Cortex-M0, M3 and M4, by the tables of the cores' reference manuals.

Cortex-M0 TRM r0p0 table 3-1, Cortex-M3 TRM r2p1 table 3-1, Cortex-M4 TRM r0p1 tables 3-1 and 7-1.  Assumed are zero
wait states, no stalls, the fast multiplier of the M0, and 2 cycles to refill the pipeline, of the 1 to 3 on M3 and M4.
Not seen: neighboring loads and stores that overlap on M3 and M4, addresses that wait for the instruction before.
Approximate: division and, on M3, long products end early and are taken at the middle of their range; a conditional
instruction other than a branch counts as executed whether its condition holds or not.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

REFILL = 2  # cycles of a taken jump, beside its own

# For each core: what an instruction looks like -> its cycles, and whether each word of its registers takes one more.
# The first that matches the start counts; everything else takes 1.
_MEMORY = ((r"v?(push|pop|ldm|stm)", 1, True), (r"(ldr|str)d", 3, False), (r"ldr|str", 2, False))
_TIMES = {
    "cortex-m0": ((r"bl ", 2, False), (r"pop .*pc", 2, True), (r"mrs|msr|isb|dmb|dsb", 4, False), *_MEMORY),
    "cortex-m3": (
        (r"ml[as]", 2, False),
        (r"[us]mull", 4, False),  # 3 to 5
        (r"[us]mlal", 6, False),  # 4 to 7
        (r"[us]div", 7, False),  # 2 to 12
        (r"tb[bh]", 2, False),
        *_MEMORY,
    ),
    "cortex-m4": (
        (r"[us]div", 7, False),  # 2 to 12
        (r"tb[bh]", 2, False),
        (r"v(div|sqrt)", 14, False),
        (r"v(n?ml[as]|fn?m[as])", 3, False),
        (r"v(ldr|str)\S* d", 3, False),
        (r"v(ldr|str)|vmov\S* \w+, \w+, ", 2, False),
        *_MEMORY,
    ),
}
_IF = "(?P<condition>eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?"
_BRANCH = re.compile(rf"(?P<name>bl?x?|cbn?z|tb[bh]){_IF}(\.\w)? ")
_TO_PC = re.compile(rf"(?P<name>pop|ldm(ia)?|ldr|mov|add){_IF}(\.\w)? (pc,|.*\{{.*pc)")  # jumps by their operands
_LINE = re.compile(r"^ *([0-9a-f]+):\t([0-9a-f ]+?) *\t([^\t\n]+)(?:\t([^\t\n]+))?", re.MULTILINE)


@dataclass(frozen=True)
class Instruction:
    end: int  # address after it
    text: str  # mnemonic, a space, operands

    @cached_property
    def jump(self) -> re.Match | None:
        return _BRANCH.match(self.text) or _TO_PC.match(self.text)

    @property
    def call(self) -> bool:
        """What comes after it runs when the function returns."""
        return bool(self.jump) and self.jump["name"] in ("bl", "blx")

    @property
    def conditional(self) -> bool:
        return bool(self.jump) and not self.call and bool(self.jump["condition"] or self.jump["name"].startswith("cb"))

    @property
    def target(self) -> int | None:
        """None when it is not a jump to a fixed place."""
        found = re.search(r"\b([0-9a-f]+) <", self.text) if self.jump else None
        return int(found[1], 16) if found else None


def estimate(core: str, disassembly: str, histogram: dict[int, int]) -> int | None:
    """Cycles of the executed instructions; None for a core without fixed timings (see the module for what is assumed).

    core: as in -mcpu.  disassembly: as objdump -d prints it.  histogram: address -> times executed.
    """
    if core not in _TIMES:
        return None
    code = {a: i for a, i in parse(disassembly).items() if a in histogram}
    own = sum(histogram[a] * _own(core, i.text) for a, i in code.items())
    return own + REFILL * sum(taken(code, histogram).values())


def parse(disassembly: str) -> dict[int, Instruction]:
    """Address -> instruction."""
    code = {}
    for address, raw, mnemonic, operands in _LINE.findall(disassembly):
        at = int(address, 16)
        code[at] = Instruction(at + len(raw.replace(" ", "")) // 2, f"{mnemonic} {operands}")
    return code


def _own(core: str, text: str) -> int:
    """Cycles of one execution, without the refill after a jump."""
    for pattern, cycles, for_words in _TIMES[core]:
        if re.match(pattern, text):
            return cycles + (_words(text) if for_words else 0)
    return 1


def _words(text: str) -> int:
    """Of the registers between the braces."""
    words = 0
    for part in text[text.index("{") + 1 : text.index("}")].split(","):
        first, _, last = part.strip().partition("-")
        count = int(last[1:]) - int(first[1:]) + 1 if last else 1
        words += 2 * count if first.startswith("d") else count
    return words


def taken(code: dict[int, Instruction], counts: dict[int, int]) -> dict[int, int]:
    """How often each executed jump was taken.  code: the executed instructions.

    A sum of jumps of which all but one are known gives that one.  Where there is none left (a test before a loop and
    the one at its end share both places that they lead to) one jump is put in the middle of what is possible.
    """
    sums = _sums(code, counts)
    found = {a: counts[a] for a, i in code.items() if i.jump and not i.conditional}
    missing = [a for a, i in code.items() if i.conditional]
    while missing:
        for total, terms in sums:
            unknown = [(a, sign) for a, sign in terms if a not in found]
            if len(unknown) == 1:
                a, sign = unknown[0]
                value = sign * (total - sum(s * found[b] for b, s in terms if b in found))
                found[a] = min(max(value, 0), counts[a])
        left = [a for a in missing if a not in found]
        if len(left) == len(missing):
            found[left[0]] = _middle(code[left[0]], counts[left[0]], counts)
        missing = left
    return found


def _sums(code: dict[int, Instruction], counts: dict[int, int]) -> list[tuple[int, list[tuple[int, int]]]]:
    """(total, [(address of a jump, 1 or -1)]): times taken with these signs add up to the total.

    What reaches an instruction falls through from the one before or jumps to it, and adds up to its executions.
    Jumps to places that are not in the code (switches, calls of pointers) are left out.
    """
    before = {i.end: (a, i) for a, i in code.items()}
    into, sums = defaultdict(list), []
    for a, i in code.items():
        into[i.target].append((a, 1))
    branches = [i for i in code.values() if i.conditional]
    for place in [*(i.end for i in branches), *(i.target for i in branches if i.target is not None)]:
        total, terms = counts.get(place, 0), [*into[place]]
        a, previous = before.get(place, (None, None))
        if previous and (previous.conditional or previous.call or not previous.jump):
            total -= counts[a]
        if previous and previous.conditional:
            terms.append((a, -1))
        sums.append((total, terms))
    return sums


def _middle(jump: Instruction, count: int, counts: dict[int, int]) -> int:
    """Of the times that it may have been taken, if nothing else than the counts around it is known."""
    least = count - min(count, counts.get(jump.end, 0))
    most = count if jump.target is None else min(count, counts.get(jump.target, 0))
    return (least + max(least, most)) // 2
