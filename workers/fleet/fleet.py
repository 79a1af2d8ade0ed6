"""The worker processes of one machine: started, kept alive, and ended together."""

import logging
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

from workers.fleet.stopping import end_signals

logger = logging.getLogger("narrows.fleet")

GOOD, CRASHED, USELESS = 0, 1, 2
"""Exit statuses of a worker process; after USELESS, a restart would end the same way."""

MAX_CRASHES = 5
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
DRAIN_SECONDS = 30.0
AT_ONCE_SECONDS = 2.0
ECHO_SECONDS = 1.0
"""A signal that comes so soon after another one is the same: `timeout` sends it to a process, and to its group too."""
POLL_SECONDS = 0.1

Clock = Callable[[], float]


@dataclass
class WorkerSlot:
    """One device's process, and its history of crashes.

    A crashed process is started again after 1, 2, 4, … 30 seconds. Five crashes in a row end its place; a process that
    lived for a minute begins a new row.
    """

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    start_at: float = 0.0
    crashes: int = 0
    status: int | None = None

    def tend(self, now: float) -> None:
        """Start the process when its time has come; take note when it has ended."""
        if self.status is not None:
            return
        if self.process is None:
            if now >= self.start_at:
                self._start(now)
            return
        code = self.process.poll()
        if code is not None:
            self._ended(code, now)

    def _start(self, now: float) -> None:
        # Its own session: a terminal's Ctrl-C reaches the fleet alone, which then tells its processes once.
        # Its stdin: a pipe that ends when the fleet dies, however it dies.
        environment = {**os.environ, **self.environment}
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, env=environment, start_new_session=True)
        self.started = now

    def _ended(self, code: int, now: float) -> None:
        self._forget()
        if code in (GOOD, USELESS):
            self.status = code
            return
        self.crashes = 1 if now - self.started >= STEADY_SECONDS else self.crashes + 1
        how = f"signal {-code}" if code < 0 else f"status {code}"
        if self.crashes >= MAX_CRASHES:
            logger.error("%s: ended with %s, %d times in a row: given up", self.name, how, self.crashes)
            self.status = CRASHED
            return
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (self.crashes - 1))
        logger.warning("%s: ended with %s, starts again in %g s", self.name, how, pause)
        self.start_at = now + pause

    def end(self, number: signal.Signals) -> None:
        if self.process is None:
            self.status = self.status if self.status is not None else GOOD
        else:
            self.process.send_signal(number)

    def settle(self) -> None:
        """Take note of an end that was asked for: whatever its status, nothing starts again."""
        if self.process is not None and (code := self.process.poll()) is not None:
            self._forget()
            self.status = GOOD if code == GOOD else CRASHED

    def _forget(self) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process = None


class Fleet:
    """Runs until every place has ended, or a signal ends them all; a second signal ends them at once."""

    def __init__(self, places: Sequence[WorkerSlot], clock: Clock = time.monotonic) -> None:
        self._places = places
        self._clock = clock
        self._signals = 0
        self._deaf_until = -math.inf

    def install(self) -> None:
        for number in end_signals():
            signal.signal(number, self._on_signal)

    def run(self) -> int:
        """The status to exit with: 0 when every process ended well."""
        try:
            while self._signals == 0 and self._alive():
                for place in self._places:
                    place.tend(self._clock())
                time.sleep(POLL_SECONDS)
            self._drain()
        finally:
            self._tell(signal.SIGKILL)
        return GOOD if all(place.status == GOOD for place in self._places) else CRASHED

    def _alive(self) -> bool:
        return any(place.status is None for place in self._places)

    def _drain(self) -> None:
        """Pass every signal on, as SIGTERM; after half a minute, or soon after the second one, kill."""
        reportable_metrics, deadline = 0, self._clock() + DRAIN_SECONDS
        while self._alive():
            if reportable_metrics < self._signals:
                reportable_metrics += 1
                self._tell(signal.SIGTERM)
                if reportable_metrics == 2:
                    deadline = min(deadline, self._clock() + AT_ONCE_SECONDS)
            if self._clock() > deadline:
                self._tell(signal.SIGKILL)
            for place in self._places:
                place.settle()
            time.sleep(POLL_SECONDS)

    def _tell(self, number: signal.Signals) -> None:
        for place in self._places:
            place.end(number)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        now = self._clock()
        if now >= self._deaf_until:
            self._deaf_until = now + ECHO_SECONDS
            self._signals += 1
