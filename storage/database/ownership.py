"""One service at a time owns a database, by a lock file for SQLite and an advisory lock for PostgreSQL.

Both locks end with the process, however it ends, so no stale lock is left behind. If the lock was lost for a while, for
example because PostgreSQL restarted, another service may have written in between. The row in `narrows_owners` tells.
"""

import fcntl
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, Engine

from storage.batch import Batch
from storage.errors import DatabaseOwnedError, DatabaseTakenError
from storage.writing.transactions import write

ADVISORY_KEY = 0x4E415252_4F575300  # "NARROWS"


class Ownership:
    """The right of this process to write to a database."""

    def __init__(self, engine: Engine) -> None:
        self._sqlite = engine.dialect.name == "sqlite"
        self._shown = engine.url.render_as_string(hide_password=True)
        self._lock_path = Path(f"{engine.url.database}.lock")
        self._lock_file: IO[str] | None = None
        self._token = secrets.token_hex(16)
        self._claimed = False

    def acquire(self, connection: Connection) -> None:
        """Lock the database, or lock it again on a new connection.

        Raises DatabaseOwnedError, and DatabaseTakenError if another service has owned it since `claim`.
        """
        if self._sqlite:
            self._lock_sqlite()
        elif not connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({ADVISORY_KEY})").scalar_one():
            self._check(connection)
            raise DatabaseOwnedError(f"another service has the database {self._shown}")
        connection.commit()

    def claim(self, connection: Connection) -> None:
        """Save this process as the owner. Raises DatabaseTakenError if another service has owned the database since."""
        self._check(connection)
        if not self._claimed:
            batch = Batch()
            batch.put("narrows_owners", 1, (1, self._token, datetime.now(UTC)))
            write(connection, batch)
            self._claimed = True

    def _check(self, connection: Connection) -> None:
        """Raises DatabaseTakenError if another service has saved itself as the owner since this one did."""
        if not self._claimed:
            return
        token = connection.exec_driver_sql("SELECT token FROM narrows_owners WHERE owner = 1").scalar()
        connection.commit()
        if token != self._token:
            raise DatabaseTakenError(f"another service took over the database {self._shown}")

    def _lock_sqlite(self) -> None:
        if self._lock_file is not None:
            return
        lock_file = self._lock_path.open("a+")
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock_file.seek(0)
            holder = lock_file.read().strip()
            lock_file.close()
            by = f" (process {holder})" if holder else ""
            raise DatabaseOwnedError(f"another service has the database {self._shown}{by}") from error
        lock_file.seek(0)
        lock_file.truncate()
        lock_file.write(f"{os.getpid()}\n")
        lock_file.flush()
        self._lock_file = lock_file

    def unlock(self, connection: Connection) -> None:
        """Release PostgreSQL's lock at once. Otherwise it ends a moment after the connection."""
        if not self._sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_unlock({ADVISORY_KEY})")
            connection.commit()

    def release(self) -> None:
        """Release SQLite's lock file.

        The file is not removed: otherwise one process could hold a lock on the removed file while another creates and
        locks a new one.
        """
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None
