from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from service.schemas.diagnosis import HUGE
from service.schemas.study.definition import Definition

VALIDATION = "validation_"
TRAIN = "train_"


class Watched(NamedTuple):
    """One metric in training and in validation; `sign` turns it so that larger is better."""

    train: str
    validation: str
    sign: int


@dataclass(frozen=True)
class CurvePair:
    """Both curves of a trial over the epochs that have both values, turned so that larger is better."""

    steps: list[int]
    train: list[float]
    validation: list[float]
    sign: int = 1

    @cached_property
    def broken_at(self) -> int | None:
        """The first step with a value that is not finite, or beyond all measure."""
        rows = zip(self.steps, self.train, self.validation, strict=True)
        return next((step for step, one, other in rows if not (abs(one) < HUGE and abs(other) < HUGE)), None)


def watched_metric(definition: Definition, reported: Iterable[str]) -> Watched:
    """The metric of the first objective if both its curves are reported, else the loss, else the accuracy."""
    names = set(reported)
    objective = definition.objectives[0]
    candidates = [Watched("train_loss", "validation_loss", -1), Watched("train_accuracy", "validation_accuracy", 1)]
    if objective.metric.startswith(VALIDATION):
        twin = TRAIN + objective.metric.removeprefix(VALIDATION)
        candidates.insert(0, Watched(twin, objective.metric, 1 if objective.direction == "maximize" else -1))
    return next((one for one in candidates if {one.train, one.validation} <= names), candidates[0])


def curve_pair(epochs: Iterable[tuple[int, Mapping[str, float]]], watched: Watched) -> CurvePair:
    """The pair of a trial's reports, by step; empty when they have no such metrics."""
    both = [
        (step, watched.sign * metrics[watched.train], watched.sign * metrics[watched.validation])
        for step, metrics in epochs
        if watched.train in metrics and watched.validation in metrics
    ]
    return CurvePair(
        steps=[step for step, _, _ in both],
        train=[train for _, train, _ in both],
        validation=[value for _, _, value in both],
        sign=watched.sign,
    )
