"""Statements on workers."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from storage.records import WorkerRecord
from storage.tables import workers

INSERT: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


def seen(connection: Connection, worker: WorkerRecord) -> None:
    """Note that a worker claimed; its first time stays."""
    values = asdict(worker)
    changed = {name: value for name, value in values.items() if name not in ("worker_id", "first_seen_at")}
    statement = INSERT[connection.dialect.name](workers).values(values)
    connection.execute(statement.on_conflict_do_update(index_elements=["worker_id"], set_=changed))


def every(connection: Connection) -> list[WorkerRecord]:
    """All workers, last seen first."""
    rows = connection.execute(select(workers).order_by(workers.c.last_seen_at.desc(), workers.c.worker_id))
    return [WorkerRecord(**row._mapping) for row in rows]
