"""The data of the accuracy benchmarks: what each network is trained and tested on.  ../README.md describes them."""

from collections.abc import Callable

from . import moving
from .digits import digits8, digits16, mnist
from .sets import PARTS, Part, Splits
from .speech import keywords_gru, keywords_lstm, samples
from .spoken import spoken
from .watch import exercises

__all__ = ["PARTS", "SETS", "Part", "Splits", "moving", "samples"]

# Each is fetched or made by the first call, and kept in the cache.
SETS: dict[str, Callable[[], Splits]] = {
    make.__name__: make
    for make in (keywords_lstm, keywords_gru, mnist, digits16, digits8, spoken, exercises)
}  # fmt: skip
