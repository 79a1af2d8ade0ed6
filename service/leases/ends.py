"""How leases end: by their worker, by a decision, or by time. With the last of them a study may end."""

import math
from collections.abc import Mapping, Sequence

from optuna.trial import FrozenTrial, TrialState

from service.errors import InvalidError, LeaseClosedError, StateConflictError
from service.finals.trials import confirmed_values, go_on, is_test, record_test
from service.rounds.start import start_due_round
from service.sampling import constraints
from service.sampling.ask import tell
from service.schemas.artifacts import CHECKPOINT
from service.schemas.optuna import NAMES
from service.study.live_study import LiveStudy
from storage import LeaseRecord, Outcome, ResultRecord, TrialStateName, trial_id_of

Metrics = dict[str, float]


def complete(live: LiveStudy, lease: LeaseRecord, metrics: Metrics, values: Sequence[float] | None) -> TrialStateName:
    """End a trial with its objective values. Raises InvalidError when they are missing.

    What a test split has said is on record even if the trial has no objective value: it was read.
    """
    result = _completed(live, lease, metrics, values)
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
    unknown = next((one.metric for one, value in zip(objectives, values, strict=True) if math.isnan(value)), None)
    reason = None if unknown is None else f"{unknown} is nan"
    if reason is None and live.definition.constraints and not is_test(live, lease):
        known = _known_metrics(live, lease, values, metrics)
        reason = constraints.why_unknown(live.definition.constraints, known)
    if reason is not None:
        return ResultRecord(lease.trial_id, lease.study_id, "FAIL", metrics=metrics, reason=reason)
    return ResultRecord(lease.trial_id, lease.study_id, "COMPLETE", values, metrics)


def _values_from(live: LiveStudy, lease: LeaseRecord, metrics: Metrics) -> list[float]:
    known = {**_last_metrics(live, lease), **metrics}
    missing = [objective.metric for objective in live.definition.objectives if objective.metric not in known]
    if missing:
        raise InvalidError(
            [(f"metrics.{metric}", "an objective must be in metrics or reported before") for metric in missing]
        )
    return [known[objective.metric] for objective in live.definition.objectives]


def _last_metrics(live: LiveStudy, lease: LeaseRecord) -> Metrics:
    last = live.leases.last_epoch(lease.lease_id)
    if last is None:  # reported under an earlier lease, if at all
        last = next(iter(live.store.last_epochs([lease.trial_id])), None)
    return {} if last is None else last.metrics


def _keep_constraints(live: LiveStudy, lease: LeaseRecord, result: ResultRecord) -> None:
    """Write down how far a trial's metrics are beyond their bounds, as far as that is known of it."""
    if not live.definition.constraints or result.state == TrialState.FAIL.name:
        return
    metrics = _known_metrics(live, lease, result.values or (), result.metrics)
    constraints.keep(live.store.optuna, lease.trial_id, constraints.distances(live.definition.constraints, metrics))


def _known_metrics(live: LiveStudy, lease: LeaseRecord, values: Sequence[float], metrics: Metrics) -> Metrics:
    """What a trial ends with: its last report, its objective values and its final metrics, the later ones first."""
    names = [objective.metric for objective in live.definition.objectives]
    return {**_last_metrics(live, lease), **dict(zip(names, values, strict=False)), **metrics}


def same_metrics(left: Mapping[str, float], right: Mapping[str, float]) -> bool:
    """Equality of metrics in which nan is nan."""
    return left.keys() == right.keys() and all(
        left[name] == right[name] or (math.isnan(left[name]) and math.isnan(right[name])) for name in left
    )


def fail(live: LiveStudy, lease: LeaseRecord, reason: str, retry: bool) -> TrialStateName:
    """End an attempt: the trial is tried again if that may help and attempts are left, or waits at its rung."""
    if retry and (_has_attempts(live, lease) or _reached_rung(live, lease) is not None) and live.stop_reason() is None:
        return _requeue(live, lease, "fail", reason)
    reasons = _all_reasons(live, lease, reason) if retry and lease.attempt > 1 else reason
    may_go_on = retry and live.stop_reason() is not None  # but for the end of its study
    result = cut_short(live, lease, reasons) if may_go_on else failed(lease, reasons)
    return finish(live, lease, "fail", result, lease_reason=reason)


