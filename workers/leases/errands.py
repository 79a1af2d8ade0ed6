"""Calls to the service for which training does not wait."""

import threading
from collections import deque
from collections.abc import Callable

Errand = Callable[[], object]


class Errands:
    """Runs functions one after another, in the order of `submit`, on one background thread.

    After an error no further errand is run, and `check` raises the error in the caller's thread. This is not a
    ThreadPoolExecutor: that would run the rest after an error, and its thread would keep the process from ending while
    a call to the service hangs.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[Errand] = deque()
        self._n_open = 0
        self._error: Exception | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="errands", daemon=True)
        self._thread.start()

    def submit(self, errand: Errand) -> None:
        """Queue an errand."""
        with self._changed:
            self._queue.append(errand)
            self._n_open += 1
            self._changed.notify_all()

    @property
    def is_busy(self) -> bool:
        """Whether an errand is queued or running."""
        return self._n_open > 0 and self._error is None

    def check(self) -> None:
        """Raise the error of an errand, if there was one."""
        if self._error is not None:
            raise self._error

    def finish(self, timeout_seconds: float) -> bool:
        """Wait until every errand has run, or one has raised. False after the timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.is_busy, timeout_seconds)

    def close(self) -> None:
        """Run no further errand. Does not wait for one that is running."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                errand = self._queue.popleft()
            try:
                errand()
            except Exception as error:  # noqa: BLE001 - raised again in the thread that asks
                self._failed(error)
                return
            with self._changed:
                self._n_open -= 1
                self._changed.notify_all()

    def _failed(self, error: Exception) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()
