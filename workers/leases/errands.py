"""Calls to the service that training does not wait for."""

import logging
import threading
from collections import deque
from collections.abc import Callable

logger = logging.getLogger("narrows.worker")

Errand = Callable[[], object]


class Errands:
    """Runs errands one after another, in the order given, on a thread of its own.

    An errand that raises ends them all: the rest is not run, and `check` raises the error in the caller's thread.
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
        with self._changed:
            self._queue.append(errand)
            self._n_open += 1
            self._changed.notify_all()

    @property
    def is_busy(self) -> bool:
        return self._n_open > 0 and self._error is None

    def check(self) -> None:
        """Raise what an errand has raised."""
        if self._error is not None:
            raise self._error

    def finish(self, timeout_seconds: float) -> bool:
        """Wait until every errand has run, or one has raised; False when that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.is_busy, timeout_seconds)

    def close(self) -> None:
        """Run no more; one that is running is not waited for."""
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
