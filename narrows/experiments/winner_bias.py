"""How much the reported accuracy of a winner exceeds its accuracy on the test split."""

from collections.abc import Sequence
from dataclasses import dataclass

from narrows.experiments.rows import Rows
from narrows.experiments.runner import Measured
from narrows.experiments.spread import mean_and_error, spread, written
from service.schemas.final import Final


@dataclass(frozen=True)
class ReportedAccuracy:
    """The accuracy reported for a winner, and the test accuracy of a model with the same configuration."""

    reported: float
    test: float

    @property
    def bias(self) -> float:
        """Reported minus test accuracy."""
        return self.reported - self.test


def best_trial_accuracy(final: Final) -> ReportedAccuracy:
    """Return the best trial's value in the search, and its test accuracy, from an evaluation without confirmation."""
    return ReportedAccuracy(final.candidates[0].validation_said, _test(final))


def confirmed_accuracy(final: Final) -> ReportedAccuracy:
    """Return the winner's mean over new seeds, and its test accuracy."""
    mean = final.candidates[0].confirmed_mean
    assert mean is not None, "every winner has a confirmed mean"
    return ReportedAccuracy(mean, _test(final))


def _test(final: Final) -> float:
    assert final.test_said is not None, "every measured evaluation has a test score"
    return final.test_said.accuracy


def bias_rows(measured: Sequence[Measured]) -> list[Rows]:
    """Return the tables of one search with all its seeds: a summary, and a row for each study."""
    best = [best_trial_accuracy(study.best) for study in measured if study.best is not None]
    means = [confirmed_accuracy(study.final) for study in measured if study.best is not None]
    if not best:
        return []
    label = measured[0].variant.label
    header = ["what is reported", "reported", "test", "mean of reported - test", "median of it", "test below it in"]
    rows = [_summary("the best trial's own value", best), _summary("the winner's confirmed mean", means)]
    summary = Rows(f"Reported and test accuracy of the winner, {label}, {len(best)} studies", header, rows)
    header = ["seed", "best trial said", "test of it", "confirmed mean", "test of its winner"]
    each = [
        [str(one.seed), *map(written, (first.reported, first.test, second.reported, second.test))]
        for one, first, second in zip(measured, best, means, strict=True)
    ]
    return [summary, Rows(f"Each study, {label}", header, each)]


def _summary(label: str, reports: Sequence[ReportedAccuracy]) -> list[str]:
    biases = [report.bias for report in reports]
    figures = [spread([report.reported for report in reports]), spread([report.test for report in reports])]
    high = f"{sum(bias > 0 for bias in biases)} of {len(biases)}"
    return [label, *figures, mean_and_error(biases), spread(biases), high]
