"""What workers call with a lease: report, renew, complete, fail, release."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager

from service.errors import LeaseClosedError, LeaseLostError, LeaseNotFoundError, ReportConflictError
from service.finals.trials import check_completion, check_no_test_metrics
from service.leases import ends as lease_ends
from service.leases import epoch_reports as reports
from service.leases.ends import same_metrics
from service.leases.epoch_reports import check_report
from service.logs import set_request_subject
from service.registry.registry import Registry
from service.schemas.protocol import Complete, Fail, RenewedLease, Report, ReportDecision
from service.study.live_study import LiveStudy
from storage import Decision, LeaseRecord, Outcome, TrialStateName

Decided = list[ReportDecision]
Found = tuple[Report, LiveStudy | None, LeaseRecord | None]


Committed = Sequence[Future[None]]
"""An answer holds once all of them are done."""


@contextmanager
def unhindered(registry: Registry, lease_ids: Sequence[str], *, with_epochs: bool = False) -> Iterator[bool]:
    """Whether a call with these leases touches memory alone: they are open, and nobody works on their studies.

    The studies stay held for the length of the block. `with_epochs`: and what they reported last is in memory.
    """
    with ExitStack() as held:
        for lease_id in lease_ids:
            live, _ = _find(registry, lease_id)
            if live is None or not live.lock.acquire(blocking=False):
                yield False
                return
            held.callback(live.lock.release)
        yield are_at_hand(registry, lease_ids, with_epochs=with_epochs)


def are_at_hand(registry: Registry, lease_ids: Iterable[str], *, with_epochs: bool) -> bool:
    """Whether they are open, and with `with_epochs` what they reported last is in memory."""
    for lease_id in lease_ids:
        live, _ = _find(registry, lease_id)
        if live is None or live.leases.get(lease_id) is None:
            return False
        if with_epochs and live.leases.last_epoch(lease_id) is None:
            return False
    return True


def report(registry: Registry, items: Sequence[Report]) -> tuple[Decided, Committed]:
    """Answer each report with a decision.

    Raises InvalidError and ReportConflictError, and then has kept none of them.
    """
    for index, item in enumerate(items):
        check_no_test_metrics(item.metrics, f"reports.{index}.metrics")
    found = [(item, *_find(registry, item.lease_id)) for item in items]
    with ExitStack() as held:
        studies = {live.record.study_id: live for _, live, _ in found if live is not None}
        for study_id in sorted(studies):  # in one order, or two calls could wait for each other
            held.enter_context(studies[study_id].lock)
            with registry.store.deferred():
                studies[study_id].tick()
        _check(found)
        return _decided(found)


def _check(found: Sequence[Found]) -> None:
    """Raises ReportConflictError when a step comes with other metrics than before, or than in the same call."""
    first: dict[tuple[str, int], Report] = {}
    for item, live, lease in found:
        if not same_metrics(first.setdefault((item.lease_id, item.step), item).metrics, item.metrics):
            raise ReportConflictError(f"step {item.step} of lease {item.lease_id} is reported twice, not the same")
        if live is not None and lease is not None:
            check_report(live, lease, item.step, item.metrics)


def _decided(found: Sequence[Found]) -> tuple[Decided, list[Future[None]]]:
    decided = []
    waiting = []
    for item, live, lease in found:
        decision: Decision = "lost"
        if live is not None and lease is not None:
            decision, committed = reports.report(live, lease, item.step, item.metrics)
            waiting.append(committed)
        decided.append(ReportDecision(lease_id=item.lease_id, step=item.step, decision=decision))
    return decided, waiting


def renew(registry: Registry, lease_ids: Sequence[str]) -> tuple[list[RenewedLease], Committed]:
    """Give each live lease a fresh term."""
    renewed = []
    waiting = []
    for lease_id in lease_ids:
        live, _ = _find(registry, lease_id)
        seconds = 0.0
        if live is not None:
            seconds, committed = reports.renew(live, lease_id)
            waiting.append(committed)
        renewed.append(RenewedLease(lease_id=lease_id, alive=seconds > 0, expires_in_seconds=seconds))
    return renewed, waiting


@contextmanager
def holding(registry: Registry, lease_id: str, *, or_ended: bool = False) -> Iterator[LeaseRecord]:
    """Hold an open lease, with a fresh term: what the block writes is one transaction, and the lease cannot end in it.

    `or_ended`: or one with which its trial has ended. Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError.
    """
    live, lease = known(registry, lease_id)
    with live.changing() as committed:
        if not (or_ended and _has_ended_its_trial(registry, lease_id)):
            check_open(registry, live, lease_id)
        yield lease
    registry.store.wait(committed)


def check_open(registry: Registry, live: LiveStudy, lease_id: str) -> None:
    """Give a lease a fresh term. Raises LeaseLostError and LeaseClosedError when it has ended."""
    if live.leases.get(lease_id) is None:
        raise _refusal(_ended(registry, lease_id))
    live.leases.renew(lease_id)


def _has_ended_its_trial(registry: Registry, lease_id: str) -> bool:
    lease = registry.store.leases.get(lease_id)
    return lease is not None and lease.outcome != "expire" and lease.state in ("COMPLETE", "PRUNED", "FAIL")


def complete(registry: Registry, lease_id: str, body: Complete) -> tuple[TrialStateName, Committed]:
    """End a trial with its results. Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError, InvalidError."""
    live, lease = known(registry, lease_id)
    check_completion(live, lease, body.metrics)
    with live.changing() as committed:
        if live.leases.get(lease_id) is not None:
            return lease_ends.complete(live, lease, body.metrics, body.values), [committed]
        ended = _ended(registry, lease_id)
        state = _same_answer(ended, ("complete", "prune", "stop"))
        lease_ends.complete_again(live, ended, body.metrics, body.values)
        return state, [committed]


def fail(registry: Registry, lease_id: str, body: Fail) -> tuple[TrialStateName, Committed]:
    """End an attempt that failed. Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError."""
    live, lease = known(registry, lease_id)
    with live.changing() as committed:
        if live.leases.get(lease_id) is not None:
            return lease_ends.fail(live, lease, body.reason, body.retry), [committed]
        ended = _ended(registry, lease_id)
        state = _same_answer(ended, ("fail",))
        lease_ends.fail_again(ended, body.reason, body.retry)
        return state, [committed]


def release(registry: Registry, lease_id: str) -> tuple[TrialStateName, Committed]:
    """Give a trial back untouched. Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError."""
    live, lease = known(registry, lease_id)
    with live.changing() as committed:
        if live.leases.get(lease_id) is not None:
            return lease_ends.release(live, lease), [committed]
        return _same_answer(_ended(registry, lease_id), ("release",)), [committed]


def prune(registry: Registry, lease_id: str) -> tuple[TrialStateName, Committed]:
    """End a trial that its own code gave up. Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError."""
    live, lease = known(registry, lease_id)
    with live.changing() as committed:
        if live.leases.get(lease_id) is not None:
            return lease_ends.prune(live, lease), [committed]
        return _same_answer(_ended(registry, lease_id), ("prune", "stop")), [committed]


def pause(registry: Registry, lease_id: str) -> tuple[TrialStateName, Committed]:
    """Pause a trial at the rung where a decision told it to.

    Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError and StateConflictError.
    """
    live, lease = known(registry, lease_id)
    with live.changing() as committed:
        if live.leases.get(lease_id) is not None:
            return lease_ends.pause(live, lease), [committed]
        return _same_answer(_ended(registry, lease_id), ("pause", "prune")), [committed]


def _same_answer(ended: LeaseRecord, outcomes: Sequence[Outcome]) -> TrialStateName:
    """The answer that ended a lease, when the same call comes again."""
    if ended.outcome == "expire" or ended.outcome not in outcomes or ended.state is None:
        raise _refusal(ended)
    return ended.state


def _refusal(ended: LeaseRecord) -> LeaseLostError | LeaseClosedError:
    if ended.outcome == "expire":
        return LeaseLostError(f"lease {ended.lease_id} has expired: {ended.reason}")
    return LeaseClosedError(f"lease {ended.lease_id} has ended by {ended.outcome}")


def _find(registry: Registry, lease_id: str) -> tuple[LiveStudy | None, LeaseRecord | None]:
    """The study of a lease, and the lease, open or not. It is its worker who asks."""
    record = registry.store.leases.get(lease_id)
    if record is None:
        return None, None
    registry.sightings.note(record.worker_id)
    return registry.by_id(record.study_id), record


def known(registry: Registry, lease_id: str) -> tuple[LiveStudy, LeaseRecord]:
    """The study of a lease, and the lease, open or not. Raises LeaseNotFoundError."""
    live, lease = _find(registry, lease_id)
    if live is None or lease is None:
        raise LeaseNotFoundError(f"no lease of this id: {lease_id}")
    set_request_subject(live.record.name, lease.trial_number, lease_id)
    return live, lease


def _ended(registry: Registry, lease_id: str) -> LeaseRecord:
    ended = registry.store.leases.get(lease_id)
    if ended is None:
        raise LeaseNotFoundError(f"no lease of this id: {lease_id}")
    return ended