def fail_again(ended: LeaseRecord, reason: str, retry: bool) -> None:
    """Hear the failure of a lease that has ended by one. Raises LeaseClosedError when it is not the same."""
    if ended.reason != reason or (ended.state == "WAITING" and not retry):
        raise LeaseClosedError(f"lease {ended.lease_id} has ended by fail, with another reason than this")


def release(live: LiveStudy, lease: LeaseRecord) -> TrialStateName:
    """Take a trial back untouched, which counts as no attempt. It ends if its study is not to go on."""
    stop_reason = live.stop_reason()
    if stop_reason is not None:
        return finish(live, lease, "release", cut_short(live, lease, f"stopped: {stop_reason}"))
    return _requeue(live, lease, "release", None)


def prune(live: LiveStudy, lease: LeaseRecord) -> TrialStateName:
    """End a trial that its own code gave up."""
    return finish(live, lease, "prune", _pruned(lease))


def _expire(live: LiveStudy, lease: LeaseRecord) -> None:
    reason = f"worker {lease.worker_id} was not heard of for {live.leases.term_seconds:g} s"
    live.news.lease_expired(lease, reason)
    if live.stop_reason() is not None:
        reasons = f"{reason}; {live.stop_reason()}"
        finish(live, lease, "expire", cut_short(live, lease, reasons), lease_reason=reasons)
    elif _has_attempts(live, lease) or _reached_rung(live, lease) is not None:
        _requeue(live, lease, "expire", reason)
    else:
        finish(live, lease, "expire", failed(lease, _all_reasons(live, lease, reason)), lease_reason=reason)


def _all_reasons(live: LiveStudy, lease: LeaseRecord, reason: str) -> str:
    """Why each attempt at a trial has ended, this last one included."""
    earlier = live.store.leases.of_trials([lease.trial_id])
    reasons = [f"attempt {past.attempt}: {past.reason}" for past in earlier if past.reason]
    return "; ".join([*reasons, f"attempt {lease.attempt}: {reason}"])


def _has_attempts(live: LiveStudy, lease: LeaseRecord) -> bool:
    return lease.attempt < live.definition.max_attempts


def _requeue(live: LiveStudy, lease: LeaseRecord, outcome: Outcome, reason: str | None) -> TrialStateName:
    resume = live.resume(lease.trial_id)
    after_step = None if resume is None else resume.step
    live.store.requeue(lease, outcome, reason, live.clock.now(), after_step=after_step)
    live.pruning.forget(lease.trial_id, after_step)
    rung_step = _reached_rung(live, lease)
    live.leases.remove(lease.lease_id)
    if live.promotion is not None and rung_step is not None:
        _keep_constraints(live, lease, _pruned(lease))
        live.promotion.pause(live.store.optuna.get_trial(lease.trial_id), rung_step)
        live.news.trial_paused(lease, rung_step)
    else:
        live.queue.retry(lease.trial_id)
        live.news.trial_requeued(lease, outcome, reason, after_step)
    live.notify()
    return "WAITING"


def told_to_pause(live: LiveStudy, lease: LeaseRecord) -> int | None:
    """The step of the rung at which a decision under an open lease told a trial to pause, if one did."""
    told = live.leases.first_told(lease.lease_id, "pause")
    return None if told is None else told.step


def _reached_rung(live: LiveStudy, lease: LeaseRecord) -> int | None:
    """The step of the rung that a trial was told to pause at, if its checkpoint is there to go on from."""
    rung_step, resume = told_to_pause(live, lease), live.resume(lease.trial_id)
    return rung_step if rung_step is not None and resume is not None and resume.step >= rung_step else None


def pause(live: LiveStudy, lease: LeaseRecord) -> TrialStateName:
    """Leave a trial at its rung, as a decision said; without the rung's checkpoint it is pruned.

    Raises StateConflictError for a trial that was not told to pause.
    """
    if told_to_pause(live, lease) is None:
        raise StateConflictError(f"trial {lease.trial_number} of study {live.record.name} was not told to pause")
    if _reached_rung(live, lease) is None or live.stop_reason() is not None:
        return prune(live, lease)
    state = _requeue(live, lease, "pause", None)
    live.tick()  # nothing may be left to do
    return state


