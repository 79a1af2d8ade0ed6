"""What workers call with a lease: report, renew, complete, fail, release."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager

from service.errors import LeaseClosedError, LeaseLostError, LeaseNotFoundError, ReportConflictError
from service.live_study import LiveStudy, same_metrics
from service.registry import Registry
from service.schemas.protocol import Complete, Fail, RenewedLease, Report, ReportDecision
from storage import LeaseRecord

Decided = list[ReportDecision]


@contextmanager
def unhindered(registry: Registry, reports: Sequence[Report]) -> Iterator[bool]:
    """Whether these reports touch memory alone: their leases are open, and no sampler holds their studies.

    The studies stay held for the length of the block.
    """
    with ExitStack() as held:
        for item in reports:
            live, _ = _find(registry, item.lease_id)
            if live is None or not live.lock.acquire(blocking=False):
                yield False
                return
            held.callback(live.lock.release)
            if live.leases.get(item.lease_id) is None:
                yield False
                return
        yield True


def report(registry: Registry, reports: Sequence[Report]) -> tuple[Decided, list[Future[None]]]:
    """Answer each report with a decision, which holds once all futures are done.

    Raises ReportConflictError, and then has kept none of them.
    """
    found = [(item, *_find(registry, item.lease_id)) for item in reports]
    first: dict[tuple[str, int], Report] = {}
    for item, live, lease in found:
        if not same_metrics(first.setdefault((item.lease_id, item.step), item).metrics, item.metrics):
            raise ReportConflictError(f"step {item.step} of lease {item.lease_id} is reported twice, not the same")
        if live is not None and lease is not None:
            live.check_report(lease, item.step, item.metrics)
    decided = []
    waiting = []
    for item, live, lease in found:
        decision = "lost"
        if live is not None and lease is not None:
            decision, committed = live.report(lease, item.step, item.metrics)
            waiting.append(committed)
        decided.append(
            ReportDecision.model_validate({"lease_id": item.lease_id, "step": item.step, "decision": decision})
        )
    return decided, waiting


def renew(registry: Registry, lease_ids: Sequence[str]) -> list[RenewedLease]:
    """Give each live lease a fresh term."""
    renewed = []
    for lease_id in lease_ids:
        live, _ = _find(registry, lease_id)
        seconds = 0.0 if live is None else live.renew(lease_id)
        renewed.append(RenewedLease(lease_id=lease_id, alive=seconds > 0, expires_in_seconds=seconds))
    return renewed


def complete(registry: Registry, lease_id: str, body: Complete) -> str:
    """End a trial with its results. Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError, InvalidError."""
    live, lease = _open(registry, lease_id)
    with live.working():
        if live.leases.get(lease_id) is not None:
            return live.complete(lease, body.metrics, body.values)
        ended = _ended(registry, lease_id)
        if ended.outcome == "prune" and body.metrics:
            registry.store.set_final_metrics(ended.trial_id, body.metrics)
        return _same_answer(ended, ("complete", "prune", "stop"))


def fail(registry: Registry, lease_id: str, body: Fail) -> str:
    """End an attempt that failed. Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError."""
    return _terminal(registry, lease_id, "fail", lambda live, lease: live.fail(lease, body.reason, body.retry))


def release(registry: Registry, lease_id: str) -> str:
    """Give a trial back untouched. Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError."""
    return _terminal(registry, lease_id, "release", lambda live, lease: live.release(lease))


def _terminal(registry: Registry, lease_id: str, outcome: str, end: Callable[[LiveStudy, LeaseRecord], str]) -> str:
    live, lease = _open(registry, lease_id)
    with live.working():
        if live.leases.get(lease_id) is not None:
            return end(live, lease)
        return _same_answer(_ended(registry, lease_id), (outcome,))


def _same_answer(ended: LeaseRecord, outcomes: Sequence[str]) -> str:
    """The answer that ended a lease, when the same call comes again."""
    if ended.outcome == "expire":
        raise LeaseLostError(f"lease {ended.lease_id} has expired: {ended.reason}")
    if ended.outcome not in outcomes or ended.state is None:
        raise LeaseClosedError(f"lease {ended.lease_id} has ended by {ended.outcome}")
    return ended.state


def _find(registry: Registry, lease_id: str) -> tuple[LiveStudy | None, LeaseRecord | None]:
    record = registry.store.lease(lease_id)
    return (None, None) if record is None else (registry.by_id(record.study_id), record)


def _open(registry: Registry, lease_id: str) -> tuple[LiveStudy, LeaseRecord]:
    live, lease = _find(registry, lease_id)
    if live is None or lease is None:
        raise LeaseNotFoundError(f"no lease of this id: {lease_id}")
    live.tick()
    return live, lease


def _ended(registry: Registry, lease_id: str) -> LeaseRecord:
    ended = registry.store.lease(lease_id)
    if ended is None:
        raise LeaseNotFoundError(f"no lease of this id: {lease_id}")
    return ended
