"""When the workers were last heard of."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from service.clock import Clock
from storage import WorkerRecord


class Sightings:
    """When each worker last called with a lease: in memory alone, as a report would else be a write more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, datetime] = {}

    def note(self, worker_id: str) -> None:
        self._seen[worker_id] = self._clock.now()

    def applied(self, workers: Iterable[WorkerRecord]) -> list[WorkerRecord]:
        """Workers that have claimed, each last seen when it last called, the last one first."""
        found = [replace(worker, last_seen_at=self._last(worker)) for worker in workers]
        return sorted(found, key=lambda worker: worker.last_seen_at, reverse=True)

    def _last(self, worker: WorkerRecord) -> datetime:
        return max(worker.last_seen_at, self._seen.get(worker.worker_id, worker.last_seen_at))
