"""What a search cost, and how soon it was as good as another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.schemas.results import Trial


@dataclass(frozen=True)
class Reached:
    """The epochs that all trials together had trained, and the seconds that had passed, when a search was as good."""

    epochs: float
    seconds: float


NEVER = Reached(math.inf, math.inf)


def n_epochs(trials: Sequence[Trial]) -> int:
    """Epochs that were reported, of complete and pruned trials alike."""
    return sum(_epochs(trial) for trial in trials)


def best_value(trials: Sequence[Trial]) -> float:
    """Raises ValueError when no trial is complete."""
    return max(trial.values[0] for trial in trials if trial.values)


def reached(trials: Sequence[Trial], target: float) -> Reached:
    """When the first trial with an objective value of at least the target was complete; NEVER without any.

    A trial that was training at that moment counts by the share of its time that had passed.
    """
    started = [trial.started_at for trial in trials if trial.started_at is not None]
    hits = [trial.finished_at for trial in trials if trial.values and trial.values[0] >= target and trial.finished_at]
    if not hits or not started:
        return NEVER
    moment = min(hits)
    epochs = sum(_epochs(trial) * _share_passed(trial, moment) for trial in trials)
    return Reached(epochs, (moment - min(started)).total_seconds())


def _epochs(trial: Trial) -> int:
    return 0 if trial.step is None else trial.step + 1


def _share_passed(trial: Trial, moment: datetime) -> float:
    if trial.started_at is None or trial.started_at >= moment:
        return 0.0
    if trial.finished_at is None or trial.finished_at <= moment:
        return 1.0
    return (moment - trial.started_at) / (trial.finished_at - trial.started_at)
