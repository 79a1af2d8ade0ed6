"""When workers were last heard of, and which entrypoints they run."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from service.clock import Clock
from service.schemas.protocol import Claim
from service.schemas.study.entrypoints import is_allowed
from storage import WorkerRecord

HEARD_SECONDS = 90.0
MAX_WORKERS = 10_000


class WorkerLastSeen:
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


class WorkerEntrypoints:
    """The prefixes of each worker that has any. They are asked for by the minute, and not kept over a restart."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._prefixes: dict[str, tuple[float, Sequence[str]]] = {}

    def note(self, claim: Claim) -> None:
        """Take note of a claim. One without prefixes says nothing, as workers with trials at hand ask so."""
        if claim.allow:
            self._prefixes.pop(claim.worker.id, None)
            self._prefixes[claim.worker.id] = (self._clock.monotonic(), claim.allow)
            while len(self._prefixes) > MAX_WORKERS:
                del self._prefixes[next(iter(self._prefixes))]

    def has(self, entrypoints: Sequence[str], busy: Container[str]) -> bool:
        """Whether a worker allows all entrypoints that was heard of lately, or is among the busy ones."""
        since = self._clock.monotonic() - HEARD_SECONDS
        return any(
            all(is_allowed(one, prefixes) for one in entrypoints) and (heard >= since or worker in busy)
            for worker, (heard, prefixes) in list(self._prefixes.items())
        )
