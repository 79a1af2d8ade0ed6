"""When each worker last called, what it spends its time on, and what it allows."""

import threading
from collections.abc import Container, Iterable
from dataclasses import replace
from datetime import datetime

from service.clock import Clock
from service.schemas.protocol import Claim
from service.schemas.study.allowance import Allowance, Needs
from service.schemas.worker_info import WorkerInfo
from service.schemas.worker_seconds import WorkerSeconds
from storage import WorkerRecord

HEARD_SECONDS = 90.0
"""A worker that said what it allows within this time is taken to be alive: workers say it every minute."""
MAX_WORKERS = 10_000


def record_of(worker: WorkerInfo, now: datetime) -> WorkerRecord:
    """What is stored of a worker that claims now."""
    return WorkerRecord(
        worker.id,
        worker.host,
        worker.device,
        worker.n_lanes,
        first_seen_at=now,
        last_seen_at=now,
        narrows_version=worker.narrows_version,
        torch_version=worker.torch_version,
    )


class WorkerLastSeen:
    """Last call of each worker with a lease. Kept only in memory: storing it would add a write to every report."""

    def __init__(self, clock: Clock, max_workers: int = MAX_WORKERS) -> None:
        """`max_workers`: the worker that called longest ago is forgotten when there are more."""
        self._clock = clock
        self._max_workers = max_workers
        self._lock = threading.Lock()
        self._seen: dict[str, datetime] = {}

    def note(self, worker_id: str) -> None:
        """Note that a worker calls now. May be called from any thread."""
        with self._lock:
            self._seen.pop(worker_id, None)
            self._seen[worker_id] = self._clock.now()
            if len(self._seen) > self._max_workers:
                del self._seen[next(iter(self._seen))]

    def with_last_seen(self, workers: Iterable[WorkerRecord]) -> list[WorkerRecord]:
        """The records with the time of each worker's last call, be it a claim or not; latest first."""
        with self._lock:
            updated = [replace(worker, last_seen_at=self._last(worker)) for worker in workers]
        return sorted(updated, key=lambda worker: worker.last_seen_at, reverse=True)

    def _last(self, worker: WorkerRecord) -> datetime:
        return max(worker.last_seen_at, self._seen.get(worker.worker_id, worker.last_seen_at))


class WorkerTimes:
    """What workers spend their time on, as their claims say. Kept only in memory."""

    def __init__(self, max_workers: int = MAX_WORKERS) -> None:
        """`max_workers`: the worker that claimed longest ago is forgotten when there are more."""
        self._max_workers = max_workers
        self._lock = threading.Lock()
        self._seconds: dict[str, WorkerSeconds] = {}
        self._totals = dict.fromkeys(WorkerSeconds.model_fields, 0.0)

    def note(self, worker: WorkerInfo) -> None:
        """Note what a worker says in a claim. May be called from any thread."""
        if worker.seconds is None:
            return
        with self._lock:
            before = self._seconds.pop(worker.id, WorkerSeconds())
            self._seconds[worker.id] = worker.seconds
            if len(self._seconds) > self._max_workers:
                del self._seconds[next(iter(self._seconds))]
            for name in self._totals:
                self._totals[name] += max(0.0, getattr(worker.seconds, name) - getattr(before, name))

    def of(self, worker_id: str) -> WorkerSeconds | None:
        """What a worker has spent its time on; None if that is not known."""
        return self._seconds.get(worker_id)

    def totals(self) -> dict[str, float]:
        """Seconds of all workers since this service began, by the names of WorkerSeconds. They only grow."""
        with self._lock:
            return dict(self._totals)


class WorkerAllowances:
    """What users' code each worker allows. Workers send it every minute; a restart forgets it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._allowances: dict[str, tuple[float, Allowance]] = {}

    def note(self, claim: Claim) -> None:
        """Note what a claim allows. A claim that allows nothing changes nothing: workers that train allow nothing."""
        if not claim.allowance.is_empty:
            self._allowances.pop(claim.worker.id, None)
            self._allowances[claim.worker.id] = (self._clock.monotonic(), claim.allowance)
            while len(self._allowances) > MAX_WORKERS:
                del self._allowances[next(iter(self._allowances))]

    def is_any_allowing(self, needs: Needs, busy: Container[str]) -> bool:
        """Whether a worker allows all that is needed and is alive: heard of in HEARD_SECONDS, or one of `busy`."""
        since = self._clock.monotonic() - HEARD_SECONDS
        return any(
            needs.are_met(allowance) and (heard_at >= since or worker_id in busy)
            for worker_id, (heard_at, allowance) in list(self._allowances.items())
        )
