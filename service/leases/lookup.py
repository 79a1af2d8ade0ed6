"""Find leases by their IDs, and hold their studies while something is written under them."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from service.errors import LeaseClosedError, LeaseLostError, LeaseNotFoundError
from service.logs import set_request_subject
from service.registry.registry import Registry
from service.study.live_study import LiveStudy
from storage import LeaseRecord

Committed = Sequence[Future[None]]
"""The commits behind an answer. The answer may be sent once all of them are done."""


class HeldLease(NamedTuple):
    """A lease whose study is locked; what is written meanwhile is in the database once `committed` is done."""

    live: LiveStudy
    record: LeaseRecord
    committed: Future[None]


def find_lease(registry: Registry, lease_id: str) -> tuple[LiveStudy | None, LeaseRecord | None]:
    """Return the study and the record of a lease, open or ended, or None for what does not exist.

    The lease's worker is noted as seen, because only it knows the lease ID.
    """
    record = registry.store.leases.get(lease_id)
    if record is None:
        return None, None
    registry.worker_last_seen.note(record.worker_id)
    return registry.by_id(record.study_id), record


def get_lease(registry: Registry, lease_id: str) -> tuple[LiveStudy, LeaseRecord]:
    """Return the study and the record of a lease, open or ended. Raises LeaseNotFoundError."""
    live, lease = find_lease(registry, lease_id)
    if live is None or lease is None:
        raise LeaseNotFoundError(f"no lease of this id: {lease_id}")
    set_request_subject(live.record.name, lease.trial_number, lease_id)
    return live, lease


def get_ended_lease(registry: Registry, lease_id: str) -> LeaseRecord:
    """Return the record of a lease that is not open any more. Raises LeaseNotFoundError if its study was deleted."""
    ended = registry.store.leases.get(lease_id)
    if ended is None:
        raise LeaseNotFoundError(f"no lease of this id: {lease_id}")
    return ended


def lease_refusal(ended: LeaseRecord) -> LeaseLostError | LeaseClosedError:
    """Return the error for a call with a lease that has ended."""
    if ended.outcome == "expire":
        return LeaseLostError(f"lease {ended.lease_id} has expired: {ended.reason}")
    return LeaseClosedError(f"lease {ended.lease_id} has ended by {ended.outcome}")


def renew_open_lease(registry: Registry, live: LiveStudy, lease_id: str) -> None:
    """Give an open lease a fresh term. Raises LeaseLostError and LeaseClosedError if it has ended."""
    if live.leases.get(lease_id) is None:
        raise lease_refusal(get_ended_lease(registry, lease_id))
    live.leases.renew(lease_id)


@contextmanager
def hold_lease(registry: Registry, lease_id: str, *, or_ended: bool = False) -> Iterator[HeldLease]:
    """Renew a lease and lock its study, so that the lease cannot end while the block writes one transaction.

    With `or_ended`, a lease by which its trial has ended is accepted too. Raises LeaseNotFoundError, LeaseLostError
    and LeaseClosedError.
    """
    live, lease = get_lease(registry, lease_id)
    with live.deferred_change() as committed:
        if not (or_ended and _has_ended_its_trial(registry, lease_id)):
            renew_open_lease(registry, live, lease_id)
        yield HeldLease(live, lease, committed)


def _has_ended_its_trial(registry: Registry, lease_id: str) -> bool:
    lease = registry.store.leases.get(lease_id)
    return lease is not None and lease.outcome != "expire" and lease.state in ("COMPLETE", "PRUNED", "FAIL")


@contextmanager
def try_lock_studies(registry: Registry, lease_ids: Sequence[str]) -> Iterator[bool]:
    """Try to lock the studies of these leases without blocking, for the length of the block.

    Yields True if all locks were taken and `are_in_memory` holds, so that a call with these leases reads nothing from
    the database.
    """
    with ExitStack() as held:
        for lease_id in lease_ids:
            live, _ = find_lease(registry, lease_id)
            if live is None or not live.lock.acquire(blocking=False):
                yield False
                return
            held.callback(live.lock.release)
        yield are_in_memory(registry, lease_ids)


def are_in_memory(registry: Registry, lease_ids: Iterable[str]) -> bool:
    """Whether all these leases are open and not expired: what has ended must be read from the database."""
    for lease_id in lease_ids:
        live, _ = find_lease(registry, lease_id)
        if live is None or live.leases.remaining_seconds(lease_id) <= 0:
            return False
    return True
