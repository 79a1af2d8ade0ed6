"""A database that this process owns: opened and locked, with all its tables."""

import time

from sqlalchemy import Connection

from storage.database.opening import as_storage_errors, create_tables, open_engine
from storage.database.ownership import Ownership
from storage.errors import DatabaseOwnedError

PATIENCE_SECONDS = 2.0


class OwnedDatabase:
    """An engine to read with, and a connection that may write.

    Opening raises InvalidDatabaseUrlError, DatabaseUnavailableError, and DatabaseOwnedError if another service owns it.
    """

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        self._ownership = Ownership(self.engine)
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
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self._connect()
            except DatabaseOwnedError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(PATIENCE_SECONDS / 20)

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

    def unlock(self, connection: Connection) -> None:
        """Give up the right to write at once."""
        self._ownership.unlock(connection)

    def close(self) -> None:
        """Let another service own the database, and close all connections."""
        self._ownership.release()
        self.engine.dispose()
