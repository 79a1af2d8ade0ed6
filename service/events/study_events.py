"""What happens in a study, told twice: as events in the transaction at hand, and as lines in the log."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import TrialState

from service.clock import Clock
from service.logs import about
from service.schemas.events import Event, EventType
from service.schemas.study.definition_fields import Params
from storage import LeaseRecord, Outcome, Store, StudyRecord

log = logging.getLogger(__name__)

MAX_REASON = 500
ENDED: Mapping[TrialState, EventType] = {
    TrialState.COMPLETE: "trial_completed",
    TrialState.PRUNED: "trial_pruned",
    TrialState.FAIL: "trial_failed",
}
CHANGED: Mapping[str, EventType] = {"paused": "study_paused", "running": "study_resumed", "stopped": "study_stopped"}


class StudyEvents:
    """Speaks of one study, in a block that writes: its events are published when the block is committed."""

    def __init__(self, store: Store, clock: Clock, name: str) -> None:
        self._store = store
        self._clock = clock
        self._name = name

    # The study

    def study_created(self, n_trials: int) -> None:
        self._event("study_created", n_trials=n_trials)
        self._log("study %s is created: %d trials", n_trials)

    def study_changed(self, before: StudyRecord, after: StudyRecord) -> None:
        if after.n_trials != before.n_trials:
            self._event("study_extended", n_trials=after.n_trials)
            self._log("study %s is extended to %d trials", after.n_trials)
        if after.state != before.state:
            self._event(CHANGED[after.state], reason=after.finished_reason)
            self._log("study %s is %s", after.state)

    def round_begun(self, number: int, text: str) -> None:
        self._event("round_begun", round=number, reason=_short(text))
        self._log("study %s is in round %d: %s", number, text)

    def trials_imported(self, text: str) -> None:
        self._event("trials_imported", reason=_short(text))
        self._log("study %s learns from %s", text)

    def study_finished(self, reason: str) -> None:
        self._event("study_finished", reason=reason)
        self._log("study %s is finished: %s", reason)

    def study_deleted(self) -> None:
        self._event("study_deleted")
        self._log("study %s is deleted")

    # Its trials

    def trial_created(self, number: int, params: Params | None = None) -> None:
        self._event("trial_created", trial=number, params=params)

    def trial_started(self, lease: LeaseRecord, params: Params) -> None:
        self._trial_event("trial_started", lease, params=params)

    def trial_reported(self, lease: LeaseRecord, step: int, metrics: dict[str, float]) -> None:
        self._trial_event("trial_reported", lease, step=step, metrics=metrics)

    def trial_ended(
        self,
        lease: LeaseRecord,
        state: TrialState,
        metrics: dict[str, float] | None,
        values: Sequence[float] | None,
        reason: str | None,
    ) -> None:
        self._trial_event(ENDED[state], lease, metrics=metrics or None, values=values, reason=_short(reason))
        if state == TrialState.FAIL:
            self._trial_log("trial %d of study %s has failed: %s", lease, reason)

    def unleased_trial_ended(
        self, number: int, state: TrialState, values: Sequence[float] | None, reason: str | None
    ) -> None:
        self._event(ENDED[state], trial=number, values=values, reason=reason)

    def lease_expired(self, lease: LeaseRecord, reason: str) -> None:
        self._trial_log("lease of trial %d of study %s has expired: %s", lease, reason)

    def trial_requeued(self, lease: LeaseRecord, outcome: Outcome, reason: str | None, step: int | None) -> None:
        """`step` is the last one that it keeps, None when it starts anew."""
        kind: EventType = "trial_released" if outcome == "release" else "trial_requeued"
        self._trial_event(kind, lease, reason=_short(reason), step=step)
        if outcome == "fail":
            self._trial_log("trial %d of study %s has failed and is tried again: %s", lease, reason)

    def trial_paused(self, lease: LeaseRecord, step: int) -> None:
        self._trial_event("trial_paused", lease, step=step)

    def _event(self, kind: EventType, **fields: Any) -> None:
        self._store.note(Event(kind, self._name, self._clock.now(), **fields))

    def _trial_event(self, kind: EventType, lease: LeaseRecord, **fields: Any) -> None:
        self._event(kind, trial=lease.trial_number, attempt=lease.attempt, worker=lease.worker_id, **fields)

    def _log(self, text: str, *values: object) -> None:
        log.info(text, self._name, *values, extra=about(self._name))

    def _trial_log(self, text: str, lease: LeaseRecord, reason: str | None) -> None:
        number = lease.trial_number
        log.info(text, number, self._name, reason, extra=about(self._name, number, lease.lease_id))


def _short(reason: str | None) -> str | None:
    return reason if reason is None else reason[:MAX_REASON]
