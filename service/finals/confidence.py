"""What repeated trainings and a test split can tell: means with their errors, and how sure an order is."""

import math
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

SIGNIFICANCE = 0.05
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Confirmed:
    """A configuration, by its trial's number, with the objective value of each repetition that has one.

    `violated` are the constraints that the repetitions do not keep, in the mean.
    """

    trial_number: int
    values: Sequence[float]
    violated: Sequence[str] = ()

    @property
    def mean(self) -> float | None:
        return mean(self.values) if self.values else None

    @property
    def standard_error(self) -> float | None:
        """Standard deviation over √n; None with fewer than two values, and where it is beyond all floats."""
        n = len(self.values)
        with suppress(OverflowError):
            return statistics.stdev(self.values) / n**0.5 if n > 1 else None
        return None


def mean(values: Sequence[float]) -> float:
    """Also of values whose sum is beyond all floats; nan of infinities that cancel."""
    try:
        return statistics.fmean(values)
    except OverflowError:
        return math.fsum(value / len(values) for value in values)
    except ValueError:
        return math.nan


def rank(candidates: Sequence[Confirmed], direction: str) -> list[Confirmed]:
    """Those that were confirmed at all, best mean first; the earlier one first where two are equal.

    Those that violate a constraint come last.
    """
    sign = -1 if direction == "maximize" else 1
    means = [(sign * candidate.mean, candidate) for candidate in candidates if candidate.mean is not None]
    return [candidate for _, candidate in sorted(means, key=lambda pair: (bool(pair[1].violated), pair[0]))]


def compare(winner: Confirmed, runner_up: Confirmed | None) -> tuple[bool | None, str]:
    """Whether two means differ, and how that was decided: by Welch's t-test, two-sided at 5 %.

    None when there is nothing to compare, or fewer than two values of one of them.
    """
    if runner_up is None:
        return None, "there is no runner-up"
    pair = f"trials {winner.trial_number} and {runner_up.trial_number}"
    try:
        p = welch(winner.values, runner_up.values)
    except OverflowError:
        return None, f"{pair} cannot be compared: their values are too large"
    if p is None:
        return None, f"{pair} cannot be compared: each needs two seeds or more"
    return p < SIGNIFICANCE, f"Welch's t-test of {pair}: p = {p:.2g}; below {SIGNIFICANCE:g} they differ"


def welch(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Two-sided p-value that two means are equal, whatever the variances (B. L. Welch, Biometrika 34, 1947).

    None with fewer than two values on a side. Without any variance equal means give 1, others 0; scipy's own
    ttest_ind warns of values that are nearly the same, which seeds often bring. Raises OverflowError.
    """
    if min(len(left), len(right)) < 2:
        return None
    first, second = (statistics.variance(values) / len(values) for values in (left, right))
    from scipy import stats  # takes half a second: the service starts without it

    difference = abs(statistics.fmean(left) - statistics.fmean(right))
    if first + second == 0:
        return float(difference == 0)
    share = first / (first + second)
    freedom = 1 / (share**2 / (len(left) - 1) + (1 - share) ** 2 / (len(right) - 1))
    return float(2 * stats.t.sf(difference / math.sqrt(first + second), freedom))


def accuracy_interval(accuracy: float, n_images: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `n_images` (E. B. Wilson, JASA 22, 1927)."""
    from scipy import stats

    n_correct = round(accuracy * n_images)
    interval = stats.binomtest(n_correct, n_images).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)
