"""When a study ends, and why."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from service.schemas.study.definition import Definition
from service.study.patience_count import PatienceCount
from service.study.trial_queue import TrialQueue
from service.study.used_budget import UsedBudget
from storage import StudyRecord


class StudyEnd:
    """The rules that end a study: timeout, target value, patience, limits, number of trials, search space."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._target_trial: int | None = None
        self.patience = PatienceCount(definition)
        self.used = UsedBudget(definition)

    def check_target(self, trial_number: int, values: Sequence[float]) -> None:
        """Remember a complete trial if it is the first to reach the study's target value."""
        target = self._definition.target_value
        if target is None or self._target_trial is not None:
            return
        maximize = self._definition.objectives[0].direction == "maximize"
        if values[0] >= target if maximize else values[0] <= target:
            self._target_trial = trial_number

    @property
    def may_end_early(self) -> bool:
        """Whether the result or the report of one trial may end the study."""
        definition = self._definition
        return any(
            limit is not None for limit in (definition.target_value, definition.patience, definition.max_total_epochs)
        )

    def early_reason(self, record: StudyRecord, now: datetime) -> str | None:
        """Why the study ends before all its trials are finished; None if it goes on."""
        if self._target_trial is not None:
            return f"trial {self._target_trial} reached target_value {self._definition.target_value:g}"
        if self.patience.reason is not None:
            return self.patience.reason
        limit = self._definition.timeout_seconds
        if limit is not None and record.started_at is not None and now >= record.started_at + timedelta(seconds=limit):
            return f"timeout_seconds {limit:g} passed"
        return self.used.reason(record, now)

    def finished_reason(self, queue: TrialQueue, record: StudyRecord) -> str | None:
        """Why no trial is left to start; None while there is one. The caller knows that no lease is open."""
        if not queue.is_empty(record.n_trials):
            return None
        if not queue.is_exhaustive:
            return f"all {record.n_trials} trials are finished"
        n_tried, n_failed = queue.tried_configurations()
        reason = f"all {record.n_trials} trials are finished"
        if queue.is_exhausted(record.n_trials):
            reason = f"all {n_tried} configurations of the search space are tried"
        hint = f", {n_failed} of them without a result: narrows retry {record.name} tries them again"
        return f"{reason}{hint}" if n_failed else reason
