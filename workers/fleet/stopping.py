import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

POLL_SECONDS = 0.1
ECHO_SECONDS = 0.5
"""A signal that comes so soon after another one is the same: systemd and others send it to every process of a service,
and the fleet sends it on to its own."""


class Interrupted(BaseException):
    """The process was asked to end while it waited for something that may be left at once."""


def end_signals() -> list[signal.Signals]:
    """Those that ask this process to end; the closing of its terminal is none for what `nohup` has started."""
    heeds_hangup = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if heeds_hangup else [])]


class Stopping:
    """Whether this process was asked to end. The first signal asks, the second one ends it at once with status 1.

    A plain flag that is polled: to set a threading.Event in a signal handler can lock up the thread that waits for it.
    """

    def __init__(self) -> None:
        self._asked = False
        self._interruptible = False
        self._deaf_until = -math.inf

    def install(self) -> None:
        for number in end_signals():
            signal.signal(number, self._on_signal)

    def is_set(self) -> bool:
        return self._asked

    def wait(self, seconds: float) -> None:
        """Return after so long, or soon after the process was asked to end."""
        deadline = time.monotonic() + seconds
        while not self._asked and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(POLL_SECONDS, left))

    def request(self) -> None:
        """What a signal does, in the main thread."""
        if self._asked:
            os._exit(1)
        self._asked = True
        if self._interruptible:
            raise Interrupted

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A stretch of work that is left at once, by Interrupted, when the process is asked to end."""
        if self._asked:
            raise Interrupted
        try:
            self._interruptible = True
            yield
        finally:
            self._interruptible = False

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if now >= self._deaf_until:
            self._deaf_until = now + ECHO_SECONDS
            self.request()


class StopFlag:
    """Set once it is told to be, or when the process was asked to end: when the retries of another thread give up."""

    def __init__(self, stopping: Stopping) -> None:
        self._stopping = stopping
        self._told = Event()

    def is_set(self) -> bool:
        return self._told.is_set() or self._stopping.is_set()

    def set(self) -> None:
        self._told.set()

    def wait(self, seconds: float) -> None:
        """Return after so long, or soon after it is set."""
        deadline = time.monotonic() + seconds
        while not self.is_set() and (left := deadline - time.monotonic()) > 0:
            self._told.wait(min(POLL_SECONDS, left))
