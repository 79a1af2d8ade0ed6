"""The open leases of one study, in memory, with their terms on the monotonic clock."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from service.clock import Clock
from storage import EpochRecord, LeaseRecord


@dataclass
class OpenLease:
    """An open lease with its reports by step; `expires` is in seconds on the monotonic clock."""

    record: LeaseRecord
    expires: float
    epochs: dict[int, EpochRecord] = field(default_factory=dict)


class OpenLeases:
    """The open leases by ID. A restart, or a time in which the service stood still, gives each a fresh full term."""

    def __init__(
        self, clock: Clock, term_seconds: float, listening_since: Callable[[], float] = lambda: -math.inf
    ) -> None:
        """`listening_since` tells when the service last began to listen, on the monotonic clock."""
        self._clock = clock
        self._listening_since = listening_since
        self.term_seconds = term_seconds
        self._open: dict[str, OpenLease] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[LeaseRecord]:
        return iter([lease.record for lease in self._open.values()])

    def add(self, record: LeaseRecord, epochs: Iterable[EpochRecord] = ()) -> None:
        """Add an open lease; of `epochs`, the reports made under it before a restart are kept."""
        lease = OpenLease(record, self._clock.monotonic() + self.term_seconds)
        lease.epochs = {epoch.step: epoch for epoch in epochs if epoch.lease_id == record.lease_id}
        self._open[record.lease_id] = lease

    def epoch(self, lease_id: str, step: int) -> EpochRecord | None:
        """The report at a step under an open lease, or None."""
        lease = self._open.get(lease_id)
        return None if lease is None else lease.epochs.get(step)

    def last_epoch(self, lease_id: str) -> EpochRecord | None:
        """The report of the highest step under an open lease, or None."""
        lease = self._open.get(lease_id)
        return None if lease is None or not lease.epochs else lease.epochs[max(lease.epochs)]

    def pause_step(self, lease_id: str) -> int | None:
        """Step of the first report under an open lease that was answered by `pause`; None if there is none."""
        lease = self._open.get(lease_id)
        epochs = () if lease is None else lease.epochs.values()
        return next((epoch.step for epoch in epochs if epoch.decision == "pause"), None)

    def add_epoch(self, epoch: EpochRecord) -> None:
        """Remember a report under an open lease."""
        self._open[epoch.lease_id].epochs[epoch.step] = epoch

    def get(self, lease_id: str) -> LeaseRecord | None:
        """The record of an open lease; None if it has ended."""
        lease = self._open.get(lease_id)
        return None if lease is None else lease.record

    def renew(self, lease_id: str) -> None:
        """Give an open lease a fresh term."""
        self._open[lease_id].expires = self._clock.monotonic() + self.term_seconds

    def remaining_seconds(self, lease_id: str) -> float:
        """Seconds until an open lease expires; 0 for one that has ended."""
        lease = self._open.get(lease_id)
        return 0.0 if lease is None else max(0.0, self._expiry(lease) - self._clock.monotonic())

    def remove(self, lease_id: str) -> None:
        """Forget a lease that has ended; does nothing for an unknown one."""
        self._open.pop(lease_id, None)

    def expired(self) -> list[LeaseRecord]:
        """The open leases whose term is over."""
        now = self._clock.monotonic()
        return [lease.record for lease in self._open.values() if lease.expires <= now and self._expiry(lease) <= now]

    def _expiry(self, lease: OpenLease) -> float:
        return max(lease.expires, self._listening_since() + self.term_seconds)
