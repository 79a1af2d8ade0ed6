"""The workers whose machines cannot train a study's trials: since when, and why."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from service.study.reasons import first_line
from storage import LeaseRecord

MAX_WORKERS = 1000
LEFT_OUT = "it lacks a data set or a module, its log says which"


@dataclass
class _FailingWorker:
    since: datetime
    reason: str


class FailingWorkers:
    """The workers whose last attempts at trials of one study failed because of their machines.

    Kept only in memory. Safe for threads.
    """

    def __init__(self) -> None:
        self._failing: dict[str, _FailingWorker] = {}
        self._lock = threading.Lock()

    def note_fault(self, worker_id: str, reason: str, now: datetime) -> None:
        """Note that an attempt of a worker has failed because its machine lacks something."""
        with self._lock:
            known = self._failing.pop(worker_id, None)
            self._add(worker_id, _FailingWorker(now if known is None else known.since, reason))

    def note_left_out(self, worker_id: str, now: datetime) -> None:
        """Note that a worker wants no trials of the study for now, unless a reason is known."""
        with self._lock:
            if worker_id not in self._failing:
                self._add(worker_id, _FailingWorker(now, LEFT_OUT))

    def _add(self, worker_id: str, failing: _FailingWorker) -> None:
        self._failing[worker_id] = failing
        while len(self._failing) > MAX_WORKERS:
            del self._failing[next(iter(self._failing))]

    def note_training(self, worker_id: str) -> None:
        """Note that a worker trains a trial of the study."""
        with self._lock:
            self._failing.pop(worker_id, None)

    def reset(self) -> None:
        """Forget all failed attempts."""
        with self._lock:
            self._failing.clear()

    def text(self, leases: Iterable[LeaseRecord]) -> str | None:
        """Which worker cannot train the study's trials, since when and why; None if another one has a trial of it."""
        with self._lock:
            failing = dict(self._failing)
        if not failing or any(lease.worker_id not in failing for lease in leases):
            return None
        worker_id, last = list(failing.items())[-1]
        others = len(failing) - 1
        workers = worker_id if not others else f"{worker_id} and {others} more worker{'s' if others > 1 else ''}"
        since = min(worker.since for worker in failing.values())
        return f"no attempt of {workers} has succeeded since {since:%Y-%m-%dT%H:%M:%SZ}: {first_line(last.reason)}"
