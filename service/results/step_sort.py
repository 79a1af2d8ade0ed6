"""Sorts long lists in steps, between which other threads go on. No other thread goes on while Python sorts."""

import heapq
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")

STEP = 20_000
"""Items that are sorted in one go."""


def sorted_in_steps(items: Sequence[Item], key: Callable[[Item], Any], *, reverse: bool = False) -> list[Item]:
    """As `sorted`: equal items stay in their order."""
    steps = [sorted(items[start : start + STEP], key=key, reverse=reverse) for start in range(0, len(items), STEP)]
    return steps[0] if len(steps) == 1 else list(heapq.merge(*steps, key=key, reverse=reverse))
