"""Find leases by their IDs, and hold their studies while something is written under them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from itertools import zip_longest
from typing import NamedTuple, TypeVar

from service.errors import LeaseClosedError, LeaseLostError, LeaseNotFoundError
from service.logs import set_request_subject
from service.registry.registry import Registry
from service.study.live_study import LiveStudy
from storage import LeaseRecord

Answer = TypeVar("Answer")
Committed = Sequence[Future[None]]
"""The commits behind an answer. The answer may be sent once all of them are done."""


class HeldLease(NamedTuple):
    """A lease whose study is locked; what is written meanwhile is in the database once `committed` is done."""

    live: LiveStudy
    record: LeaseRecord
    committed: Future[None]


def find_lease(registry: Registry, lease_id: str) -> tuple[LiveStudy | None, LeaseRecord | None]:
    """Return the study and the record of a lease, or None for what does not exist.

    Of the leases that have ended, an old one of a trial with many is not found: reports and renewals of it are answered
    as those of an unknown one. The lease's worker is noted as seen, because only it knows the lease ID.
    """
    return _with_study(registry, registry.store.leases.get(lease_id))


def _with_study(registry: Registry, record: LeaseRecord | None) -> tuple[LiveStudy | None, LeaseRecord | None]:
    if record is None:
        return None, None
    registry.worker_last_seen.note(record.worker_id)
    return registry.by_id(record.study_id), record


def get_lease(registry: Registry, lease_id: str) -> tuple[LiveStudy, LeaseRecord]:
    """Return the study and the record of a lease, open or ended.

    Reads a lease that is not in memory any more from the database. Raises LeaseNotFoundError.
    """
    live, lease = _with_study(registry, registry.store.lease(lease_id))
    if live is None or lease is None:
        raise LeaseNotFoundError(f"no lease of this id: {lease_id}")
    set_request_subject(live.record.name, lease.trial_number, lease_id)
    return live, lease


def get_ended_lease(registry: Registry, lease: LeaseRecord) -> LeaseRecord:
    """Return the record of a lease that is not open any more; `lease` is the record that it had before.

    Raises LeaseNotFoundError if its study was deleted.
    """
    ended = registry.store.leases.get(lease.lease_id) or lease
    if ended.ended_at is None:
        raise LeaseNotFoundError(f"no lease of this id: {lease.lease_id}")
    return ended


def lease_refusal(ended: LeaseRecord) -> LeaseLostError | LeaseClosedError:
    """Return the error for a call with a lease that has ended."""
    if ended.outcome == "expire":
        return LeaseLostError(f"lease {ended.lease_id} has expired: {ended.reason}")
    return LeaseClosedError(f"lease {ended.lease_id} has ended by {ended.outcome}")


def renew_open_lease(registry: Registry, live: LiveStudy, lease: LeaseRecord) -> None:
    """Give an open lease a fresh term. Raises LeaseLostError and LeaseClosedError if it has ended."""
    if live.leases.get(lease.lease_id) is None:
        raise lease_refusal(get_ended_lease(registry, lease))
    live.leases.renew(lease.lease_id)


@contextmanager
def hold_lease(registry: Registry, lease_id: str, *, or_ended: bool = False) -> Iterator[HeldLease]:
    """Renew a lease and lock its study, so that the lease cannot end while the block writes one transaction.

    With `or_ended`, a lease by which its trial or a failed attempt has ended is accepted too. Raises
    LeaseNotFoundError, LeaseLostError and LeaseClosedError.
    """
    live, lease = get_lease(registry, lease_id)
    with live.deferred_change() as committed:
        if not (or_ended and _has_ended_by_itself(registry, lease_id)):
            renew_open_lease(registry, live, lease)
        yield HeldLease(live, lease, committed)


def _has_ended_by_itself(registry: Registry, lease_id: str) -> bool:
    lease = registry.store.leases.get(lease_id)
    if lease is None or lease.outcome == "expire":
        return False
    return lease.outcome == "fail" or lease.state in ("COMPLETE", "PRUNED", "FAIL")


def studies_of(registry: Registry, lease_ids: Iterable[str]) -> list[LiveStudy]:
    """The studies of leases, each once."""
    found = [find_lease(registry, lease_id)[0] for lease_id in lease_ids]
    return list({live.record.study_id: live for live in found if live is not None}.values())


def call_again_if_deleted(studies: Iterable[LiveStudy], call: Callable[[], Answer]) -> Answer:
    """Make a call with leases of these studies; again if one of them was deleted meanwhile, so that it is not found."""
    try:
        return call()
    except KeyError:  # raised by Optuna for what was deleted
        if not any(live.was_deleted() for live in studies):
            raise
        return call()


@contextmanager
def try_lock(studies: Iterable[LiveStudy]) -> Iterator[bool]:
    """Try to lock studies without blocking, for the length of the block. Yields whether all locks were taken."""
    with ExitStack() as held:
        for live in studies:
            if not live.lock.acquire(blocking=False):
                yield False
                return
            held.callback(live.lock.release)
        yield True


def are_in_memory(registry: Registry, lease_ids: Sequence[str], steps: Sequence[int] = ()) -> bool:
    """Whether a call needs only memory: all its leases are open and not expired.

    `steps` are those of reports, one for each lease: each must be new or among the newest of its lease.
    """
    for lease_id, step in zip_longest(lease_ids, steps):
        live, _ = find_lease(registry, lease_id)
        if live is None or live.leases.remaining_seconds(lease_id) <= 0:
            return False
        if step is not None and not live.leases.knows(lease_id, step):
            return False
    return True
