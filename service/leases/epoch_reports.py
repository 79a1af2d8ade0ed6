"""Reports in, decisions out, in one study. A repeated report of a lease and step gets the same decision again."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future

from optuna.trial import TrialState

from service.errors import InvalidError, ReportConflictError
from service.leases.grants import training_of
from service.leases.trial_ends import finish_trial
from service.leases.trial_results import Metrics, failed_result, interrupted_result, pruned_result, same_metrics
from service.pruning.promotion import Promotion
from service.schemas.protocol import Report
from service.schemas.study.training import Training
from service.study.live_study import LiveStudy
from storage import Decision, EpochRecord, LeaseRecord

MAX_METRICS_OF_ATTEMPT = 500
"""Every metric is a column of the answer with a trial's curves, whose rows are the reported steps."""


def check_report(lease: LeaseRecord, known: EpochRecord | None, step: int, metrics: Mapping[str, float]) -> None:
    """Raises ReportConflictError if the step was reported with other metrics under this lease, as `known` tells."""
    if known is not None and not same_metrics(known.metrics, metrics):
        raise ReportConflictError(f"step {step} of lease {lease.lease_id} was reported with other metrics")


def check_metric_names(live: LiveStudy, lease_id: str, reports: Sequence[tuple[str, Report]]) -> None:
    """Check the number of metrics of an attempt with new reports, given with the names of their fields.

    Raises InvalidError.
    """
    known = live.leases.metrics(lease_id)
    new: set[str] = set()
    for name, report in reports:
        new |= report.metrics.keys() - known
        if new and len(known) + len(new) > MAX_METRICS_OF_ATTEMPT:  # an older attempt may have more
            rule = f"the reports of an attempt may have at most {MAX_METRICS_OF_ATTEMPT} different metrics"
            raise InvalidError([(f"{name}.metrics", f"{rule}: {len(known) + len(new)} with this report")])


def record_report(
    live: LiveStudy, lease: LeaseRecord, known: EpochRecord | None, step: int, metrics: Metrics
) -> tuple[Decision, Future[None]]:
    """Keep the metrics of an epoch and return the decision, which holds once the future is done.

    `known` is an earlier report of the step under this lease. The caller holds the study's lock and has called `tick`.
    """
    with live.store.deferred() as committed:
        return _record(live, lease, known, step, metrics), committed


def _record(live: LiveStudy, lease: LeaseRecord, known: EpochRecord | None, step: int, metrics: Metrics) -> Decision:
    is_open = live.leases.get(lease.lease_id) is not None
    if is_open:
        live.leases.renew(lease.lease_id)
    known = known or live.leases.epoch(lease.lease_id, step)  # the same call may report a step twice
    if known is not None:
        return known.decision
    if not is_open:
        return _decision_after_end(live, lease.lease_id)
    live.failing_workers.note_training(lease.worker_id)
    decision = _decide(live, lease, step, metrics)
    epoch = EpochRecord(lease.trial_id, step, lease.study_id, lease.lease_id, metrics, decision)
    live.store.add_epoch(epoch)
    live.leases.add_epoch(epoch)
    live.end.used.add_epoch(lease.trial_id, step)
    live.events.trial_reported(lease, step, metrics)
    if decision == "prune":
        finish_trial(live, lease, "prune", pruned_result(lease))
    elif decision == "stop":
        finish_trial(live, lease, "stop", failed_result(lease, f"stopped: {live.stop_reason()}"))
    return decision


def report_in_database(live: LiveStudy, lease: LeaseRecord, step: int) -> EpochRecord | None:
    """The earlier report of a step under an open lease or an ended one, from the database; None if there is none."""
    known_lease = live.store.leases.get(lease.lease_id)
    if known_lease is None or known_lease.outcome == "expire" or known_lease.state == TrialState.WAITING.name:
        return None  # the trial may have kept the report, but it belongs to no lease any more
    known = live.store.epoch(lease.trial_id, step)
    return known if known is not None and known.lease_id == lease.lease_id else None


def _decision_after_end(live: LiveStudy, lease_id: str) -> Decision:
    """The decision for a new report under a lease that has ended."""
    closed = live.store.leases.get(lease_id)
    return closed.outcome if closed is not None and closed.outcome in ("prune", "stop") else "lost"


def _decide(live: LiveStudy, lease: LeaseRecord, step: int, metrics: Metrics) -> Decision:
    objective = live.definition.objectives[0].metric
    if objective in metrics:
        live.pruning.note(lease.trial_id, step, metrics[objective])
    is_to_pause = live.leases.pause_step(lease.lease_id) is not None  # its code may report again before it is ended
    if live.stop_reason() is not None:
        return "prune" if is_to_pause else "stop"
    if is_to_pause:
        return "pause"
    if not live.definition.pruner.prunes or objective not in metrics:
        return "continue"
    if live.promotion is not None:
        return _decide_at_rung(live, live.promotion, lease, step, metrics[objective])
    says_prune = live.pruning.says_prune(lease.trial_id) and not _is_last_step(live, lease, step)
    return "prune" if says_prune else "continue"


def _decide_at_rung(live: LiveStudy, promotion: Promotion, lease: LeaseRecord, step: int, value: float) -> Decision:
    says_pause = promotion.says_pause(live.store.optuna.get_trial(lease.trial_id), step, value)
    if says_pause is not None:  # the value may promote paused trials, for which claims may wait
        live.notify()
    return "pause" if says_pause and not _is_last_step(live, lease, step) else "continue"


def _is_last_step(live: LiveStudy, lease: LeaseRecord, step: int) -> bool:
    """Whether the trial has trained to its end, so that ending it now saves nothing.

    False for a trial of an entrypoint or a command, whose number of steps is unknown.
    """
    training = training_of(live, live.store.optuna.get_trial(lease.trial_id).params)
    return isinstance(training, Training) and step + 1 >= training.epochs


def renew_lease(live: LiveStudy, lease_id: str) -> tuple[float, Future[None]]:
    """Give an open lease a fresh term and return its seconds; 0 for a lease that has ended.

    The lease of a trial with users' code is ended if its study is to stop: other trials hear of that by the decision
    on a report, but code of users may never report.
    """
    with live.deferred_change() as committed:
        lease = live.leases.get(lease_id)
        if lease is None:
            return 0.0, committed
        reason = live.stop_reason()
        if reason is not None and not live.definition.needs.is_empty:
            finish_trial(live, lease, "stop", interrupted_result(live, lease, f"stopped: {reason}"))
            return 0.0, committed
        live.leases.renew(lease_id)
        return live.leases.remaining_seconds(lease_id), committed
