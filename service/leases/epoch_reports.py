"""Reports in, decisions out: the same (lease_id, step) again gets the same decision."""

from collections.abc import Mapping
from concurrent.futures import Future

from optuna.trial import TrialState

from service.errors import ReportConflictError
from service.leases.ends import Metrics, cut_short, failed, finish, same_metrics, told_to_pause
from service.leases.grants import training_of
from service.pruning.promotion import Promotion
from service.schemas.study.user_training import UserTraining
from service.study.live_study import LiveStudy
from storage import Decision, EpochRecord, LeaseRecord, ResultRecord


def check_report(live: LiveStudy, lease: LeaseRecord, step: int, metrics: Mapping[str, float]) -> None:
    """Raises ReportConflictError when the step was reported with other metrics under this lease, if it is alive."""
    known = _known_epoch(live, lease, step)
    if known is not None and not same_metrics(known.metrics, metrics):
        raise ReportConflictError(f"step {step} of lease {lease.lease_id} was reported with other metrics")


def report(live: LiveStudy, lease: LeaseRecord, step: int, metrics: Metrics) -> tuple[Decision, Future[None]]:
    """Keep the metrics of an epoch, and decide whether the trial goes on; true once the future is done.

    The caller holds the lock and has let time take effect.
    """
    with live.store.deferred() as committed:
        return _report(live, lease, step, metrics), committed


def _report(live: LiveStudy, lease: LeaseRecord, step: int, metrics: Metrics) -> Decision:
    is_open = live.leases.get(lease.lease_id) is not None
    if is_open:
        live.leases.renew(lease.lease_id)
    known = _known_epoch(live, lease, step)
    if known is not None:
        return known.decision
    if not is_open:
        return _closed_decision(live, lease.lease_id)
    decision = _decide(live, lease, step, metrics)
    epoch = EpochRecord(lease.trial_id, step, lease.study_id, lease.lease_id, metrics, decision)
    live.store.add_epoch(epoch)
    live.leases.add_epoch(epoch)
    live.news.trial_reported(lease, step, metrics)
    if decision == "prune":
        finish(live, lease, "prune", ResultRecord(lease.trial_id, lease.study_id, "PRUNED"))
    elif decision == "stop":
        finish(live, lease, "stop", failed(lease, f"stopped: {live.stop_reason()}"))
    return decision


def _known_epoch(live: LiveStudy, lease: LeaseRecord, step: int) -> EpochRecord | None:
    """What was reported at a step under this very lease."""
    if live.leases.get(lease.lease_id) is not None:
        return live.leases.epoch(lease.lease_id, step)
    closed = live.store.leases.get(lease.lease_id)
    if closed is None or closed.outcome == "expire" or closed.state == TrialState.WAITING.name:
        return None  # what it reported may live on with the trial, but no longer under this lease
    known = live.store.epoch(lease.trial_id, step)
    return known if known is not None and known.lease_id == lease.lease_id else None


def _closed_decision(live: LiveStudy, lease_id: str) -> Decision:
    closed = live.store.leases.get(lease_id)
    return closed.outcome if closed is not None and closed.outcome in ("prune", "stop") else "lost"


def _decide(live: LiveStudy, lease: LeaseRecord, step: int, metrics: Metrics) -> Decision:
    objective = live.definition.objectives[0].metric
    if objective in metrics:
        live.pruning.note(lease.trial_id, step, metrics[objective])
    is_to_pause = told_to_pause(live, lease) is not None  # its code may report once more before it is ended
    if live.stop_reason() is not None:
        return "prune" if is_to_pause else "stop"
    if is_to_pause:
        return "pause"
    if not live.definition.pruner.prunes or objective not in metrics:
        return "continue"
    if live.promotion is not None:
        return _at_rung(live, live.promotion, lease, step, metrics[objective])
    says_prune = live.pruning.says_prune(lease.trial_id) and not _is_last(live, lease, step)
    return "prune" if says_prune else "continue"


def _at_rung(live: LiveStudy, promotion: Promotion, lease: LeaseRecord, step: int, value: float) -> Decision:
    pauses = promotion.says_pause(live.store.optuna.get_trial(lease.trial_id), step, value)
    if pauses is not None:  # others may be promoted by it
        live.notify()
    return "pause" if pauses and not _is_last(live, lease, step) else "continue"


def _is_last(live: LiveStudy, lease: LeaseRecord, step: int) -> bool:
    """Whether the trial has trained to its end, so that nothing is saved by ending it now. Of code nobody knows."""
    training = training_of(live, live.store.optuna.get_trial(lease.trial_id).params)
    return not isinstance(training, UserTraining) and step + 1 >= training.epochs


def renew(live: LiveStudy, lease_id: str) -> tuple[float, Future[None]]:
    """Give a lease a fresh term, and answer its seconds; 0 when it is lost.

    A study that is to stop ends it: users' code may never report, which is where other trials hear of it.
    """
    with live.changing() as committed:
        lease = live.leases.get(lease_id)
        if lease is None:
            return 0.0, committed
        reason = live.stop_reason()
        if reason is not None and live.definition.entrypoints:
            finish(live, lease, "stop", cut_short(live, lease, f"stopped: {reason}"))
            return 0.0, committed
        live.leases.renew(lease_id)
        return live.leases.remaining_seconds(lease_id), committed
