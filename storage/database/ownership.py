"""One service at a time has a database: a lock file for SQLite, an advisory lock for PostgreSQL.

Both locks end with the process, however it ends, so nothing stale is left behind. A lock that was lost for a while
(PostgreSQL was restarted) is not enough: the row in `narrows_owners` tells whether another service came in between,
whose writes this one does not know.
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
        """Take the database, or take it back on a new connection.

        Raises DatabaseOwnedError, and DatabaseTakenError when another service had it since `claim`.
        """
        if self._sqlite:
            self._lock_sqlite()
        elif not connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({ADVISORY_KEY})").scalar_one():
            self._check(connection)
            raise DatabaseOwnedError(f"another service has the database {self._shown}")
        connection.commit()

    def claim(self, connection: Connection) -> None:
        """Write down that this process has the database. Raises DatabaseTakenError when another one had it since."""
        self._check(connection)
        if not self._claimed:
            batch = Batch()
            batch.put("narrows_owners", 1, (1, self._token, datetime.now(UTC)))
            write(connection, batch)
            self._claimed = True

    def _check(self, connection: Connection) -> None:
        """Raises DatabaseTakenError when another service has written down that it has the database since we did."""
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
        """Give PostgreSQL's lock back at once; with the connection it would end a moment later."""
        if not self._sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_unlock({ADVISORY_KEY})")
            connection.commit()

    def release(self) -> None:
        """Let the next one have SQLite's file.

        The file stays: were it removed, one process could hold a lock on it while another makes a new one.
        """
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None
