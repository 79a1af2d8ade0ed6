"""Which trials of a bracket go on from a rung: ASHA's rule (Li et al., arXiv 1810.05934, algorithm 2).

Rung k is reached after min_resource · reduction_factor^(k + s) epochs, s being the bracket's early-stopping rate. Of
the n trials that have reached a rung, the best ⌊n / reduction_factor⌋ go on to the next one, whenever they come to be
among these; the higher rung comes first. A value that is nan is worse than any.
"""

import math
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator

MAX_EPOCHS = 10_000_000


class Rungs:
    """The values of one bracket's trials at its rungs, by trial number."""

    def __init__(
        self, first_epochs: int, reduction_factor: int, *, maximize: bool, end_epochs: int = MAX_EPOCHS
    ) -> None:
        """The first rung is reached after `first_epochs`; a trial ends after `end_epochs`, where no rung is."""
        self._first_epochs = first_epochs
        self._end_epochs = end_epochs
        self._factor = reduction_factor
        self._sign = -1.0 if maximize else 1.0
        self._ranked: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
        self._keys: dict[tuple[int, int], tuple[float, int]] = {}

    def epochs(self) -> Iterator[int]:
        """After how many epochs each rung is reached, the first one first."""
        epochs = self._first_epochs
        while epochs < self._end_epochs:
            yield epochs
            epochs *= self._factor

    def add(self, rung: int, number: int, value: float) -> None:
        """Note a trial's value at a rung; another one of the same trial takes its place."""
        ranked = self._ranked[rung]
        known = self._keys.get((rung, number))
        if known is not None:
            del ranked[bisect_left(ranked, known)]
        key = (math.inf if math.isnan(value) else self._sign * value, number)
        self._keys[rung, number] = key
        insort(ranked, key)

    def top(self, rung: int) -> list[int]:
        """The trials that may go on from a rung, best first; the earlier one first where two are equal."""
        ranked = self._ranked[rung]
        return [number for _, number in ranked[: len(ranked) // self._factor]]

    def is_top(self, rung: int, number: int) -> bool:
        ranked = self._ranked[rung]
        return bisect_left(ranked, self._keys[rung, number]) < len(ranked) // self._factor

    def highest_first(self) -> list[int]:
        """The rungs that any trial has reached."""
        return sorted(self._ranked, reverse=True)
