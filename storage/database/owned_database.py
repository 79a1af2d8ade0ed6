"""A database that this process owns: opened and locked, with all its tables."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Connection

from storage.database.opening import as_storage_errors, check_folder, create_tables, open_engine, parse_url
from storage.database.ownership import Ownership
from storage.database.sqlite_file import SqliteFile
from storage.errors import DatabaseOwnedError

PATIENCE_SECONDS = 2.0

Acquired = TypeVar("Acquired")


class OwnedDatabase:
    """An engine to read with, and a connection that may write.

    Opening raises InvalidDatabaseUrlError, DatabaseUnavailableError, and DatabaseOwnedError if another service owns it.
    """

    def __init__(self, url: str) -> None:
        self._file = _locked_file(parse_url(url))
        try:
            self.engine = open_engine(url)
        except BaseException:
            if self._file is not None:
                self._file.release()
            raise
        self._ownership = Ownership(self.engine, self._file)
        try:
            with as_storage_errors(self.engine.url):
                self.connection = self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> Connection:
        connection = self._first_connection()
        try:
            create_tables(self.engine)
            self._ownership.claim(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _first_connection(self) -> Connection:
        """Like `_connect`, with retries: PostgreSQL needs a moment to notice that a killed service is gone."""
        return _patiently(self._connect)

    def _connect(self) -> Connection:
        connection = self.engine.connect()
        if self.engine.dialect.name == "postgresql":  # connections to SQLite are always in autocommit mode
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        try:
            self._ownership.acquire(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def reconnect(self) -> Connection:
        """A new connection that may write. Raises DatabaseTakenError if another service took the database."""
        connection = self._connect()
        try:
            self._ownership.claim(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def check_after_write(self) -> None:
        """Check that what was written is in the database that others find at its address.

        Raises DatabaseLostError and DatabaseUnavailableError.
        """
        if self._file is not None:
            self._file.check_after_write()

    def unlock(self, connection: Connection) -> None:
        """Give up the right to write at once."""
        self._ownership.unlock(connection)

    def close(self) -> None:
        """Close all connections, and let another service own the database."""
        self.engine.dispose()
        if self._file is not None:
            self._file.release()


def _locked_file(url: URL) -> SqliteFile | None:
    """The locked file of an SQLite database, before SQLite opens it; None for a server.

    Raises InvalidDatabaseUrlError, DatabaseUnavailableError and DatabaseOwnedError.
    """
    if url.drivername != "sqlite":
        return None
    check_folder(url)
    file = SqliteFile(Path(url.database or ""))
    try:
        _patiently(file.lock)
    except BaseException:
        file.release()
        raise
    return file


def _patiently(acquire: Callable[[], Acquired]) -> Acquired:
    """Acquire what a service that was just killed may hold for another moment. Raises DatabaseOwnedError."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return acquire()
        except DatabaseOwnedError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(PATIENCE_SECONDS / 20)
