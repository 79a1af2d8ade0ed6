"""The lock of a study, under which no thread may wait for the database."""

import threading
from types import TracebackType

from storage import wait_rule


class StudyLock:
    """A reentrant lock. While a thread holds it, `wait_rule` forbids the thread to wait for the database."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def acquire(self, blocking: bool = True) -> bool:
        """Take the lock; without `blocking`, return False if another thread holds it."""
        taken = self._lock.acquire(blocking)
        if taken:
            wait_rule.begin_no_wait()
        return taken

    def release(self) -> None:
        """Release the lock as often as it was taken."""
        wait_rule.end_no_wait()
        self._lock.release()

    @property
    def is_free(self) -> bool:
        """Whether no other thread holds the lock now."""
        taken = self._lock.acquire(blocking=False)
        if taken:
            self._lock.release()
        return taken

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
