"""The single writer thread: it commits the writes that arrived during the previous commit.

A caller joins the open batch and waits only for that batch. There is no timer: a single write is committed at once, and
under load a batch holds the writes that arrived during one commit.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from storage.batch import Batch, Commit
from storage.errors import (
    DatabaseOwnedError,
    DatabaseTakenError,
    DatabaseUnavailableError,
    StorageClosedError,
    StorageFailedError,
    reason_of,
)
from storage.writing.transactions import write

log = logging.getLogger(__name__)

MAX_WAITING_ROWS = 200_000
BEAT_SECONDS = 1.0
"""After this long without a write the connection is tested, so that a lost database is noticed."""
FIRST_RETRY_SECONDS = 0.05
LAST_RETRY_SECONDS = 2.0
RETRIED_SQLSTATES = ("08", "25", "28", "3D", "40", "53", "55", "57", "58")
"""Error classes of PostgreSQL that can pass by themselves.

They are: connection; transaction state (a database that is read-only for a while); authorization and missing database
(passwords are changed and databases restored); rollback; resources; locks (`lock_timeout`); operator intervention;
errors of the operating system. Others (values, constraints, tables, privileges) stay until somebody mends their cause.
"""


class OpenBatch:
    """A batch that callers can still join. `committed` is done after its commit."""

    def __init__(self) -> None:
        self.batch = Batch()
        self.committed: Future[None] = Future()


class Writer:
    """Commits batches in order, and retries as long as the database is away."""

    def __init__(
        self,
        reconnect: Callable[[], Connection],
        release: Callable[[Connection], None],
        check: Callable[[], None],
        connection: Connection,
    ) -> None:
        """`reconnect` opens a new connection that may write, after a failure. `release` gives up the right to write.

        `check` raises a StorageError if what was just written is not where others would find it.
        """
        self._reconnect = reconnect
        self._release = release
        self._check_written = check
        self._connection: Connection | None = connection
        self.listeners: list[Callable[[Commit], None]] = []
        self._condition = threading.Condition()
        self._open = OpenBatch()
        self._writing: OpenBatch | None = None
        self._writing_since: float | None = None
        self._closing = False
        self.failure: StorageFailedError | None = None
        """Why nothing is written any more; None while the writer works."""
        self._away_since: float | None = None
        self._away_reason = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="narrows-writer", daemon=True)
        self._thread.start()

    # For callers

    def check(self) -> None:
        """Raises StorageFailedError, StorageClosedError or DatabaseUnavailableError if a write would fail now."""
        self._refuse()
        if self._open.batch.n_rows > MAX_WAITING_ROWS:
            raise DatabaseUnavailableError(f"the database is away and {self._open.batch.n_rows} rows wait for it")

    def _refuse(self) -> None:
        if self.failure is not None:
            raise StorageFailedError(str(self.failure)) from self.failure
        if self._closing:
            raise StorageClosedError("the storage is closed")

    def submit(self, batch: Batch) -> Future[None]:
        """Add writes to the open batch. The returned future is done after its commit."""
        with self._condition:
            self._refuse()
            self._open.batch.join(batch)
            committed = self._open.committed
            self._condition.notify()
            return committed

    def barrier(self) -> Future[None]:
        """A future that is done after the commit of everything submitted before."""
        with self._condition:
            if self._open.batch.n_rows > 0:
                return self._open.committed
            if self._writing is not None:
                return self._writing.committed
        done: Future[None] = Future()
        if self.failure is not None:
            done.set_exception(StorageFailedError(str(self.failure)))
        else:
            done.set_result(None)
        return done

    @property
    def away_seconds(self) -> float:
        """Seconds since the database stopped answering; 0 while it answers."""
        since = self._away_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def writing_seconds(self) -> float:
        """For how long the present batch has been waiting for its commit; 0 without one."""
        since = self._writing_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def away_reason(self) -> str:
        """The error of the last attempt after a colon, to append to a message; empty while the database answers."""
        return f": {self._away_reason}" if self.away_seconds else ""

    @property
    def n_waiting_rows(self) -> int:
        """Number of rows that are not committed yet."""
        writing = self._writing
        return self._open.batch.n_rows + (0 if writing is None else writing.batch.n_rows)

    def close(self, timeout_seconds: float = 10.0) -> bool:
        """Commit the waiting writes and end. Returns False if that took longer than `timeout_seconds`."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join(timeout_seconds)
        ended = not self._thread.is_alive()
        self._stop.set()
        self._thread.join(LAST_RETRY_SECONDS)
        if self._connection is not None and ended and self.failure is None:
            with suppress(DBAPIError):
                self._release(self._connection)
        self._disconnect()
        return ended

    # The thread

    def _run(self) -> None:
        try:
            self._commit_batches()
        except Exception as error:
            log.exception("the writer ended by an error of its own")
            self._fail(self._writing or OpenBatch(), error)

    def _commit_batches(self) -> None:
        while self._await_work():
            with self._condition:
                self._writing, self._open = self._open, OpenBatch()
                self._writing_since = time.monotonic()
            writing = self._writing
            started = time.perf_counter()
            error = self._commit(writing.batch)
            if error is not None:
                self._fail(writing, error)
                return
            for call in writing.batch.when_committed:
                call()
            with self._condition:
                self._writing = self._writing_since = None
            self._notify_listeners(Commit(writing.batch.n_rows, time.perf_counter() - started, writing.batch.notes))
            writing.committed.set_result(None)

    def _notify_listeners(self, commit: Commit) -> None:
        for listener in self.listeners:
            try:
                listener(commit)
            except Exception:
                log.exception("a commit listener failed; the commit itself succeeded")

    def _await_work(self) -> bool:
        """Wait until there is something to write. Returns False if the writer is to end."""
        while True:
            with self._condition:
                if self._condition.wait_for(lambda: self._open.batch.n_rows > 0 or self._closing, BEAT_SECONDS):
                    return self._open.batch.n_rows > 0
            error = self._commit(Batch())  # reconnecting takes back a lock that was lost with its connection
            if error is not None and not self._closing:
                self._fail(OpenBatch(), error)
                return False

    def _fail(self, writing: OpenBatch, error: Exception) -> None:
        refused = f"the database refused a write for good: {reason_of(error)}"
        failure = StorageFailedError(f"{refused}; restart the service when that is mended")
        failure.__cause__ = error
        log.critical("%s; until then nothing is acknowledged", failure)
        with self._condition:
            self.failure = failure
            self._away_since = None
            self._writing = None
            waiting = [writing, self._open]
        for batch in waiting:
            batch.committed.set_exception(StorageFailedError(str(failure)))

    def _commit(self, batch: Batch) -> Exception | None:
        """Write a batch, with retries. Returns the error if it cannot be written."""
        pause = FIRST_RETRY_SECONDS
        while True:
            try:
                self._transact(batch)
            except Exception as error:  # noqa: BLE001 - the caller decides by its kind
                self._disconnect()
                in_vain = self._closing and batch.n_rows == 0
                if not can_pass(error) or self._stop.is_set() or in_vain:
                    return error
                self._away_reason = reason_of(error)
                if self._away_since is None:
                    self._away_since = time.monotonic()
                    log.error("the database does not answer, its writes wait: %s", self._away_reason)
                self._stop.wait(pause)
                pause = min(2 * pause, LAST_RETRY_SECONDS)
                continue
            if self._away_since is not None:
                log.warning("the database is back after %.1f s", self.away_seconds)
                self._away_since = None
            return None

    def _transact(self, batch: Batch) -> None:
        if self._connection is None:
            self._connection = self._reconnect()
        write(self._connection, batch)
        self._check_written()

    def _disconnect(self) -> None:
        """Drop a failed connection. Its last commit may have arrived; writing the same rows again is harmless."""
        if self._connection is not None:
            with suppress(Exception):
                self._connection.invalidate()
                self._connection.close()
            self._connection = None


def can_pass(error: Exception) -> bool:
    """Whether an error can pass by itself: those of connection, disk or lock can, a broken constraint cannot."""
    if isinstance(error, DatabaseOwnedError):
        return not isinstance(error, DatabaseTakenError)  # our own lost session may hold the lock for a while
    if not isinstance(error, DBAPIError):
        return isinstance(error, DatabaseUnavailableError)
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate is not None:
        return str(sqlstate).startswith(RETRIED_SQLSTATES)
    return isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
