"""The open leases of one study, in memory, with their terms on the monotonic clock."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from service.clock import Clock
from storage import EpochRecord, LeaseRecord


@dataclass
class OpenLease:
    """An open lease with its reports by step; `expires` is in seconds on the monotonic clock.

    `last` is the report of the highest step, and `pause_step` the first step that was answered by `pause`.
    """

    record: LeaseRecord
    expires: float
    epochs: dict[int, EpochRecord] = field(default_factory=dict)
    last: EpochRecord | None = None
    pause_step: int | None = None

    def add(self, epoch: EpochRecord) -> None:
        """Add a report."""
        self.epochs[epoch.step] = epoch
        if self.last is None or epoch.step >= self.last.step:
            self.last = epoch
        if self.pause_step is None and epoch.decision == "pause":
            self.pause_step = epoch.step

    def last_until(self, step: int) -> EpochRecord | None:
        """The report of the highest step that is not after `step`."""
        if self.last is None or self.last.step <= step:
            return self.last
        return max((one for one in self.epochs.values() if one.step <= step), key=lambda one: one.step, default=None)


class OpenLeases:
    """The open leases by ID. A restart, or a time in which the service stood still, gives each a fresh full term.

    It also knows the last report of every trial that has not ended, so that nobody reads it from the database.
    """

    def __init__(
        self, clock: Clock, term_seconds: float, listening_since: Callable[[], float] = lambda: -math.inf
    ) -> None:
        """`listening_since` tells when the service last began to listen, on the monotonic clock."""
        self._clock = clock
        self._listening_since = listening_since
        self.term_seconds = term_seconds
        self._open: dict[str, OpenLease] = {}
        self._earlier: dict[int, EpochRecord] = {}
        """By trial ID, the last report that was kept from its earlier leases."""

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[LeaseRecord]:
        return iter([lease.record for lease in self._open.values()])

    def add(self, record: LeaseRecord, epochs: Iterable[EpochRecord] = ()) -> None:
        """Add an open lease; `epochs` are the reports of its trial before a restart, in the order of their steps."""
        lease = OpenLease(record, self._clock.monotonic() + self.term_seconds)
        for epoch in epochs:
            if epoch.lease_id == record.lease_id:
                lease.add(epoch)
            else:
                self.add_earlier(epoch)
        self._open[record.lease_id] = lease

    def add_earlier(self, epoch: EpochRecord) -> None:
        """Remember the last report of a trial from its earlier leases."""
        self._earlier[epoch.trial_id] = epoch

    def epoch(self, lease_id: str, step: int) -> EpochRecord | None:
        """The report at a step under an open lease, or None."""
        lease = self._open.get(lease_id)
        return None if lease is None else lease.epochs.get(step)

    def last_epoch(self, record: LeaseRecord) -> EpochRecord | None:
        """The last report of a trial that has not ended: under this open lease, else under earlier ones, or None."""
        lease = self._open.get(record.lease_id)
        found = None if lease is None else lease.last
        return self._earlier.get(record.trial_id) if found is None else found

    def pause_step(self, lease_id: str) -> int | None:
        """Step of the first report under an open lease that was answered by `pause`; None if there is none."""
        lease = self._open.get(lease_id)
        return None if lease is None else lease.pause_step

    def add_epoch(self, epoch: EpochRecord) -> None:
        """Remember a report under an open lease."""
        self._open[epoch.lease_id].add(epoch)

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
        """Forget a lease by which its trial has ended; does nothing for an unknown one."""
        lease = self._open.pop(lease_id, None)
        if lease is not None:
            self._earlier.pop(lease.record.trial_id, None)

    def requeue(self, lease_id: str, after_step: int | None) -> None:
        """Forget a lease whose trial goes on later. Reports after a step, or all if None, are forgotten with it."""
        lease = self._open.pop(lease_id)
        earlier = self._earlier.pop(lease.record.trial_id, None)
        if after_step is None:
            return
        kept = lease.last_until(after_step) or earlier
        if kept is not None and kept.step <= after_step:
            self._earlier[lease.record.trial_id] = kept

    def expired(self) -> list[LeaseRecord]:
        """The open leases whose term is over."""
        now = self._clock.monotonic()
        return [lease.record for lease in self._open.values() if lease.expires <= now and self._expiry(lease) <= now]

    def _expiry(self, lease: OpenLease) -> float:
        return max(lease.expires, self._listening_since() + self.term_seconds)
