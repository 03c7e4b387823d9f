"""A pickle reader that cannot run code: a stack machine for the few opcodes that containers of tensors need.

Python's own Unpickler calls whatever the file names.  This one calls nothing: names become Name, and of all calls only
those in `calls` are replaced by functions of ours.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass

MAX_BYTES = 1 << 22


class Refused(Exception):
    """What the pickle holds beside containers, numbers and strings."""


@dataclass(frozen=True)
class Name:
    """A class or function that the file mentions."""

    name: str


SAME = {"BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINBYTES",
        "SHORT_BINBYTES"}  # fmt: skip
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
PUT, GET = {"BINPUT", "LONG_BINPUT", "MEMOIZE"}, {"BINGET", "LONG_BINGET"}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_pickle(content: bytes, calls: dict[str, Callable], persistent: Callable):
    """calls: full name -> what stands for a call of it.  persistent: of a persistent id.  Raises Refused, ValueError.

    Sizes stay in proportion to the file: strings are parts of it, and nothing is copied.
    """
    if len(content) > MAX_BYTES:
        raise ValueError(f"the list of tensors has {len(content)} bytes")
    machine = _Machine(calls, persistent)
    for op, argument, _ in pickletools.genops(content):
        if op.name == "STOP":
            return machine.pop()
        machine.do(op.name, argument)
    raise ValueError("the pickle has no end")


class _Machine:
    def __init__(self, calls: dict[str, Callable], persistent: Callable):
        self.calls, self.persistent = calls, persistent
        self.stack, self.marks, self.memo = [], [0], {}  # marks: where lists of items begin on the stack

    def pop(self):
        if len(self.stack) <= self.marks[-1]:
            raise ValueError("the pickle takes more than it has")
        return self.stack.pop()

    def top(self, kind: type):
        if len(self.stack) <= self.marks[-1] or not isinstance(self.stack[-1], kind):
            raise ValueError(f"the pickle fills something that is no {kind.__name__}")
        return self.stack[-1]

    def items(self) -> list:
        """Everything since the last mark."""
        if len(self.marks) < 2:
            raise ValueError("the pickle has no mark")
        at = self.marks.pop()
        found = self.stack[at:]
        del self.stack[at:]
        return found

    def do(self, op: str, argument) -> None:
        push = self.stack.append
        if op in ("PROTO", "FRAME"):
            return
        if op in SAME:
            push(argument)
        elif op in CONSTANTS:
            push(CONSTANTS[op])
        elif op == "MARK":
            self.marks.append(len(self.stack))
        elif op in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"):
            push({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}[op]())
        elif op in TUPLES:
            push(tuple([self.pop() for _ in range(TUPLES[op])][::-1]))
        elif op == "TUPLE":
            push(tuple(self.items()))
        elif op in PUT:
            self.memo[len(self.memo) if argument is None else argument] = self.top(object)
        elif op in GET:
            if argument not in self.memo:
                raise ValueError("the pickle recalls what it never kept")
            push(self.memo[argument])
        else:
            self._object(op, argument)

    def _object(self, op: str, argument) -> None:
        if op in ("APPEND", "APPENDS"):
            values = [self.pop()] if op == "APPEND" else self.items()
            self.top(list).extend(values)
        elif op in ("SETITEM", "SETITEMS"):
            values = [self.pop(), self.pop()][::-1] if op == "SETITEM" else self.items()
            self._fill(values)
        elif op == "GLOBAL":
            self.stack.append(Name(argument.replace(" ", ".")))
        elif op == "STACK_GLOBAL":
            name, module = self.pop(), self.pop()
            self.stack.append(Name(".".join((module, name))))  # strings, or the text could be endless
        elif op == "REDUCE":
            arguments, name = self.pop(), self.pop()
            self.stack.append(self._call(name, arguments))
        elif op == "BUILD":  # attributes of an ordered dict: the versions of PyTorch's modules
            self.pop()
            self.top(dict)
        elif op == "BINPERSID":
            self.stack.append(self.persistent(self.pop()))
        else:
            named = [v.name for v in self.stack[-2:] if isinstance(v, Name)]
            raise Refused(named[0] if op == "NEWOBJ" and named else f"objects ({op})")

    def _fill(self, values: list) -> None:
        """Keys are simple: the hash of nested tuples can take forever."""
        target = self.top(dict)
        if len(values) % 2 or not all(type(k) in (str, int, bool, float) for k in values[::2]):
            raise Refused("keys that are no names")
        target.update(zip(values[::2], values[1::2]))

    def _call(self, name, arguments):
        if not isinstance(name, Name) or not isinstance(arguments, tuple):
            raise ValueError("the pickle calls what is no function")
        if name.name not in self.calls:
            raise Refused(name.name)
        return self.calls[name.name](*arguments)
