"""The train and validation curve of one metric of a trial, and which metric that is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from service.schemas.diagnosis import HUGE
from service.schemas.study.definition import Definition

VALIDATION = "validation_"
TRAIN = "train_"


class MetricPair(NamedTuple):
    """The names of one metric in training and in validation. Multiplied by `sign`, larger values are better."""

    train: str
    validation: str
    sign: int


@dataclass(frozen=True)
class CurvePair:
    """Both curves of a trial at the epochs that have both values, already multiplied by `sign`."""

    steps: list[int]
    train: list[float]
    validation: list[float]
    sign: int = 1

    @cached_property
    def broken_at(self) -> int | None:
        """The first step with a value that is not finite or not below HUGE; None if there is none."""
        rows = zip(self.steps, self.train, self.validation, strict=True)
        return next((step for step, *values in rows if not all(abs(value) < HUGE for value in values)), None)


def choose_metric_pair(definition: Definition, reported: Iterable[str]) -> MetricPair:
    """Choose the metric of the first objective if both its curves are reported, else the loss, else the accuracy."""
    names = set(reported)
    objective = definition.objectives[0]
    candidates = [
        MetricPair("train_loss", "validation_loss", -1),
        MetricPair("train_accuracy", "validation_accuracy", 1),
    ]
    if objective.metric.startswith(VALIDATION):
        twin = TRAIN + objective.metric.removeprefix(VALIDATION)
        candidates.insert(0, MetricPair(twin, objective.metric, 1 if objective.direction == "maximize" else -1))
    return next((pair for pair in candidates if {pair.train, pair.validation} <= names), candidates[0])


def curve_pair(epochs: Iterable[tuple[int, Mapping[str, float]]], metric_pair: MetricPair) -> CurvePair:
    """Both curves from a trial's reports, given as (step, metrics); empty if no report has both metrics."""
    both = [
        (step, metric_pair.sign * metrics[metric_pair.train], metric_pair.sign * metrics[metric_pair.validation])
        for step, metrics in epochs
        if metric_pair.train in metrics and metric_pair.validation in metrics
    ]
    return CurvePair(
        steps=[step for step, _, _ in both],
        train=[train for _, train, _ in both],
        validation=[value for _, _, value in both],
        sign=metric_pair.sign,
    )
