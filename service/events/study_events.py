"""Publishes what happens in a study, as events and as log lines."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import TrialState

from service.clock import Clock
from service.logs import log_extra
from service.schemas.events import Event, EventType
from service.schemas.study.definition_fields import Params
from storage import LeaseRecord, Outcome, Store, StudyRecord, StudyState

log = logging.getLogger(__name__)

MAX_REASON = 500
ENDED: Mapping[TrialState, EventType] = {
    TrialState.COMPLETE: "trial_completed",
    TrialState.PRUNED: "trial_pruned",
    TrialState.FAIL: "trial_failed",
}
CHANGED: Mapping[StudyState, EventType] = {
    "paused": "study_paused",
    "running": "study_resumed",
    "stopped": "study_stopped",
}


class StudyEvents:
    """Publishes and logs the events of one study.

    Its methods are called inside a transaction, and the events are sent when that is committed.
    """

    def __init__(self, store: Store, clock: Clock, name: str) -> None:
        self._store = store
        self._clock = clock
        self._name = name
        self.n_events = 0
        """Number of events since the service started, those of an open transaction included."""

    def study_created(self, n_trials: int) -> None:
        """The study was created with `n_trials` trials to train."""
        self._event("study_created", n_trials=n_trials)
        self._log("study %s is created: %d trials", n_trials)

    def study_changed(self, before: StudyRecord, after: StudyRecord) -> None:
        """The study was extended, paused, resumed or stopped; nothing is published if both records agree on that."""
        if after.n_trials != before.n_trials:
            self._event("study_extended", n_trials=after.n_trials)
            self._log("study %s is extended to %d trials", after.n_trials)
        if after.state != before.state:
            reason = after.finished_reason or after.state_reason
            self._event(CHANGED[after.state], reason=_short(reason))
            self._log("study %s is %s", after.state if reason is None else f"{after.state}: {reason}")

    def round_begun(self, number: int, text: str) -> None:
        """A narrowing round began; `text` summarizes its ranges."""
        self._event("round_begun", round=number, reason=_short(text))
        self._log("study %s is in round %d: %s", number, text)

    def trials_imported(self, text: str) -> None:
        """The sampler received imported trials; `text` says how many and from where."""
        self._event("trials_imported", reason=_short(text))
        self._log("study %s learns from %s", text)

    def study_finished(self, reason: str) -> None:
        """The study finished for this reason."""
        self._event("study_finished", reason=reason)
        self._log("study %s is finished: %s", reason)

    def study_deleted(self) -> None:
        """The study was deleted."""
        self._event("study_deleted")
        self._log("study %s is deleted")

    def trial_created(self, number: int, params: Params | None = None) -> None:
        """A trial was created; `params` are given for an enqueued one."""
        self._event("trial_created", trial=number, params=params)

    def trial_started(self, lease: LeaseRecord, params: Params) -> None:
        """A worker got a lease of the trial."""
        self._trial_event("trial_started", lease, params=params)

    def trial_reported(self, lease: LeaseRecord, step: int, metrics: dict[str, float]) -> None:
        """A worker reported the metrics of one epoch."""
        self._trial_event("trial_reported", lease, step=step, metrics=metrics)

    def trial_ended(
        self,
        lease: LeaseRecord,
        state: TrialState,
        metrics: dict[str, float] | None,
        values: Sequence[float] | None,
        reason: str | None,
    ) -> None:
        """A leased trial ended in this state, with its final metrics and objective values."""
        self._trial_event(ENDED[state], lease, metrics=metrics or None, values=values, reason=_short(reason))
        if state == TrialState.FAIL:
            self._trial_log("trial %d of study %s has failed: %s", lease, reason)

    def unleased_trial_ended(
        self, number: int, state: TrialState, values: Sequence[float] | None, reason: str | None
    ) -> None:
        """A trial that no worker holds ended in this state."""
        self._event(ENDED[state], trial=number, values=values, reason=reason)

    def lease_expired(self, lease: LeaseRecord, reason: str) -> None:
        """A lease expired. This is only logged: the trial's end or requeueing has an event."""
        self._trial_log("lease of trial %d of study %s has expired: %s", lease, reason)

    def trial_requeued(self, lease: LeaseRecord, outcome: Outcome, reason: str | None, step: int | None) -> None:
        """The trial went back to the queue. It resumes after `step`, or from the start if that is None."""
        kind: EventType = "trial_released" if outcome == "release" else "trial_requeued"
        self._trial_event(kind, lease, reason=_short(reason), step=step)
        if outcome == "fail":
            self._trial_log("trial %d of study %s has failed and is tried again: %s", lease, reason)

    def trial_paused(self, lease: LeaseRecord, step: int) -> None:
        """The trial was paused at its rung after this step."""
        self._trial_event("trial_paused", lease, step=step)

    def _event(self, kind: EventType, **fields: Any) -> None:
        self.n_events += 1
        self._store.notify_on_commit(Event(kind, self._name, self._clock.now(), **fields))

    def _trial_event(self, kind: EventType, lease: LeaseRecord, **fields: Any) -> None:
        self._event(kind, trial=lease.trial_number, attempt=lease.attempt, worker=lease.worker_id, **fields)

    def _log(self, text: str, *values: object) -> None:
        log.info(text, self._name, *values, extra=log_extra(self._name))

    def _trial_log(self, text: str, lease: LeaseRecord, reason: str | None) -> None:
        number = lease.trial_number
        log.info(text, number, self._name, reason, extra=log_extra(self._name, number, lease.lease_id))


def _short(reason: str | None) -> str | None:
    return reason if reason is None else reason[:MAX_REASON]
