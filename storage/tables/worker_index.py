"""All workers that have claimed, in memory and in the database."""

import threading
from dataclasses import replace

from sqlalchemy import Connection, select

from storage.batch import Transaction
from storage.records import WorkerRecord
from storage.tables.record_rows import put_record
from storage.tables.schema import workers


class WorkerIndex:
    """Workers by id, as of their last claim. Writes return after their commit, or join an open transaction."""

    def __init__(self, connection: Connection, transaction: Transaction) -> None:
        self._transaction = transaction
        self._lock = threading.Lock()
        records = [WorkerRecord(**row._mapping) for row in connection.execute(select(workers))]
        self._by_id = {worker.worker_id: worker for worker in records}

    def newest_first(self) -> list[WorkerRecord]:
        """All workers, the one with the newest claim first."""
        with self._lock:
            return sorted(self._by_id.values(), key=lambda worker: worker.last_seen_at, reverse=True)

    def get(self, worker_id: str) -> WorkerRecord | None:
        """A worker as of its last claim; None if it has never claimed."""
        return self._by_id.get(worker_id)

    def put(self, worker: WorkerRecord) -> None:
        """Save a worker. A known worker keeps its `first_seen_at`."""
        with self._transaction() as batch, self._lock:
            known = self._by_id.get(worker.worker_id)
            if known is not None:
                worker = replace(worker, first_seen_at=known.first_seen_at)
            put_record(batch, workers, worker)
            self._by_id[worker.worker_id] = worker
