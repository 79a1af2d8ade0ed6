"""How much better a winner is said to be than the test split finds it."""

from collections.abc import Sequence
from dataclasses import dataclass

from narrows.experiments.rows import Rows
from narrows.experiments.runner import Measured
from narrows.experiments.spread import mean_and_error, spread, written
from service.schemas.final import Final


@dataclass(frozen=True)
class Report:
    """An accuracy that was reported of a winner, and that of a model of the same configuration on the test split."""

    reported: float
    test: float

    @property
    def bias(self) -> float:
        return self.reported - self.test


def best_alone(final: Final) -> Report:
    """What the search said of its best trial, by an evaluation of that one."""
    return Report(final.candidates[0].validation_said, _test(final))


def confirmed(final: Final) -> Report:
    """What the mean of fresh seeds said of the winner."""
    mean = final.candidates[0].confirmed_mean
    assert mean is not None, "a winner has a confirmed mean"
    return Report(mean, _test(final))


def _test(final: Final) -> float:
    assert final.test_said is not None, "an evaluation with a test score"
    return final.test_said.accuracy


def bias_rows(measured: Sequence[Measured]) -> list[Rows]:
    """One search with all its seeds: a summary, and every study of it."""
    alone = [best_alone(one.best) for one in measured if one.best is not None]
    means = [confirmed(one.final) for one in measured if one.best is not None]
    if not alone:
        return []
    label = measured[0].one.label
    header = ["what is reported", "reported", "test", "mean of reported - test", "median of it", "test below it in"]
    rows = [_summary("the best trial's own value", alone), _summary("the winner's confirmed mean", means)]
    summary = Rows(f"Reported and test accuracy of the winner, {label}, {len(alone)} studies", header, rows)
    header = ["seed", "best trial said", "test of it", "confirmed mean", "test of its winner"]
    each = [
        [str(one.seed), *map(written, (first.reported, first.test, second.reported, second.test))]
        for one, first, second in zip(measured, alone, means, strict=True)
    ]
    return [summary, Rows(f"Each study, {label}", header, each)]


def _summary(label: str, reports: Sequence[Report]) -> list[str]:
    biases = [report.bias for report in reports]
    figures = [spread([report.reported for report in reports]), spread([report.test for report in reports])]
    high = f"{sum(bias > 0 for bias in biases)} of {len(biases)}"
    return [label, *figures, mean_and_error(biases), spread(biases), high]
