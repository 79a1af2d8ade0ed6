"""The open leases of one study, in memory, with their terms on the monotonic clock."""

import math
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, field

from service.clock import Clock
from storage import EpochRecord, LeaseRecord

MAX_EPOCHS = 2048
"""Reports of a lease that are kept here, more than one call may have. Earlier ones are in the database alone."""


@dataclass
class OpenLease:
    """An open lease with its newest reports by step; `expires` is in seconds on the monotonic clock.

    `last` is the report of the highest step, and `pause_step` the first step that was answered by `pause`.
    """

    record: LeaseRecord
    expires: float
    checkpoint_step: int | None = None
    """Step of the checkpoint from which the trial would be resumed."""
    at_checkpoint: EpochRecord | None = None
    """The report of the highest step that is not after the checkpoint's."""
    epochs: dict[int, EpochRecord] = field(default_factory=dict)
    forgotten_until: int = -1
    """The highest step of the reports that are in the database alone."""
    last: EpochRecord | None = None
    pause_step: int | None = None
    metrics: set[str] = field(default_factory=set)
    """The names of all metrics that were reported under it."""

    def add(self, epoch: EpochRecord) -> None:
        """Add a report."""
        self.epochs[epoch.step] = epoch
        self.metrics.update(epoch.metrics)
        if self.last is None or epoch.step >= self.last.step:
            self.last = epoch
        if self.pause_step is None and epoch.decision == "pause":
            self.pause_step = epoch.step
        self._note_at_checkpoint(epoch)
        if len(self.epochs) > MAX_EPOCHS:
            oldest = next(iter(self.epochs))
            del self.epochs[oldest]
            self.forgotten_until = max(self.forgotten_until, oldest)

    def set_checkpoint(self, step: int, until: EpochRecord | None) -> None:
        """Note a new checkpoint. `until` is the last report in the database that is not after it."""
        known = [self.at_checkpoint, until, *self.epochs.values()]
        self.checkpoint_step, self.at_checkpoint = step, None
        for epoch in known:
            if epoch is not None:
                self._note_at_checkpoint(epoch)

    def _note_at_checkpoint(self, epoch: EpochRecord) -> None:
        if self.checkpoint_step is None or epoch.step > self.checkpoint_step:
            return
        if self.at_checkpoint is None or epoch.step > self.at_checkpoint.step:
            self.at_checkpoint = epoch


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
        return iter([lease.record for lease in list(self._open.values())])  # another thread may change them

    def add(
        self, record: LeaseRecord, epochs: Iterable[EpochRecord] = (), *, checkpoint_step: int | None = None
    ) -> None:
        """Add an open lease; `epochs` are the reports of its trial before a restart, in the order of their steps.

        `checkpoint_step` is the step of the trial's checkpoint, if it has one.
        """
        lease = OpenLease(record, self._clock.monotonic() + self.term_seconds, checkpoint_step)
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
        """The report at a step under an open lease, or None; see `knows`."""
        lease = self._open.get(lease_id)
        return None if lease is None else lease.epochs.get(step)

    def knows(self, lease_id: str, step: int) -> bool:
        """Whether `epoch` knows the report at a step under an open lease, or that there is none."""
        lease = self._open.get(lease_id)
        return lease is not None and (step > lease.forgotten_until or step in lease.epochs)

    def has_forgotten(self, lease_id: str) -> bool:
        """Whether reports under an open lease are in the database alone."""
        lease = self._open.get(lease_id)
        return lease is not None and lease.forgotten_until >= 0

    def set_checkpoint(self, lease_id: str, step: int, until: EpochRecord | None = None) -> None:
        """Note a new checkpoint of the trial of an open lease.

        `until` is the report of the lease's last step in the database that is not after `step`, if the lease has
        forgotten reports.
        """
        lease = self._open.get(lease_id)
        if lease is not None:
            lease.set_checkpoint(step, until)

    def last_epoch(self, record: LeaseRecord) -> EpochRecord | None:
        """The last report of a trial that has not ended: under this open lease, else under earlier ones, or None."""
        lease = self._open.get(record.lease_id)
        found = None if lease is None else lease.last
        return self._earlier.get(record.trial_id) if found is None else found

    def metrics(self, lease_id: str) -> Set[str]:
        """The names of the metrics that were reported under an open lease; none for one that has ended."""
        lease = self._open.get(lease_id)
        return frozenset() if lease is None else lease.metrics

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
        """Forget a lease whose trial goes on later from its checkpoint at this step, or from its start if None.

        Later reports are forgotten with it.
        """
        lease = self._open.pop(lease_id)
        earlier = self._earlier.pop(lease.record.trial_id, None)
        if after_step is None:
            return
        kept = lease.at_checkpoint or earlier
        if kept is not None and kept.step <= after_step:
            self._earlier[lease.record.trial_id] = kept

    def expired(self) -> list[LeaseRecord]:
        """The open leases whose term is over. A thread may ask without the study's lock."""
        now = self._clock.monotonic()
        leases = list(self._open.values())
        return [lease.record for lease in leases if lease.expires <= now and self._expiry(lease) <= now]

    def _expiry(self, lease: OpenLease) -> float:
        return max(lease.expires, self._listening_since() + self.term_seconds)