def failed(lease: LeaseRecord, reason: str) -> ResultRecord:
    """How a trial ends without a result."""
    return ResultRecord(lease.trial_id, lease.study_id, "FAIL", reason=reason)


def cut_short(live: LiveStudy, lease: LeaseRecord, reason: str) -> ResultRecord:
    """How a trial ends that would go on, had its study not ended: as a paused one does, if it was told to pause."""
    return failed(lease, reason) if told_to_pause(live, lease) is None else _pruned(lease)


def _pruned(lease: LeaseRecord) -> ResultRecord:
    """How a trial ends that is given up at its last value."""
    return ResultRecord(lease.trial_id, lease.study_id, TrialState.PRUNED.name)


def finish(
    live: LiveStudy, lease: LeaseRecord, outcome: Outcome, result: ResultRecord, *, lease_reason: str | None = None
) -> TrialStateName:
    """End a trial, its lease and, if it was the last one, its study; answer the trial's state.

    `lease_reason` is why the lease has ended, when it is not why the trial has.
    """
    state, values = TrialState[result.state], result.values
    live.store.finish(lease, outcome, result, live.clock.now(), reason=lease_reason)
    _keep_constraints(live, lease, result)
    live.store.artifacts.remove(lease.trial_id, CHECKPOINT)
    live.leases.remove(lease.lease_id)
    tell(live.study, lease.trial_number, state, values)
    live.news.trial_ended(lease, state, result.metrics, values, result.reason)
    _look_at_target(live, lease.trial_id, lease.trial_number, values)
    live.tick()
    live.notify()
    live.want_suggestions()
    return result.state


def finish_unleased(
    live: LiveStudy, trial_id: int, number: int, state: TrialState, values: Sequence[float] | None, reason: str | None
) -> None:
    """End a trial that no worker has. The caller holds the study."""
    given = None if values is None else list(values)
    live.store.optuna.set_trial_state_values(trial_id, state, given)
    given = given if state == TrialState.COMPLETE else None
    live.store.set_result(ResultRecord(trial_id, live.record.study_id, NAMES[state], given, {}, reason))
    live.store.artifacts.remove(trial_id, CHECKPOINT)
    live.news.unleased_trial_ended(number, state, given, reason)
    _look_at_target(live, trial_id, number, given)
    live.notify()


def _end_paused(live: LiveStudy) -> None:
    """Nothing promotes the paused trials any more: they are pruned, with their last value as Optuna has it."""
    for trial in live.promotion.paused() if live.promotion is not None else ():
        finish_unleased(live, trial_id_of(trial), trial.number, TrialState.PRUNED, last_value(trial), None)


def last_value(trial: FrozenTrial) -> list[float] | None:
    """What a pruned trial has for a value; None with several objectives, and for nan."""
    if trial.last_step is None or math.isnan(trial.intermediate_values[trial.last_step]):
        return None
    return [trial.intermediate_values[trial.last_step]]


def _look_at_target(live: LiveStudy, trial_id: int, number: int, values: Sequence[float] | None) -> None:
    """A complete trial may have reached the target, if it keeps its constraints."""
    if values is not None and constraints.is_feasible(live.store.optuna.get_trial(trial_id)):
        live.end.completed(number, values)


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
                finish_unleased(
                    live, trial_id_of(trial), trial.number, TrialState.FAIL, None, f"stopped: {stop_reason}"
                )
            _end_paused(live)
        if live.record.state == "running" and stop_reason is None:
            start_due_round(live)
        if live.record.state != "running" or len(live.leases) > 0:
            return
        reason = stop_reason or live.end.when_done(live.queue, live.record)
        if reason is not None and not go_on(live):
            _end_paused(live)
            live.record = live.store.change_study(
                live.record, state="finished", finished_at=live.clock.now(), finished_reason=reason
            )
            live.news.study_finished(reason)
            live.notify()
