"""All sessions of browsers, in memory and in the database."""

import threading

from sqlalchemy import Connection, select

from storage.batch import Transaction
from storage.records import SessionRecord
from storage.tables.record_rows import put_record
from storage.tables.schema import sessions


class SessionIndex:
    """Sessions by the digest of their id. Writes return after their commit, or join an open transaction."""

    def __init__(self, connection: Connection, transaction: Transaction) -> None:
        self._transaction = transaction
        self._lock = threading.Lock()
        rows = connection.execute(select(sessions).order_by(sessions.c.started_at, sessions.c.digest))
        self._by_digest = {row.digest: SessionRecord(**row._mapping) for row in rows}

    def every(self) -> list[SessionRecord]:
        """All sessions, oldest first, with those that have expired."""
        with self._lock:
            return list(self._by_digest.values())

    def get(self, digest: str) -> SessionRecord | None:
        """The session whose id has this SHA-256, in hexadecimal; None if there is none."""
        return self._by_digest.get(digest)

    def put(self, record: SessionRecord) -> None:
        """Save a new session."""
        with self._transaction() as batch:
            put_record(batch, sessions, record)
            with self._lock:
                self._by_digest[record.digest] = record

    def remove(self, digest: str) -> None:
        """Remove a session; one that is not there is none."""
        with self._transaction() as batch:
            batch.remove(sessions.name, "digest", digest)
            with self._lock:
                self._by_digest.pop(digest, None)
