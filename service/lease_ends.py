"""How leases end: by their worker, by a decision, or by time. With the last of them a study may end."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from optuna.trial import TrialState

from service.errors import InvalidError
from service.live_study import LiveStudy
from service.schemas.artifacts import CHECKPOINT
from storage import LeaseRecord, Outcome, ResultRecord

Metrics = dict[str, float]


def complete(live: LiveStudy, lease: LeaseRecord, metrics: Metrics, values: Sequence[float] | None) -> str:
    """End a trial with its objective values. Raises InvalidError when they are missing."""
    values = list(values) if values is not None else _values_from(live, lease, metrics)
    objectives = live.definition.objectives
    if len(values) != len(objectives):
        raise InvalidError([("values", f"values must have one number for each objective: {len(values)} given")])
    for objective, value in zip(objectives, values, strict=True):
        if math.isnan(value):
            reason = f"{objective.metric} is nan"
            return finish(live, lease, "complete", TrialState.FAIL, metrics=metrics, reason=reason)
    return finish(live, lease, "complete", TrialState.COMPLETE, metrics=metrics, values=values)


def _values_from(live: LiveStudy, lease: LeaseRecord, metrics: Metrics) -> list[float]:
    last = live.leases.last_epoch(lease.lease_id)
    if last is None:  # reported under an earlier lease, if at all
        last = next(iter(live.store.last_epochs([lease.trial_id])), None)
    known = {**(last.metrics if last is not None else {}), **metrics}
    missing = [objective.metric for objective in live.definition.objectives if objective.metric not in known]
    if missing:
        raise InvalidError(
            [(f"metrics.{metric}", "an objective must be in metrics or reported before") for metric in missing]
        )
    return [known[objective.metric] for objective in live.definition.objectives]


def fail(live: LiveStudy, lease: LeaseRecord, reason: str, retry: bool) -> str:
    """End an attempt: the trial is tried again if that may help and attempts are left."""
    if retry and lease.attempt < live.definition.max_attempts and live.stop_reason() is None:
        return _requeue(live, lease, "fail", reason)
    reasons = _all_reasons(live, lease, reason) if retry and lease.attempt > 1 else reason
    return finish(live, lease, "fail", TrialState.FAIL, reason=reasons, lease_reason=reason)


def release(live: LiveStudy, lease: LeaseRecord) -> str:
    """Take a trial back untouched: it does not count as an attempt."""
    return _requeue(live, lease, "release", None)


def _expire(live: LiveStudy, lease: LeaseRecord) -> None:
    reason = f"worker {lease.worker_id} was not heard of for {live.leases.term_seconds:g} s"
    live.news.lease_expired(lease, reason)
    if live.stop_reason() is not None:
        finish(live, lease, "expire", TrialState.FAIL, reason=f"{reason}; {live.stop_reason()}")
    elif lease.attempt < live.definition.max_attempts:
        _requeue(live, lease, "expire", reason)
    else:
        reasons = _all_reasons(live, lease, reason)
        finish(live, lease, "expire", TrialState.FAIL, reason=reasons, lease_reason=reason)


def _all_reasons(live: LiveStudy, lease: LeaseRecord, reason: str) -> str:
    """Why each attempt at a trial has ended, this last one included."""
    earlier = live.store.leases_of_trials([lease.trial_id])
    reasons = [f"attempt {past.attempt}: {past.reason}" for past in earlier if past.reason]
    return "; ".join([*reasons, f"attempt {lease.attempt}: {reason}"])


def _requeue(live: LiveStudy, lease: LeaseRecord, outcome: Outcome, reason: str | None) -> str:
    resume = live.resume(lease.trial_id)
    after_step = None if resume is None else resume.step
    live.store.requeue(lease, outcome, reason, live.clock.now(), after_step=after_step)
    live.leases.remove(lease.lease_id)
    live.queue.retry(lease.trial_id)
    live.news.trial_requeued(lease, outcome, reason, after_step)
    live.notify()
    return "WAITING"


def finish(
    live: LiveStudy,
    lease: LeaseRecord,
    outcome: Outcome,
    state: TrialState,
    *,
    metrics: Metrics | None = None,
    values: list[float] | None = None,
    reason: str | None = None,
    lease_reason: str | None = None,
) -> str:
    """End a trial, its lease and, if it was the last one, its study; answer the trial's state."""
    result = ResultRecord(lease.trial_id, lease.study_id, state.name, values, metrics or {}, reason)
    live.store.finish(lease, outcome, result, live.clock.now(), reason=lease_reason)
    live.store.artifacts.remove(lease.trial_id, CHECKPOINT)
    live.leases.remove(lease.lease_id)
    live.study.tell(lease.trial_number, values, state=state, skip_if_finished=True)
    live.news.trial_ended(lease, state, metrics, values, reason)
    if values is not None:
        live.end.completed(lease.trial_number, values)
    tick(live)
    live.notify()
    live.want_suggestions()
    return state.name


@contextmanager
def changing(live: LiveStudy) -> Iterator[Future[None]]:
    """As `working`, after what time has brought; who waits for the commit is the caller, by the future."""
    with live.lock, live.store.deferred() as committed:
        tick(live)
        yield committed


def tick(live: LiveStudy) -> None:
    """Let time and results take effect: expired leases, and the end of the study."""
    with live.working():
        for lease in live.leases.expired():
            if live.leases.get(lease.lease_id) is not None:  # an end ticks too, and may have expired it
                _expire(live, lease)
        if live.deleted or live.record.state != "running" or len(live.leases) > 0:
            return
        reason = live.stop_reason() or live.end.when_done(live.queue, live.record)
        if reason is not None:
            live.record = live.store.change_study(
                live.record, state="finished", finished_at=live.clock.now(), finished_reason=reason
            )
            live.news.study_finished(reason)
            live.notify()
