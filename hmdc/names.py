"""Names that go into C.  Nothing a model says reaches the generated code except through `identifier`."""

import re

# C99, C++ and the names that the generated code uses itself
RESERVED = frozenset(
    """alignas alignof and and_eq asm auto bitand bitor block bool break case catch char char16_t char32_t class
    compl concept const const_cast constexpr continue decltype default delete do double dynamic_cast else enum
    explicit export extern false float for friend goto if inline int int8_t int16_t int32_t int64_t linux long main
    mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register
    reinterpret_cast requires restrict return s scratch elapsed waited written short signed sizeof static static_assert
    static_cast struct switch t template this thread_local throw true try typedef typeid typename uint8_t
    uint16_t uint32_t uint64_t union unix unsigned unused using virtual void volatile wchar_t while words xor xor_eq
    NULL""".split()
)

# macros of the headers that the generated code includes, and math functions, which its layers are called after
HEADERS = re.compile(
    "U?INT.*_(MAX|MIN|C)|(SIZE|PTRDIFF|WCHAR|WINT|SIG_ATOMIC)_M(AX|IN)|NULL|NAN|INFINITY|M_.*|HUGE_VAL.*|FP_.*|"
    "(a?(sin|cos|tan)h?|atan2|exp2?|expm1|log(2|10|1p|b)?|sqrt|cbrt|pow|hypot|erfc?|[lt]gamma|f?abs|fmod|fmax|fmin|fma|"
    "fdim|ceil|floor|trunc|l*r(ound|int)|nearbyint|remainder|remquo|modf|frexp|ldexp|scalbl?n|i?logb|copysign|nan)[fl]?"
)

# headers that NAME.h would hide from a program
FILES = frozenset(
    """assert complex ctype errno fenv float inttypes limits locale math semihost setjmp signal stdarg stdbool stddef
    stdint stdio stdlib string tgmath time wchar wctype""".split()
)


def prefix(text: str) -> str:
    """The nearest name for the files and the symbols of a network."""
    name = identifier(text)
    return name + "_" if name.lower() in FILES else name


def identifier(text: str) -> str:
    """The nearest C identifier of at most 48 characters: letters, digits and single underscores."""
    name = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9]", "_", text)).strip("_")[:48].strip("_") or "v"
    if name[0].isdigit():
        name = "v" + name
    return name + "_" if name in RESERVED else name


class Namespace:
    """Hands out identifiers, never the same for two.  Names that begin like `prefix` belong to the generated API."""

    def __init__(self, prefix: str):
        self._prefix, self._taken, self._names = prefix.lower(), set(), {}

    def fresh(self, text: str) -> str:
        """A new identifier near `text`."""
        base = identifier(text)
        if base.lower() == self._prefix or base.lower().startswith(self._prefix + "_") or HEADERS.fullmatch(base):
            base = "v_" + base
        name, n = base, 2
        while name in self._taken:
            name, n = f"{base}_{n}", n + 1
        self._taken.add(name)
        return name

    def __getitem__(self, key: str) -> str:
        """The identifier of `key`, always the same."""
        if key not in self._names:
            self._names[key] = self.fresh(key)
        return self._names[key]
