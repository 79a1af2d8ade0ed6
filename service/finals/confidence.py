"""Statistics of a final evaluation: means of repeated trainings, how sure their order is, intervals of a test score."""

import math
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

SIGNIFICANCE = 0.05
CONFIDENCE = 0.95


@dataclass(frozen=True)
class ConfirmedCandidate:
    """A candidate, by its trial's number in the search, with the objective values of its completed repetitions.

    `violated` names the constraints whose mean over the repetitions is above 0.
    """

    trial_number: int
    values: Sequence[float]
    violated: Sequence[str] = ()

    @property
    def mean(self) -> float | None:
        """Mean of the values; None without values."""
        return mean(self.values) if self.values else None

    @property
    def standard_error(self) -> float | None:
        """Standard deviation over √n; None with fewer than two values, or if it is too large for a float."""
        n = len(self.values)
        with suppress(OverflowError):
            return statistics.stdev(self.values) / n**0.5 if n > 1 else None
        return None


def mean(values: Sequence[float]) -> float:
    """Mean of the values, also if their sum is too large for a float; nan for infinities of both signs."""
    try:
        return statistics.fmean(values)
    except OverflowError:
        return math.fsum(value / len(values) for value in values)
    except ValueError:
        return math.nan


def rank_candidates(candidates: Sequence[ConfirmedCandidate], direction: str) -> list[ConfirmedCandidate]:
    """The candidates that have a mean, best mean first, in the given order where means are equal.

    Candidates that violate a constraint come last.
    """
    sign = -1 if direction == "maximize" else 1
    means = [(sign * candidate.mean, candidate) for candidate in candidates if candidate.mean is not None]
    return [candidate for _, candidate in sorted(means, key=lambda pair: (bool(pair[1].violated), pair[0]))]


def compare_candidates(winner: ConfirmedCandidate, runner_up: ConfirmedCandidate | None) -> tuple[bool | None, str]:
    """Whether two means differ by Welch's t-test, two-sided at 5 %, and a sentence that says how that was decided.

    None instead of an answer without a runner-up, with fewer than two values of a candidate, or with too large values.
    """
    if runner_up is None:
        return None, "there is no runner-up"
    pair = f"trials {winner.trial_number} and {runner_up.trial_number}"
    try:
        p = welch_p_value(winner.values, runner_up.values)
    except OverflowError:
        return None, f"{pair} cannot be compared: their values are too large"
    if p is None:
        return None, f"{pair} cannot be compared: each needs two seeds or more"
    return p < SIGNIFICANCE, f"Welch's t-test of {pair}: p = {p:.2g}; below {SIGNIFICANCE:g} they differ"


def welch_p_value(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Two-sided p-value that two means are equal, whatever the variances (B. L. Welch, Biometrika 34, 1947).

    None with fewer than two values on a side. Without any variance equal means give 1, others 0. Not scipy's
    ttest_ind: it warns about nearly equal values, which repeated trainings often have. Raises OverflowError.
    """
    if min(len(left), len(right)) < 2:
        return None
    first, second = (statistics.variance(values) / len(values) for values in (left, right))
    from scipy import stats  # imported here because it takes half a second, which the service's start need not wait for

    difference = abs(statistics.fmean(left) - statistics.fmean(right))
    if first + second == 0:
        return float(difference == 0)
    share = first / (first + second)
    freedom = 1 / (share**2 / (len(left) - 1) + (1 - share) ** 2 / (len(right) - 1))
    return float(2 * stats.t.sf(difference / math.sqrt(first + second), freedom))


def accuracy_interval(accuracy: float, n_images: int) -> tuple[float, float]:
    """Wilson's 95 % interval of an accuracy that was measured on `n_images` (E. B. Wilson, JASA 22, 1927)."""
    from scipy import stats

    n_correct = round(accuracy * n_images)
    interval = stats.binomtest(n_correct, n_images).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)
