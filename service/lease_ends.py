"""How leases end: by their worker, by a decision, or by time. With the last of them a study may end."""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from optuna.trial import TrialState

from service.errors import InvalidError, LeaseClosedError
from service.final_trials import confirmed_values, go_on, record_test
from service.live_study import LiveStudy
from service.narrow_calls import begin_due
from service.schemas.artifacts import CHECKPOINT
from storage import LeaseRecord, Outcome, ResultRecord

Metrics = dict[str, float]


def complete(live: LiveStudy, lease: LeaseRecord, metrics: Metrics, values: Sequence[float] | None) -> str:
    """End a trial with its objective values. Raises InvalidError when they are missing."""
    result = _completed(live, lease, metrics, values)
    if result.state == TrialState.COMPLETE.name:
        record_test(live, lease, metrics)
    return finish(live, lease, "complete", result)


def complete_again(live: LiveStudy, ended: LeaseRecord, metrics: Metrics, values: Sequence[float] | None) -> None:
    """Hear the completion of a lease that has ended by one, or by a decision while it was on its way.

    What comes after a decision is kept as the trial's final metrics. Raises LeaseClosedError for other results than
    those that are known.
    """
    (known,) = live.store.results([ended.trial_id])
    if ended.outcome == "complete":
        is_same = _is_result(live, ended, known, metrics, values)
    else:
        is_same = not (known.metrics and metrics) or same_metrics(known.metrics, metrics)
    if not is_same:
        raise LeaseClosedError(f"lease {ended.lease_id} has ended by {ended.outcome}, with other results than these")
    if metrics and not known.metrics:
        live.store.set_final_metrics(ended.trial_id, metrics)


def _is_result(
    live: LiveStudy, lease: LeaseRecord, known: ResultRecord, metrics: Metrics, values: Sequence[float] | None
) -> bool:
    try:
        given = _completed(live, lease, metrics, values)
    except InvalidError:
        return False
    same_end = (given.state, given.values, given.reason) == (known.state, known.values, known.reason)
    return same_end and same_metrics(given.metrics, known.metrics)


def _completed(live: LiveStudy, lease: LeaseRecord, metrics: Metrics, values: Sequence[float] | None) -> ResultRecord:
    """How a trial ends with these results. Raises InvalidError when objective values are missing."""
    values = confirmed_values(live, lease) or (
        list(values) if values is not None else _values_from(live, lease, metrics)
    )
    objectives = live.definition.objectives
    if len(values) != len(objectives):
        raise InvalidError([("values", f"values must have one number for each objective: {len(values)} given")])
    for objective, value in zip(objectives, values, strict=True):
        if math.isnan(value):
            return ResultRecord(
                lease.trial_id, lease.study_id, "FAIL", metrics=metrics, reason=f"{objective.metric} is nan"
            )
    return ResultRecord(lease.trial_id, lease.study_id, "COMPLETE", values, metrics)


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


def same_metrics(left: Mapping[str, float], right: Mapping[str, float]) -> bool:
    """Equality of metrics in which nan is nan."""
    return left.keys() == right.keys() and all(
        left[name] == right[name] or (math.isnan(left[name]) and math.isnan(right[name])) for name in left
    )


def fail(live: LiveStudy, lease: LeaseRecord, reason: str, retry: bool) -> str:
    """End an attempt: the trial is tried again if that may help and attempts are left."""
    if retry and lease.attempt < live.definition.max_attempts and live.stop_reason() is None:
        return _requeue(live, lease, "fail", reason)
    reasons = _all_reasons(live, lease, reason) if retry and lease.attempt > 1 else reason
    return finish(live, lease, "fail", failed(lease, reasons), lease_reason=reason)


def fail_again(ended: LeaseRecord, reason: str, retry: bool) -> None:
    """Hear the failure of a lease that has ended by one. Raises LeaseClosedError when it is not the same."""
    if ended.reason != reason or (ended.state == "WAITING" and not retry):
        raise LeaseClosedError(f"lease {ended.lease_id} has ended by fail, with another reason than this")


def release(live: LiveStudy, lease: LeaseRecord) -> str:
    """Take a trial back untouched, which counts as no attempt. It ends if its study is not to go on."""
    stop_reason = live.stop_reason()
    if stop_reason is not None:
        return finish(live, lease, "release", failed(lease, f"stopped: {stop_reason}"))
    return _requeue(live, lease, "release", None)


def prune(live: LiveStudy, lease: LeaseRecord) -> str:
    """End a trial that its own code gave up."""
    return finish(live, lease, "prune", ResultRecord(lease.trial_id, lease.study_id, TrialState.PRUNED.name))


def _expire(live: LiveStudy, lease: LeaseRecord) -> None:
    reason = f"worker {lease.worker_id} was not heard of for {live.leases.term_seconds:g} s"
    live.news.lease_expired(lease, reason)
    if live.stop_reason() is not None:
        finish(live, lease, "expire", failed(lease, f"{reason}; {live.stop_reason()}"))
    elif lease.attempt < live.definition.max_attempts:
        _requeue(live, lease, "expire", reason)
    else:
        finish(live, lease, "expire", failed(lease, _all_reasons(live, lease, reason)), lease_reason=reason)


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


def failed(lease: LeaseRecord, reason: str) -> ResultRecord:
    """How a trial ends without a result."""
    return ResultRecord(lease.trial_id, lease.study_id, "FAIL", reason=reason)


def finish(
    live: LiveStudy, lease: LeaseRecord, outcome: Outcome, result: ResultRecord, *, lease_reason: str | None = None
) -> str:
    """End a trial, its lease and, if it was the last one, its study; answer the trial's state.

    `lease_reason` is why the lease has ended, when it is not why the trial has.
    """
    state, values = TrialState[result.state], result.values
    live.store.finish(lease, outcome, result, live.clock.now(), reason=lease_reason)
    live.store.artifacts.remove(lease.trial_id, CHECKPOINT)
    live.leases.remove(lease.lease_id)
    live.study.tell(lease.trial_number, values, state=state, skip_if_finished=True)
    live.news.trial_ended(lease, state, result.metrics, values, result.reason)
    if values is not None:
        live.end.completed(lease.trial_number, values)
    tick(live)
    live.notify()
    live.want_suggestions()
    return result.state


def finish_unleased(
    live: LiveStudy, trial_id: int, number: int, state: TrialState, values: Sequence[float] | None, reason: str | None
) -> None:
    """End a trial that no worker has. The caller holds the study."""
    given = None if values is None else list(values)
    live.store.optuna.set_trial_state_values(trial_id, state, given)
    live.store.set_result(ResultRecord(trial_id, live.record.study_id, state.name, given, {}, reason))
    live.store.artifacts.remove(trial_id, CHECKPOINT)
    live.news.unleased_trial_ended(number, state, given, reason)
    if given is not None:
        live.end.completed(number, given)
    live.notify()


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
        if live.deleted:
            return
        stop_reason = live.stop_reason()
        if stop_reason is not None:
            for trial in live.queue.retries():
                finish_unleased(live, trial._trial_id, trial.number, TrialState.FAIL, None, f"stopped: {stop_reason}")
        if live.record.state == "running" and stop_reason is None:
            begin_due(live)
        if live.record.state != "running" or len(live.leases) > 0:
            return
        reason = stop_reason or live.end.when_done(live.queue, live.record)
        if reason is not None and not go_on(live):
            live.record = live.store.change_study(
                live.record, state="finished", finished_at=live.clock.now(), finished_reason=reason
            )
            live.news.study_finished(reason)
            live.notify()
