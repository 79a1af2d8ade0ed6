"""The file of an SQLite database, locked for one service and watched while it is in use."""

import fcntl
import os
from pathlib import Path
from typing import NamedTuple

from storage.errors import DatabaseLostError, DatabaseOwnedError, DatabaseUnavailableError


class FileId(NamedTuple):
    """What makes a file the same under any path: its device and inode."""

    device: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileId":
        """The identity of a file by its status."""
        return cls(status.st_dev, status.st_ino)


class SqliteFile:
    """A database file that this process locks.

    The lock is on the file itself, so it holds under every name of the file: a symbolic link, a hard link, or the same
    path after its lock file was removed. The lock file only tells who has the lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._holder = Path(f"{path}.lock")
        self._log = Path(f"{self._path}-wal")
        self._descriptor: int | None = None
        self._id: FileId | None = None
        self._log_id: FileId | None = None

    def lock(self) -> None:
        """Lock the file; a missing one is created, for its owner alone to read.

        It is locked before SQLite opens it, and released after SQLite has closed it: closing the descriptor ends the
        locks that SQLite has in this process. Raises DatabaseOwnedError if another process has the lock, and
        DatabaseUnavailableError if the file cannot be opened or the lock file cannot be written.
        """
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseUnavailableError(f"cannot open the database {self._path}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DatabaseOwnedError(f"another service has the database {self._path}{self._by_whom()}") from error
        self._id = FileId.of(os.fstat(self._descriptor))
        try:
            self._holder.write_text(f"{os.getpid()}\n")
        except OSError as error:
            reason = f"cannot write the lock file {self._holder}: {error.strerror}"
            raise DatabaseUnavailableError(reason) from error

    def _by_whom(self) -> str:
        try:
            holder = self._holder.read_text().strip()
        except OSError:
            return ""
        return f" (process {holder})" if holder else ""

    def release(self) -> None:
        """Release the lock. SQLite's connections must be closed before."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = self._id = self._log_id = None

    def forget_log(self) -> None:
        """Expect a new write-ahead log: SQLite removes it with the last connection and creates it with the next one."""
        self._log_id = None

    def check(self) -> None:
        """Check that the path still leads to the locked file; does nothing before `lock`.

        Raises DatabaseLostError if the file was deleted or replaced, and DatabaseUnavailableError if it was moved away
        and may come back.
        """
        if self._id is None or self._descriptor is None:
            return
        found = _id_at(self._path)
        if found == self._id:
            return
        if found is not None:
            raise DatabaseLostError(f"another file has taken the place of the database {self._path}")
        if os.fstat(self._descriptor).st_nlink == 0:
            raise DatabaseLostError(f"the database file was deleted: {self._path}")
        raise DatabaseUnavailableError(f"the database file was moved away: {self._path}")

    def check_after_write(self) -> None:
        """Check the file and its write-ahead log, which has the newest writes. Raises what `check` raises."""
        self.check()
        if self._id is None:
            return
        found = _id_at(self._log)
        if found is None or self._log_id not in (None, found):
            raise DatabaseLostError(f"the write-ahead log of the database was deleted or replaced: {self._log}")
        self._log_id = found


def _id_at(path: Path) -> FileId | None:
    """The identity of the file at a path; None if there is no file. Raises DatabaseUnavailableError."""
    try:
        return FileId.of(path.stat())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DatabaseUnavailableError(f"the database file cannot be looked at: {error}") from error
