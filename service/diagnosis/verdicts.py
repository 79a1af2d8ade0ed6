"""Judge one trial by its curves. The rule is stated in the docstring of this package."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, linear_regression, median

from service.diagnosis.curve_pair import CurvePair
from service.diagnosis.study_baseline import StudyBaseline
from service.schemas.diagnosis import Verdict

TOLERANCE_SHARE = 0.02
TOLERANCE_DEVIATIONS = 3.0
LARGE_GAP_SHARE = 0.2
MIN_EPOCHS = 3
MIN_EPOCHS_AFTER = 2
END_EPOCHS = 3
ROUNDING_SHARE = 1e-9

NOT_FINITE = re.compile(r"\bis (?:nan|-?inf)\b")
DEVIATIONS_OF_MEDIAN = 1.4826
"""Standard deviation of normal noise divided by the median of its absolute value."""


@dataclass(frozen=True)
class Figures:
    """The figures behind a verdict, in the words of this package's docstring. Larger metric values are better.

    `peak` and `best` are indices of epochs; `train` and `validation` are the mean values at the end; `gap_slope` is per
    epoch since the peak, None if the peak is the last epoch.
    """

    span: float
    tolerance: float
    peak: int
    best: int
    train: float
    validation: float
    fall: float
    gap_growth: float
    gap_slope: float | None
    improving: bool

    @property
    def gap(self) -> float:
        """Train minus validation at the end."""
        return self.train - self.validation


@dataclass(frozen=True)
class Judgement:
    """A verdict and its reason; `figures` is None if the curves are not finite or too short."""

    verdict: Verdict
    because: str
    figures: Figures | None = None


def judge_trial(pair: CurvePair, baseline: StudyBaseline | None, failure: str | None = None) -> Judgement:
    """Judge a trial by its curves and the study's baseline. `failure` is the reason why the trial failed, if it did."""
    if failure is not None and NOT_FINITE.search(failure):
        return Judgement("diverged", failure)
    if pair.broken_at is not None:
        return Judgement("diverged", f"not finite at epoch {pair.broken_at}")
    if len(pair.steps) < MIN_EPOCHS:
        return Judgement("unclear", _too_short(len(pair.steps)))
    figures = compute_figures(pair)
    loss = pair.train[0] - figures.train
    if loss > _tolerance(figures.span, pair.train):
        return Judgement("diverged", f"training ended worse than its first epoch, by {loss:.3g}", figures)
    because = None if baseline is None else _why_underfitting(pair, baseline)
    if because is not None:
        return Judgement("underfitting", because, figures)
    because = _why_overfitting(pair, figures)
    if because is not None:
        return Judgement("overfitting", because, figures)
    return Judgement("healthy", _why_healthy(figures), figures)


def compute_figures(pair: CurvePair) -> Figures:
    """Compute the figures of curves that are finite and have at least one epoch."""
    values = pair.validation
    both = (*pair.train, *values)
    span = max(both) - min(both)
    tolerance = _tolerance(span, values)
    best = values.index(max(values))
    peak = next(index for index, value in enumerate(values) if value >= values[best] - tolerance)
    begin = min(max(peak + 1, len(values) - END_EPOCHS), len(values) - 1)
    end = fmean(values[begin:])
    fall = values[best] - end
    gaps = [train - value for train, value in zip(pair.train, values, strict=True)]
    before_last_quarter = values[: max(1, len(values) - max(1, len(values) // 4))]
    return Figures(
        span=span,
        tolerance=tolerance,
        peak=peak,
        best=best,
        train=fmean(pair.train[begin:]),
        validation=end,
        fall=fall if fall > ROUNDING_SHARE * span else 0.0,
        gap_growth=fmean(gaps[begin:]) - gaps[best],
        gap_slope=_slope(pair.steps[peak:], gaps[peak:]),
        improving=values[best] - max(before_last_quarter) > tolerance,
    )


def _why_overfitting(pair: CurvePair, figures: Figures) -> str | None:
    last = len(pair.steps) - 1
    if figures.fall > figures.tolerance:
        if last - figures.best < MIN_EPOCHS_AFTER or figures.gap_growth <= figures.tolerance:
            return None
        fall = f"validation got worse by {figures.fall:.3g} since epoch {pair.steps[figures.best]}"
        return f"{fall} while the gap grew by {figures.gap_growth:.3g}"
    if last - figures.peak >= MIN_EPOCHS_AFTER and figures.gap > max(figures.tolerance, LARGE_GAP_SHARE * figures.span):
        since = pair.steps[figures.peak]
        return f"validation stood still since epoch {since}, with a gap of {figures.gap:.3g}"
    return None


def _why_underfitting(pair: CurvePair, baseline: StudyBaseline) -> str | None:
    line = baseline.low_line(pair.steps[-1])
    best_train, best_validation = max(pair.train), max(pair.validation)
    if best_train >= line or best_validation >= line:
        return None
    return (
        f"training reached {pair.sign * best_train:.3g} and validation {pair.sign * best_validation:.3g} "
        f"by epoch {pair.steps[-1]}, short of {pair.sign * line:.3g}"
    )


def _why_healthy(figures: Figures) -> str:
    if figures.improving:
        return "still getting better at its end"
    if figures.gap <= figures.tolerance:
        return "no fall, no gap"
    return f"no fall; the gap is {figures.gap / figures.span:.0%} of the span"


def _tolerance(span: float, values: Sequence[float]) -> float:
    return max(TOLERANCE_SHARE * span, TOLERANCE_DEVIATIONS * _noise(values))


def _noise(values: Sequence[float]) -> float:
    """Standard deviation of a curve's noise around its trend, from its second differences."""
    if len(values) < 3:
        return 0.0
    bends = [abs(values[i - 1] - 2 * values[i] + values[i + 1]) for i in range(1, len(values) - 1)]
    return float(DEVIATIONS_OF_MEDIAN * median(bends) / 6**0.5)


def _slope(steps: Sequence[int], values: Sequence[float]) -> float | None:
    """Slope of the least-squares line; None for a single point."""
    return linear_regression(steps, values).slope if len(steps) > 1 else None


def _too_short(n_epochs: int) -> str:
    if n_epochs == 0:
        return "no train/validation curves"
    return f"{n_epochs} epoch{'s are' if n_epochs > 1 else ' is'} too few to tell"
