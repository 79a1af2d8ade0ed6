"""One service at a time owns a database, by a lock on the file of SQLite and an advisory lock of PostgreSQL.

Both locks end with the process, however it ends, so no stale lock is left behind. If the lock was lost for a while, for
example because PostgreSQL restarted, another service may have written in between. The row in `narrows_owners` tells.
"""

import secrets
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, event

from storage.batch import Batch
from storage.database.sqlite_file import SqliteFile
from storage.errors import DatabaseOwnedError, DatabaseTakenError
from storage.writing.transactions import write

ADVISORY_KEY = 0x4E415252_4F575300  # "NARROWS"


class Ownership:
    """The right of this process to write to a database."""

    def __init__(self, engine: Engine, file: SqliteFile | None) -> None:
        """`file` is the locked file of an SQLite database."""
        self._file = file
        self._shown = engine.url.render_as_string(hide_password=True)
        self._token = secrets.token_hex(16)
        self._claimed = False
        if self._file is not None:
            _check_before_connecting(engine, self._file)

    def acquire(self, connection: Connection) -> None:
        """Lock the database, or lock it again on a new connection.

        Raises DatabaseOwnedError, and DatabaseTakenError if another service has owned it since `claim`.
        """
        if self._file is not None:
            self._file.forget_log()
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

    def unlock(self, connection: Connection) -> None:
        """Release PostgreSQL's lock at once. Otherwise it ends a moment after the connection."""
        if self._file is None:
            connection.exec_driver_sql(f"SELECT pg_advisory_unlock({ADVISORY_KEY})")
            connection.commit()


def _check_before_connecting(engine: Engine, file: SqliteFile) -> None:
    """Check the file before each new connection: SQLite would create an empty one in the place of a missing one."""

    @event.listens_for(engine, "do_connect")
    def check(*_: object) -> None:
        file.check()
