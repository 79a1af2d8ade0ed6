"""The place of the first lowest of some values."""

import math
from collections.abc import Iterable


def first_lowest(values: Iterable[int]) -> int:
    """Return the index of the first lowest of some values, which are at least 0. No value after a 0 is looked at."""
    best, lowest = 0, math.inf
    for index, value in enumerate(values):
        if value < lowest:
            best, lowest = index, value
        if value == 0:
            break
    return best
