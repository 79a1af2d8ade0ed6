"""What happens to trials when their leases end: they finish, wait at a rung, or go back into the queue."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from optuna.trial import TrialState

from service.leases.trial_results import pruned_result, save_constraints
from service.sampling import constraints
from service.sampling.ask import tell
from service.schemas.artifacts import CHECKPOINT
from service.schemas.optuna import NAMES
from service.study.failures import COUNTED
from service.study.live_study import LiveStudy
from storage import LeaseRecord, Outcome, ResultRecord, TrialStateName


def finish_trial(
    live: LiveStudy, lease: LeaseRecord, outcome: Outcome, result: ResultRecord, *, lease_reason: str | None = None
) -> TrialStateName:
    """End a trial, its lease and, if nothing is left to do, its study; return the trial's state.

    `lease_reason` is why the lease ended, if that differs from why the trial did.
    """
    state, values = TrialState[result.state], result.values
    if state != TrialState.FAIL:
        live.failing_workers.note_training(lease.worker_id)
    ended_at = live.clock.now()
    live.store.finish(lease, outcome, result, ended_at, reason=lease_reason)
    live.end.used.end_lease(lease, ended_at)
    live.end.used.end_trial(lease.trial_id)
    save_constraints(live, lease, result)
    if live.final is not None:
        live.final_metrics[lease.trial_id] = result.metrics
    live.store.artifacts.remove(lease.trial_id, CHECKPOINT)
    live.leases.remove(lease.lease_id)
    live.pruning.end(lease.trial_id)
    tell(live.study, lease.trial_number, state, values)
    live.events.trial_ended(lease, state, result.metrics, values, result.reason)
    _check_goals(live, lease.trial_id, lease.trial_number, state, values)
    if outcome in COUNTED and live.stop_reason() is None:
        live.failures.note_end(
            lease.worker_id,
            failed=state == TrialState.FAIL,
            reason=result.reason,
            limit=live.max_failures_in_a_row,
        )
        _pause_if_failing(live)
    live.tick()
    live.notify()
    live.want_suggestions()
    return result.state


def _pause_if_failing(live: LiveStudy) -> None:
    """Pause a study with too many failures in a row, unless a worker without any is at work or no trial is left."""
    failures, record = live.failures, live.record
    if record.state != "running" or failures.n < live.max_failures_in_a_row or live.queue.is_empty(record.n_trials):
        return
    if any(not failures.has_failed(lease.worker_id) for lease in live.leases):
        return
    reason = f"the last {failures.n} trials have failed (max_failures_in_a_row), the last one: {failures.reason}"
    live.record = live.store.change_study(record, state="paused", state_reason=reason)
    live.events.study_changed(record, live.record)


def finish_unleased_trial(
    live: LiveStudy, trial_id: int, number: int, state: TrialState, values: Sequence[float] | None, reason: str | None
) -> None:
    """End a trial that no worker holds. The caller holds the study's lock."""
    given = None if values is None else list(values)
    live.store.optuna.set_trial_state_values(trial_id, state, given)
    given = given if state == TrialState.COMPLETE else None
    live.store.set_result(ResultRecord(trial_id, live.record.study_id, NAMES[state], given, {}, reason))
    live.store.artifacts.remove(trial_id, CHECKPOINT)
    live.end.used.end_trial(trial_id)
    live.events.unleased_trial_ended(number, state, given, reason)
    _check_goals(live, trial_id, number, state, given)
    live.notify()


def requeue_trial(live: LiveStudy, lease: LeaseRecord, outcome: Outcome, reason: str | None) -> TrialStateName:
    """End a lease; its trial waits at the rung that it reached, or goes to the front of the queue. Return its state."""
    resume = live.resume(lease.trial_id)
    after_step = None if resume is None else resume.step
    ended_at = live.clock.now()
    live.store.requeue(lease, outcome, reason, ended_at, after_step=after_step)
    live.end.used.end_lease(lease, ended_at)
    live.end.used.forget_epochs(lease.trial_id, after_step)
    live.pruning.forget(lease.trial_id, after_step)
    rung_step = reached_rung(live, lease)
    live.leases.requeue(lease.lease_id, after_step)
    if live.promotion is not None and rung_step is not None:
        save_constraints(live, lease, pruned_result(lease))
        live.promotion.pause(live.store.optuna.get_trial(lease.trial_id), rung_step)
        live.end.patience.note(lease.trial_number, None)
        live.events.trial_paused(lease, rung_step)
    else:
        live.queue.retry(lease.trial_id)
        live.events.trial_requeued(lease, outcome, reason, after_step)
    live.notify()
    return "WAITING"


def reached_rung(live: LiveStudy, lease: LeaseRecord) -> int | None:
    """Step of the rung at which a trial was told to pause, if its checkpoint is of that step or a later one."""
    rung_step, resume = live.leases.pause_step(lease.lease_id), live.resume(lease.trial_id)
    return rung_step if rung_step is not None and resume is not None and resume.step >= rung_step else None


def may_be_retried(live: LiveStudy, lease: LeaseRecord) -> bool:
    """Whether a trial whose attempt failed has attempts left, or can wait at a rung."""
    return lease.attempt < live.definition.max_attempts or reached_rung(live, lease) is not None


def all_reasons(live: LiveStudy, lease: LeaseRecord, reason: str) -> str:
    """Why the attempts at a trial ended, in one line; `reason` is that of the last attempt."""
    known = live.store.leases.of_trials([lease.trial_id])
    n_left_out = live.store.leases.n_of_trial(lease.trial_id) - len(known)
    attempts = [(past.attempt, past.reason) for past in known if past.reason] + [(lease.attempt, reason)]
    if n_left_out == 0:
        return "; ".join(_reasons(attempts))
    first = _reasons((past.attempt, past.reason) for past in known[:1] if past.reason)
    return "; ".join([*first, f"{n_left_out} leases are left out", *_reasons(attempts[len(first) :])])


def _reasons(attempts: Iterable[tuple[int, str]]) -> list[str]:
    """Numbers and reasons of attempts in words. Neighbours with the same reason are one."""
    told = []
    for text, alike in groupby(attempts, key=lambda attempt: attempt[1]):
        numbers = [number for number, _ in alike]
        which = f"attempt {numbers[0]}" if len(numbers) == 1 else f"attempts {numbers[0]} to {numbers[-1]}"
        told.append(f"{which}: {text}")
    return told


def _check_goals(
    live: LiveStudy, trial_id: int, number: int, state: TrialState, values: Sequence[float] | None
) -> None:
    """Check a trial that has ended against the study's target and patience. One that failed counts for neither."""
    if state == TrialState.FAIL:
        return
    counts = state == TrialState.COMPLETE and constraints.is_feasible(live.store.optuna.get_trial(trial_id))
    if counts and values is not None:
        live.end.check_target(number, values)
    live.end.patience.note(number, values if counts else None)
