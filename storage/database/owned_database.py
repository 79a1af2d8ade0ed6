"""A database that this process owns: opened, locked, its tables made."""

import time

from sqlalchemy import Connection

from storage.database.opening import create_tables, open_engine, translated
from storage.database.ownership import Ownership
from storage.errors import DatabaseOwnedError

PATIENCE_SECONDS = 2.0


class OwnedDatabase:
    """An engine for readers, and connections that may write.

    Opening raises InvalidDatabaseUrlError, DatabaseUnavailableError, and DatabaseOwnedError for another service's.
    """

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        self._ownership = Ownership(self.engine)
        try:
            with translated(self.engine.url):
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
        """As `_connect`, with patience: PostgreSQL takes a moment to see that a killed service is gone."""
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
        if self.engine.dialect.name == "postgresql":  # SQLite's connections are so from the start
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        try:
            self._ownership.acquire(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def reconnect(self) -> Connection:
        """A new connection that may write. Raises DatabaseTakenError when another service was here meanwhile."""
        connection = self._connect()
        try:
            self._ownership.claim(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def unlock(self, connection: Connection) -> None:
        """Give back the right to write, at once."""
        self._ownership.unlock(connection)

    def close(self) -> None:
        self._ownership.release()
        self.engine.dispose()
