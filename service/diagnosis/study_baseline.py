"""What validation values the trials of a study reach, to tell which trials are low."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

from service.diagnosis.curve_pair import CurvePair

LOW_SHARE = 0.25


@dataclass(frozen=True)
class StudyBaseline:
    """Validation values of a study: where trials start, and the best value of all trials up to each step."""

    start: float
    steps: list[int]
    best: list[float]

    @classmethod
    def of(cls, pairs: Iterable[CurvePair]) -> Self | None:
        """Compute the baseline from the finite curves; None if there are none."""
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
        """The value below which a trial is low at this step, which must not be before the study's first step."""
        best = self.best[bisect_right(self.steps, step) - 1]
        return best - LOW_SHARE * max(0.0, best - self.start)
