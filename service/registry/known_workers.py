"""When each worker last called, and which entrypoints it allows."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from service.clock import Clock
from service.schemas.protocol import Claim
from service.schemas.study.entrypoints import is_allowed
from storage import WorkerRecord

HEARD_SECONDS = 90.0
"""A worker that sent its entrypoints within this time is taken to be alive: workers send them every minute."""
MAX_WORKERS = 10_000


class WorkerLastSeen:
    """Last call of each worker with a lease. Kept only in memory: storing it would add a write to every report."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, datetime] = {}

    def note(self, worker_id: str) -> None:
        """Note that a worker calls now."""
        self._seen[worker_id] = self._clock.now()

    def with_last_seen(self, workers: Iterable[WorkerRecord]) -> list[WorkerRecord]:
        """The records with the time of each worker's last call, be it a claim or not; latest first."""
        updated = [replace(worker, last_seen_at=self._last(worker)) for worker in workers]
        return sorted(updated, key=lambda worker: worker.last_seen_at, reverse=True)

    def _last(self, worker: WorkerRecord) -> datetime:
        return max(worker.last_seen_at, self._seen.get(worker.worker_id, worker.last_seen_at))


class WorkerEntrypoints:
    """The prefixes of entrypoints that each worker allows. Workers send them every minute; a restart forgets them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._prefixes: dict[str, tuple[float, Sequence[str]]] = {}

    def note(self, claim: Claim) -> None:
        """Note the prefixes of a claim. A claim without prefixes changes nothing: workers that train send none."""
        if claim.allow:
            self._prefixes.pop(claim.worker.id, None)
            self._prefixes[claim.worker.id] = (self._clock.monotonic(), claim.allow)
            while len(self._prefixes) > MAX_WORKERS:
                del self._prefixes[next(iter(self._prefixes))]

    def is_any_allowing(self, entrypoints: Sequence[str], busy: Container[str]) -> bool:
        """Whether a worker allows all these entrypoints and is alive: heard of in HEARD_SECONDS, or one of `busy`."""
        since = self._clock.monotonic() - HEARD_SECONDS
        return any(
            all(is_allowed(entrypoint, prefixes) for entrypoint in entrypoints)
            and (heard_at >= since or worker_id in busy)
            for worker_id, (heard_at, prefixes) in list(self._prefixes.items())
        )
