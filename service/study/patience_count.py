"""How many trials have ended since the last one that improved a study's best value."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from optuna.trial import FrozenTrial, TrialState

from service.sampling.constraints import is_feasible
from service.schemas.study.definition import Definition
from storage import LeaseRecord


class PatienceCount:
    """Counts the trials that ended or paused without an improvement, as the definition's `patience` says.

    A trial counts once, when it completes, is pruned, or pauses for the first time. A failed trial does not count. Once
    the patience is over it stays over, whatever running trials still bring.
    """

    def __init__(self, definition: Definition) -> None:
        self._patience = definition.patience
        self._sign = 1.0 if definition.objectives[0].direction == "maximize" else -1.0
        self._best_trial: int | None = None
        self._best = 0.0
        self._without: set[int] = set()

    def note(self, trial_number: int, values: Sequence[float] | None) -> None:
        """Count a trial. `values` are those of a complete trial that satisfies its constraints, otherwise None."""
        if self._patience is None or self.reason is not None:
            return
        if values is not None and self._improves(self._sign * values[0]):
            self._best_trial, self._best = trial_number, self._sign * values[0]
            self._without.clear()
        else:
            self._without.add(trial_number)

    def replay(self, trials: Iterable[FrozenTrial], leases: Iterable[LeaseRecord]) -> None:
        """Count the trials and the leases of a study that was loaded, in the order of their ends."""
        if self._patience is None:
            return
        ends: list[tuple[datetime, int, Sequence[float] | None]] = [
            (lease.ended_at, lease.trial_number, None)
            for lease in leases
            if lease.ended_at is not None and lease.outcome == "pause"
        ]
        for trial in trials:
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and trial.datetime_complete is not None:
                counts = trial.state == TrialState.COMPLETE and is_feasible(trial)
                ends.append((trial.datetime_complete.astimezone(), trial.number, trial.values if counts else None))
        for _, number, values in sorted(ends, key=lambda end: end[:2]):
            self.note(number, values)

    @property
    def reason(self) -> str | None:
        """Why the study ends; None while its patience is not over."""
        if self._patience is None or len(self._without) < self._patience.trials:
            return None
        n, delta = self._patience.trials, self._patience.min_delta
        if self._best_trial is None:
            return f"none of {n} trials has a value (patience)"
        by = f" by more than {delta:g}" if delta else ""
        return f"none of the last {n} trials is better than trial {self._best_trial}{by} (patience)"

    def _improves(self, value: float) -> bool:
        assert self._patience is not None
        return self._best_trial is None or value > self._best + self._patience.min_delta
