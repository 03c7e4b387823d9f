"""Whole numbers: divisors, balanced factorizations, and sizes to which an awkward dimension is padded."""

from functools import lru_cache
from math import isqrt, prod

PAD = 8  # rows or columns that padding tries to add, at least
AWKWARD = 1.3  # padding is worth it where it lowers the sum of the factors by more than this


@lru_cache(maxsize=4096)
def divisors(n: int) -> tuple[int, ...]:
    low = [d for d in range(1, isqrt(n) + 1) if n % d == 0]
    return tuple(low + [n // d for d in reversed(low) if d * d != n])


def near_divisors(n: int, k: int) -> list[int]:
    """The divisors of n next to k, one below and one above."""
    below, above = [d for d in divisors(n) if d < k], [d for d in divisors(n) if d > k]
    return below[-1:] + above[:1]


@lru_cache(maxsize=65536)
def balanced(n: int, d: int) -> tuple[int, ...]:
    """The d factors of n with the least sum, largest first: (59, 2) for 118."""
    if d == 1:
        return (n,)
    splits = (tuple(sorted((f, *balanced(n // f, d - 1)), reverse=True)) for f in divisors(n) if f**d <= n)
    return min(splits, key=lambda s: (sum(s), s))


@lru_cache(maxsize=1024)
def smooth(n: int, d: int) -> tuple[int, ...]:
    """d factors, largest first, whose product is n, or a little more where n has no balanced factors."""
    exact = balanced(n, d)
    padded = min((balanced(k, d) for k in range(n, n + PAD + n // 64 + 1)), key=lambda s: (sum(s), prod(s)))
    return exact if sum(exact) <= AWKWARD * sum(padded) else padded


@lru_cache(maxsize=4096)
def ordered(n: int, d: int) -> tuple[tuple[int, ...], ...]:
    """Every way to write n as a product of d factors."""
    if d == 1:
        return ((n,),)
    return tuple((f, *rest) for f in divisors(n) for rest in ordered(n // f, d - 1))
