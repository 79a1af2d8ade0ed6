from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

from service.diagnosis.curve_pair import CurvePair

LOW_SHARE = 0.25


@dataclass(frozen=True)
class Yardstick:
    """What the trials of a study reach in validation: where they start, and the best of all by each epoch."""

    start: float
    steps: list[int]
    best: list[float]

    @classmethod
    def of(cls, pairs: Iterable[CurvePair]) -> Self | None:
        """The yardstick of finite curves; None without any."""
        first: list[float] = []
        at_step: dict[int, float] = {}
        for pair in pairs:
            if pair.steps and pair.broken_at is None:
                first.append(pair.validation[0])
                for step, value in zip(pair.steps, pair.validation, strict=True):
                    at_step[step] = max(value, at_step.get(step, value))
        if not first:
            return None
        steps = sorted(at_step)
        best = list(accumulate((at_step[step] for step in steps), max))
        return cls(sorted(first)[(len(first) - 1) // 4], steps, best)

    def low_line(self, step: int) -> float:
        """Values below it are low for a trial that came as far as this step, the first of the study or a later one."""
        best = self.best[bisect_right(self.steps, step) - 1]
        return best - LOW_SHARE * max(0.0, best - self.start)
