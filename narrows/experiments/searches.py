"""What a search cost, and how soon it was as good as another one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.schemas.results import Trial


@dataclass(frozen=True)
class Reached:
    """How much a search had cost when it reached a target: epochs of all its trials, and seconds since its start."""

    epochs: float
    """A whole number, or infinity if the target was never reached."""
    seconds: float


EpochSeconds = Mapping[int, Sequence[float | None]]
"""Duration of each reported epoch in order, by trial number."""
NEVER = Reached(math.inf, math.inf)


def n_epochs(trials: Sequence[Trial]) -> int:
    """Return the number of reported epochs of all trials, pruned ones included."""
    return sum(_epochs(trial) for trial in trials)


def best_value(trials: Sequence[Trial]) -> float:
    """Return the largest objective value. Raises ValueError when no trial is complete."""
    return max(trial.values[0] for trial in trials if trial.values)


def reached(trials: Sequence[Trial], epoch_seconds: EpochSeconds, target: float) -> Reached:
    """Return the cost when the first trial with an objective value of at least `target` was complete, or NEVER.

    Of the trials that were training at that moment, only the finished epochs count.
    """
    started = [trial.started_at for trial in trials if trial.started_at is not None]
    hits = [trial.finished_at for trial in trials if trial.values and trial.values[0] >= target and trial.finished_at]
    if not hits or not started:
        return NEVER
    moment = min(hits)
    epochs = sum(_epochs_until(moment, trial, epoch_seconds.get(trial.number, ())) for trial in trials)
    return Reached(epochs, (moment - min(started)).total_seconds())


def _epochs(trial: Trial) -> int:
    return 0 if trial.step is None else trial.step + 1


def _epochs_until(moment: datetime, trial: Trial, seconds: Sequence[float | None]) -> int:
    """Return the epochs of a trial that were finished at a moment.

    They are counted back from its end, where its last epoch ends; its start is some time before its first epoch.
    """
    epochs = _epochs(trial)
    if trial.started_at is None or trial.started_at >= moment:
        return 0
    if trial.finished_at is None:
        return epochs
    later = trial.finished_at - moment
    for taken in reversed(seconds):
        if later <= timedelta(0):
            break
        later -= timedelta(seconds=taken or 0.0)
        epochs -= 1
    return epochs
