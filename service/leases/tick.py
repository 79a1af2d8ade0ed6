"""What happens in a study as time passes: leases expire, rounds start, the study ends."""

import math

from optuna.trial import FrozenTrial, TrialState

from service.finals.trials import continue_final
from service.leases.trial_ends import all_reasons, finish_trial, finish_unleased_trial, may_be_retried, requeue_trial
from service.leases.trial_results import failed_result, interrupted_result
from service.rounds.start import start_due_round
from service.study.live_study import LiveStudy
from storage import LeaseRecord, trial_id_of


def tick_study(live: LiveStudy) -> None:
    """Expire overdue leases, start a due round, and end the study if nothing is left to do."""
    with live.committed_change():
        for lease in live.leases.expired():
            if live.leases.get(lease.lease_id) is not None:  # the end of another lease ticks too, and may expire it
                _expire_lease(live, lease)
        if live.deleted:
            return
        stop_reason = live.stop_reason()
        if stop_reason is not None:
            stopped = f"stopped: {stop_reason}"
            for trial in live.queue.retries():
                finish_unleased_trial(live, trial_id_of(trial), trial.number, TrialState.FAIL, None, stopped)
            _prune_paused_trials(live)
        if live.record.state == "running" and stop_reason is None:
            start_due_round(live)
        if live.record.state != "running" or len(live.leases) > 0:
            return
        reason = stop_reason or live.end.finished_reason(live.queue, live.record)
        if reason is not None and not continue_final(live):
            _prune_paused_trials(live)
            live.record = live.store.change_study(
                live.record, state="finished", finished_at=live.clock.now(), finished_reason=reason
            )
            live.events.study_finished(reason)
            live.rest()
            live.notify()


def _expire_lease(live: LiveStudy, lease: LeaseRecord) -> None:
    reason = f"worker {lease.worker_id} was not heard of for {live.leases.term_seconds:g} s"
    live.events.lease_expired(lease, reason)
    if live.stop_reason() is not None:
        reasons = f"{reason}; {live.stop_reason()}"
        finish_trial(live, lease, "expire", interrupted_result(live, lease, reasons), lease_reason=reasons)
    elif may_be_retried(live, lease):
        requeue_trial(live, lease, "expire", reason)
    else:
        reasons = all_reasons(live, lease, reason)
        finish_trial(live, lease, "expire", failed_result(lease, reasons), lease_reason=reason)


def _prune_paused_trials(live: LiveStudy) -> None:
    """Prune the paused trials at their last value, as nothing will promote them any more."""
    for trial in live.promotion.paused() if live.promotion is not None else ():
        finish_unleased_trial(live, trial_id_of(trial), trial.number, TrialState.PRUNED, _last_value(trial), None)


def _last_value(trial: FrozenTrial) -> list[float] | None:
    """The objective value of a pruned trial: its last intermediate value; None if that is nan or there is none."""
    if trial.last_step is None or math.isnan(trial.intermediate_values[trial.last_step]):
        return None
    return [trial.intermediate_values[trial.last_step]]
