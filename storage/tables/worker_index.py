"""The workers that have claimed trials, in memory and in the database."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from storage.batch import Batch, Transaction
from storage.records import WorkerRecord
from storage.tables.record_rows import put_record
from storage.tables.schema import workers

GONE_AFTER = timedelta(minutes=5)
"""A worker without an open lease is gone if it has not claimed for this long: idle workers claim every minute."""
MAX_GONE = 1_000
"""The workers that are gone and have claimed last are kept."""
MAX_IDLE = 10_000
"""More workers without an open lease than these are not kept, even if all have claimed just now."""
NEW_WORKERS = 100
"""After this many new workers, those that are too many are forgotten."""


class WorkerIndex:
    """Workers by id, as of their last claim. Writes return after their commit, or join an open transaction.

    A worker with an open lease is always known. Of the others, those that are gone are forgotten if there are more
    than MAX_GONE, and the MAX_IDLE that have claimed last are kept.
    """

    def __init__(self, connection: Connection, transaction: Transaction, has_lease: Callable[[str], bool]) -> None:
        """`has_lease` says whether a worker, by its id, has an open lease."""
        self._transaction = transaction
        self._has_lease = has_lease
        self._lock = threading.Lock()
        self._n_new = 0
        """New workers since some were last forgotten."""
        statement = select(workers).order_by(workers.c.last_seen_at)
        records = [WorkerRecord(**row._mapping) for row in connection.execute(statement)]
        self._by_id = {worker.worker_id: worker for worker in records}
        """In the order of their last claims."""

    def newest_first(self) -> list[WorkerRecord]:
        """All workers, the one with the newest claim first."""
        with self._lock:
            newest_first = reversed(self._by_id.values())  # of claims at the same time, too
            return sorted(newest_first, key=lambda worker: worker.last_seen_at, reverse=True)

    def get(self, worker_id: str) -> WorkerRecord | None:
        """A worker as of its last claim; None if it has never claimed."""
        return self._by_id.get(worker_id)

    def put(self, worker: WorkerRecord) -> None:
        """Save a worker. A known worker keeps its `first_seen_at`."""
        with self._transaction() as batch, self._lock:
            known = self._by_id.pop(worker.worker_id, None)
            if known is not None:
                worker = replace(worker, first_seen_at=known.first_seen_at)
            put_record(batch, workers, worker)
            self._by_id[worker.worker_id] = worker
            self._n_new += known is None
            if self._n_new >= NEW_WORKERS:
                self._n_new = 0
                self._forget_some(batch, now=worker.last_seen_at)

    def _forget_some(self, batch: Batch, now: datetime) -> None:
        idle = [worker for worker in self._by_id.values() if not self._has_lease(worker.worker_id)]
        gone = [worker for worker in idle if worker.last_seen_at <= now - GONE_AFTER]
        n_forgotten = max(len(gone) - MAX_GONE, len(idle) - MAX_IDLE, 0)
        for worker in idle[:n_forgotten]:
            del self._by_id[worker.worker_id]
            batch.remove(workers.name, "worker_id", worker.worker_id)
