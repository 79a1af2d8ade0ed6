"""Which trials of a bracket go on from a rung: ASHA's rule (Li et al., arXiv 1810.05934, algorithm 2).

Each rung is reached after `rung_factor` times the epochs of the one before, rounded to whole epochs and at least one
more. In the paper this is the reduction factor, and rung k is reached after min_resource · reduction_factor^(k + s)
epochs, where s is the bracket's early-stopping rate. Of the n trials that have reached a rung, the best
⌊n / reduction_factor⌋ may go on to the next one, as soon as they are among these. The higher rung comes first. A nan is
worse than any other value.
"""

import math
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator

MAX_EPOCHS = 10_000_000
ROUNDING = 1e-9
"""A quotient this close to a whole number is that number: n / 1.1 is not exact."""


def next_rung(epochs: int, rung_factor: float) -> int:
    """Number of epochs after which the rung after one of `epochs` epochs is reached."""
    return max(epochs + 1, round(epochs * rung_factor))


class Rungs:
    """The values of one bracket's trials at its rungs, by trial number."""

    def __init__(
        self,
        first_epochs: int,
        reduction_factor: float,
        *,
        maximize: bool,
        rung_factor: float | None = None,
        end_epochs: int = MAX_EPOCHS,
    ) -> None:
        """Rung 0 is reached after `first_epochs` epochs. A trial ends after `end_epochs`, so there is no rung then.

        Without `rung_factor` the epochs of the rungs grow by the reduction factor.
        """
        self._first_epochs = first_epochs
        self._end_epochs = end_epochs
        self._factor = reduction_factor
        self._rung_factor = reduction_factor if rung_factor is None else rung_factor
        self._sign = -1.0 if maximize else 1.0
        self._ranked: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
        self._keys: dict[tuple[int, int], tuple[float, int]] = {}

    def epochs(self) -> Iterator[int]:
        """Number of epochs after which each rung is reached, from rung 0 on."""
        epochs = self._first_epochs
        while epochs < self._end_epochs:
            yield epochs
            epochs = next_rung(epochs, self._rung_factor)

    def add(self, rung: int, number: int, value: float) -> list[int]:
        """Add a trial's value at a rung, or replace its value there.

        Returns the numbers of this trial and of the few others that may have come to be among the best, or have been.
        """
        ranked = self._ranked[rung]
        known = self._keys.get((rung, number))
        if known is not None:
            del ranked[bisect_left(ranked, known)]
        key = (math.inf if math.isnan(value) else self._sign * value, number)
        self._keys[rung, number] = key
        insort(ranked, key)
        n_top = self._n_top(rung)
        return [number, *(other for _, other in ranked[max(0, n_top - 1) : n_top + 1])]

    def top(self, rung: int) -> list[int]:
        """Numbers of the trials that may go on from a rung, best first. Equal trials are sorted by number."""
        ranked = self._ranked[rung]
        return [number for _, number in ranked[: self._n_top(rung)]]

    def is_top(self, rung: int, number: int) -> bool:
        """Whether a trial at a rung may go on from it."""
        key = self._keys.get((rung, number))
        return key is not None and bisect_left(self._ranked[rung], key) < self._n_top(rung)

    def place(self, rung: int, number: int) -> tuple[float, int]:
        """A key that sorts the trials at a rung, best first."""
        return self._keys[rung, number]

    def _n_top(self, rung: int) -> int:
        return int(len(self._ranked[rung]) / self._factor + ROUNDING)
