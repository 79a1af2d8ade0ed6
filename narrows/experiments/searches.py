"""What a search cost, and how soon it was as good as another."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.schemas.results import Trial


@dataclass(frozen=True)
class Reached:
    """The epochs that all trials together had trained, and the seconds that had passed, when a search was as good."""

    epochs: float
    """A whole number, or infinity."""
    seconds: float


EpochSeconds = Mapping[int, Sequence[float | None]]
"""How long each reported epoch took, first to last, by the number of the trial."""
NEVER = Reached(math.inf, math.inf)


def n_epochs(trials: Sequence[Trial]) -> int:
    """Epochs that were reported, of complete and pruned trials alike."""
    return sum(_epochs(trial) for trial in trials)


def best_value(trials: Sequence[Trial]) -> float:
    """Raises ValueError when no trial is complete."""
    return max(trial.values[0] for trial in trials if trial.values)


def reached(trials: Sequence[Trial], epoch_seconds: EpochSeconds, target: float) -> Reached:
    """When the first trial with an objective value of at least the target was complete; NEVER without any.

    Of a trial that was training at that moment those epochs count that were over.
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
    """Counted back from its end: a trial ends with its last epoch, but is claimed before its first one begins."""
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
