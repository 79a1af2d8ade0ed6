"""Failed trials in a row, of a study and of each of its workers."""

from collections.abc import Iterable
from datetime import datetime

from service.study.reasons import first_line
from storage import LeaseRecord

MAX_WORKERS = 10_000
COUNTED = ("complete", "fail", "expire", "prune")
"""Outcomes of leases whose trials count. A trial that fails by another outcome was ended with its study."""


class FailuresInARow:
    """Counts the failed trials of one study since its last trial that did not fail. The caller holds its lock.

    A worker stops when its own last trials, or those of the whole study since a trial of the worker has failed, are as
    many failures in a row as the study may have. It then gets no more trials of the study until `reset`.
    """

    def __init__(self) -> None:
        self.n = 0
        self.reason = ""
        """Why the last of them failed, in one line."""
        self._of_worker: dict[str, int] = {}
        self._stopped: dict[str, str] = {}

    def note_end(self, worker_id: str, *, failed: bool, reason: str | None, limit: int) -> None:
        """Count a trial that a worker had and that has ended. `limit` is how many failures in a row there may be."""
        if not failed:
            self.n = 0
            self._of_worker.pop(worker_id, None)
            return
        self.n += 1
        self.reason = first_line(reason)
        self._of_worker[worker_id] = self._of_worker.pop(worker_id, 0) + 1
        while len(self._of_worker) > MAX_WORKERS:
            del self._of_worker[next(iter(self._of_worker))]
        if max(self.n, self._of_worker[worker_id]) >= limit:
            self._stopped[worker_id] = self.reason

    def replay(self, leases: Iterable[LeaseRecord], since: datetime | None, limit: int) -> None:
        """Count the trials of leases that ended after `since`, as after a restart of the service."""
        ended = [(lease.ended_at, lease) for lease in leases if lease.ended_at is not None]
        for ended_at, lease in sorted(ended, key=lambda pair: pair[0]):
            if (since is None or ended_at > since) and lease.outcome in COUNTED and lease.state != "WAITING":
                failed = lease.state == "FAIL"
                self.note_end(lease.worker_id, failed=failed, reason=lease.reason, limit=limit)

    def has_failed(self, worker_id: str) -> bool:
        """Whether the last trial of a worker has failed."""
        return worker_id in self._of_worker

    def is_stopped(self, worker_id: str) -> bool:
        """Whether a worker gets no more trials of the study."""
        return worker_id in self._stopped

    def text(self, name: str) -> str | None:
        """Which workers get no more trials of the study of this name, and why; None if there are none."""
        stopped = list(self._stopped.items())
        if not stopped:
            return None
        worker_id, reason = stopped[-1]
        workers = worker_id if len(stopped) == 1 else f"{worker_id} and {len(stopped) - 1} more"
        return f"too many trials in a row have failed on {workers}: {reason} (narrows resume {name} lets all go on)"

    def reset(self) -> None:
        """Count from 0 again, and let every worker have trials."""
        self.n = 0
        self._of_worker.clear()
        self._stopped.clear()
