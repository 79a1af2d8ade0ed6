"""Statements on workers."""

from dataclasses import asdict

from sqlalchemy import Connection, insert, select, update

from storage.records import WorkerRecord
from storage.tables import workers


def seen(connection: Connection, worker: WorkerRecord) -> None:
    """Note that a worker claimed; its first time stays."""
    values = asdict(worker)
    first_seen_at = values.pop("first_seen_at")
    changed = connection.execute(update(workers).where(workers.c.worker_id == worker.worker_id).values(values))
    if changed.rowcount == 0:
        connection.execute(insert(workers).values(**values, first_seen_at=first_seen_at))


def every(connection: Connection) -> list[WorkerRecord]:
    """All workers, last seen first."""
    rows = connection.execute(select(workers).order_by(workers.c.last_seen_at.desc(), workers.c.worker_id))
    return [WorkerRecord(**row._mapping) for row in rows]
