"""One trial's verdict by its curves; the rule is stated in this package's docstring."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from service.diagnosis.curve_pair import CurvePair
from service.diagnosis.yardstick import Yardstick
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
"""The standard deviation of normal noise, in medians of its absolute value."""


@dataclass(frozen=True)
class Figures:
    """What a verdict rests on, of curves that are turned so that larger is better."""

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
        return self.train - self.validation


@dataclass(frozen=True)
class Judgement:
    """A verdict with its reason; figures only of finite curves that are long enough."""

    verdict: Verdict
    because: str
    figures: Figures | None = None


def judge(pair: CurvePair, yardstick: Yardstick | None, failure: str | None = None) -> Judgement:
    """The verdict on a trial; `failure` is the reason why it failed, if it did."""
    if failure is not None and NOT_FINITE.search(failure):
        return Judgement("diverged", failure)
    if pair.broken_at is not None:
        return Judgement("diverged", f"not finite at epoch {pair.broken_at}")
    if len(pair.steps) < MIN_EPOCHS:
        return Judgement("unclear", _too_short(len(pair.steps)))
    found = figures_of(pair)
    loss = pair.train[0] - found.train
    if loss > _tolerance(found.span, pair.train):
        return Judgement("diverged", f"training ended worse than its first epoch, by {loss:.3g}", found)
    because = None if yardstick is None else _underfitting(pair, yardstick)
    if because is not None:
        return Judgement("underfitting", because, found)
    because = _overfitting(pair, found)
    if because is not None:
        return Judgement("overfitting", because, found)
    return Judgement("healthy", _healthy(found), found)


def figures_of(pair: CurvePair) -> Figures:
    """The figures of finite curves of at least one epoch."""
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


def _overfitting(pair: CurvePair, found: Figures) -> str | None:
    last = len(pair.steps) - 1
    if found.fall > found.tolerance:
        if last - found.best < MIN_EPOCHS_AFTER or found.gap_growth <= found.tolerance:
            return None
        since = pair.steps[found.best]
        return (
            f"validation got worse by {found.fall:.3g} since epoch {since} while the gap grew by {found.gap_growth:.3g}"
        )
    if last - found.peak >= MIN_EPOCHS_AFTER and found.gap > max(found.tolerance, LARGE_GAP_SHARE * found.span):
        since = pair.steps[found.peak]
        return f"validation stood still since epoch {since}, with a gap of {found.gap:.3g}"
    return None


def _underfitting(pair: CurvePair, yardstick: Yardstick) -> str | None:
    line = yardstick.low_line(pair.steps[-1])
    best_train, best_validation = max(pair.train), max(pair.validation)
    if best_train >= line or best_validation >= line:
        return None
    return (
        f"training came to {pair.sign * best_train:.3g} and validation to {pair.sign * best_validation:.3g} "
        f"by epoch {pair.steps[-1]}, short of {pair.sign * line:.3g}"
    )


def _healthy(found: Figures) -> str:
    if found.improving:
        return "still getting better at its end"
    if found.gap <= found.tolerance:
        return "no fall, no gap"
    return f"no fall; the gap is {found.gap / found.span:.0%} of the span"


def _tolerance(span: float, values: Sequence[float]) -> float:
    return max(TOLERANCE_SHARE * span, TOLERANCE_DEVIATIONS * _noise(values))


def _noise(values: Sequence[float]) -> float:
    """Standard deviation of what is left of a curve without its trend, from its second differences."""
    if len(values) < 3:
        return 0.0
    bends = [abs(values[i - 1] - 2 * values[i] + values[i + 1]) for i in range(1, len(values) - 1)]
    return float(DEVIATIONS_OF_MEDIAN * median(bends) / 6**0.5)


def _slope(steps: Sequence[int], values: Sequence[float]) -> float | None:
    """Slope of the least-squares line; None for a single point."""
    if len(steps) < 2:
        return None
    middle, mean = fmean(steps), fmean(values)
    spread = sum((step - middle) ** 2 for step in steps)
    return sum((step - middle) * (value - mean) for step, value in zip(steps, values, strict=True)) / spread


def _too_short(n_epochs: int) -> str:
    if n_epochs == 0:
        return "no train/validation curves"
    return f"{n_epochs} epoch{'s are' if n_epochs > 1 else ' is'} too few to tell"
