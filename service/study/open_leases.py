"""The open leases of one study, in memory, with their terms on the monotonic clock."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from service.clock import Clock
from storage import Decision, EpochRecord, LeaseRecord


@dataclass
class OpenLease:
    """A lease that has not ended; `expires` is on the monotonic clock, in seconds."""

    record: LeaseRecord
    expires: float
    epochs: dict[int, EpochRecord] = field(default_factory=dict)


class OpenLeases:
    """Grants, renews and ends leases. After a restart every open lease gets a fresh full term."""

    def __init__(self, clock: Clock, term_seconds: float) -> None:
        self._clock = clock
        self.term_seconds = term_seconds
        self._open: dict[str, OpenLease] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[LeaseRecord]:
        return iter([lease.record for lease in self._open.values()])

    def add(self, record: LeaseRecord, epochs: Iterable[EpochRecord] = ()) -> None:
        """Open a lease, with what was reported under it before a restart."""
        lease = OpenLease(record, self._clock.monotonic() + self.term_seconds)
        lease.epochs = {epoch.step: epoch for epoch in epochs if epoch.lease_id == record.lease_id}
        self._open[record.lease_id] = lease

    def epoch(self, lease_id: str, step: int) -> EpochRecord | None:
        """What was reported at a step under an open lease."""
        lease = self._open.get(lease_id)
        return None if lease is None else lease.epochs.get(step)

    def last_epoch(self, lease_id: str) -> EpochRecord | None:
        """The last report under an open lease, by its step."""
        lease = self._open.get(lease_id)
        return None if lease is None or not lease.epochs else lease.epochs[max(lease.epochs)]

    def first_told(self, lease_id: str, decision: Decision) -> EpochRecord | None:
        """The first report under an open lease that was answered by a decision."""
        lease = self._open.get(lease_id)
        epochs = () if lease is None else lease.epochs.values()
        return next((epoch for epoch in epochs if epoch.decision == decision), None)

    def add_epoch(self, epoch: EpochRecord) -> None:
        self._open[epoch.lease_id].epochs[epoch.step] = epoch

    def get(self, lease_id: str) -> LeaseRecord | None:
        lease = self._open.get(lease_id)
        return None if lease is None else lease.record

    def renew(self, lease_id: str) -> None:
        self._open[lease_id].expires = self._clock.monotonic() + self.term_seconds

    def remaining_seconds(self, lease_id: str) -> float:
        """0 for a lease that has ended."""
        lease = self._open.get(lease_id)
        return 0.0 if lease is None else max(0.0, lease.expires - self._clock.monotonic())

    def remove(self, lease_id: str) -> None:
        self._open.pop(lease_id, None)

    def expired(self) -> list[LeaseRecord]:
        now = self._clock.monotonic()
        return [lease.record for lease in self._open.values() if lease.expires <= now]
