"""How a worker process is asked to end."""

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
"""A signal this soon after another one is the same one: systemd and others signal every process of a service, and the
fleet passes its signal on."""


class Interrupted(BaseException):
    """The process was asked to end inside `Stopping.interruptible`."""


def end_signals() -> list[signal.Signals]:
    """The signals that ask this process to end: without SIGHUP if it was started by `nohup`."""
    heeds_hangup = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if heeds_hangup else [])]


class Stopping:
    """Whether this process was asked to end. The first signal asks; the second one ends it at once with status 1.

    It is a plain flag that is polled: setting a threading.Event in a signal handler can deadlock the thread that waits
    for it.
    """

    def __init__(self) -> None:
        self._is_requested = False
        self._interruptible = False
        self._echo_until = -math.inf

    def install(self) -> None:
        """Handle the signals that ask this process to end."""
        for number in end_signals():
            signal.signal(number, self._on_signal)

    def is_set(self) -> bool:
        """Whether the process was asked to end."""
        return self._is_requested

    def wait(self, seconds: float) -> None:
        """Sleep, but not much longer than until the process is asked to end."""
        deadline = time.monotonic() + seconds
        while not self._is_requested and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(POLL_SECONDS, left))

    def request(self) -> None:
        """Ask the process to end, in the main thread, as a signal does. Raises Interrupted inside `interruptible`."""
        if self._is_requested:
            os._exit(1)
        self._is_requested = True
        if self._interruptible:
            raise Interrupted

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A block that is left at once, by Interrupted, when the process is asked to end."""
        if self._is_requested:
            raise Interrupted
        try:
            self._interruptible = True
            yield
        finally:
            self._interruptible = False

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if now >= self._echo_until:
            self._echo_until = now + ECHO_SECONDS
            self.request()


class StopFlag:
    """Flag for retry loops in other threads: true after `set()` or once the process was asked to end."""

    def __init__(self, stopping: Stopping) -> None:
        self._stopping = stopping
        self._event = Event()

    def is_set(self) -> bool:
        """Whether retries should give up."""
        return self._event.is_set() or self._stopping.is_set()

    def set(self) -> None:
        """Let retries give up."""
        self._event.set()

    def wait(self, seconds: float) -> None:
        """Sleep, but not much longer than until the flag is set."""
        deadline = time.monotonic() + seconds
        while not self.is_set() and (left := deadline - time.monotonic()) > 0:
            self._event.wait(min(POLL_SECONDS, left))
