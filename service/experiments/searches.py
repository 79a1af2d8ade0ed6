"""What a search cost, and how soon it was as good as another."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.schemas.results import Trial


@dataclass(frozen=True)
class Reached:
    """The epochs that all trials together had trained, and the seconds that had passed, when a search was as good."""

    epochs: int
    seconds: float


def n_epochs(trials: Sequence[Trial]) -> int:
    """Epochs that were reported, of complete and pruned trials alike."""
    return sum(trial.step + 1 for trial in trials if trial.step is not None)


def reached(trials: Sequence[Trial], target: float) -> Reached | None:
    """When the first trial with an objective value of at least the target was complete; None without any.

    Trials that had begun by then count whole, as what they had trained at that moment is not told.
    """
    started = [trial.started_at for trial in trials if trial.started_at is not None]
    hits = [trial.finished_at for trial in trials if trial.values and trial.values[0] >= target and trial.finished_at]
    if not hits or not started:
        return None
    moment = min(hits)
    begun = [trial for trial in trials if trial.started_at is not None and trial.started_at < moment]
    return Reached(n_epochs(begun), (moment - min(started)).total_seconds())
