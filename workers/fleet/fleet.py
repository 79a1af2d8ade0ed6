"""The worker processes of one machine: started, kept alive, and ended together."""

import logging
import math
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

from workers.fleet.stopping import end_signals

logger = logging.getLogger("narrows.fleet")

EXIT_OK, EXIT_CRASHED, EXIT_NO_RESTART = 0, 1, 2
"""Exit statuses of a worker process. EXIT_NO_RESTART: it would end the same way if it were started again."""

MAX_CRASHES = 5
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A process that lived this long had not crashed at its start: its crashes are counted anew."""
DRAIN_SECONDS = 30.0
"""How long processes may take to end after the first signal."""
AT_ONCE_SECONDS = 2.0
"""How long processes may take to end after the second signal."""
ECHO_SECONDS = 1.0
"""A signal this soon after another one is the same one: `timeout` sends it to a process and then to its group."""
POLL_SECONDS = 0.1

Clock = Callable[[], float]


class Process(Protocol):
    """A process as `multiprocessing` has it."""

    @property
    def pid(self) -> int | None:
        """Its process id."""

    @property
    def exitcode(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""


@dataclass
class WorkerSlot:
    """Keeps one worker process running, which `start` starts.

    A process that crashed is started again after 1, 2, 4, … 30 seconds. After five crashes in a row the slot gives up;
    a crash after a minute or more is the first of a new row.

    started_at and start_at are in seconds of the fleet's clock. status is the slot's final exit status, None until it
    has ended.
    """

    name: str
    start: Callable[[], Process]
    process: Process | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    n_crashes: int = 0
    status: int | None = None

    def tend(self, now: float) -> None:
        """Start the process if it is time, or handle its end if it has ended."""
        if self.status is not None:
            return
        if self.process is None:
            if now >= self.start_at:
                self.process, self.started_at = self.start(), now
            return
        code = self.process.exitcode
        if code is not None:
            self._ended(code, now)

    def _ended(self, code: int, now: float) -> None:
        self.process = None
        if code in (EXIT_OK, EXIT_NO_RESTART):
            self.status = code
            return
        self.n_crashes = 1 if now - self.started_at >= STEADY_SECONDS else self.n_crashes + 1
        how = f"signal {-code}" if code < 0 else f"status {code}"
        if self.n_crashes >= MAX_CRASHES:
            logger.error("%s: ended with %s, %d times in a row: given up", self.name, how, self.n_crashes)
            self.status = EXIT_CRASHED
            return
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (self.n_crashes - 1))
        logger.warning("%s: ended with %s, starts again in %g s", self.name, how, pause)
        self.start_at = now + pause

    def end(self, number: signal.Signals) -> None:
        """Send a signal to the process; without a process the slot has ended."""
        if self.process is None:
            self.status = self.status if self.status is not None else EXIT_OK
        elif self.process.pid is not None and self.process.exitcode is None:
            os.kill(self.process.pid, number)

    def settle(self) -> None:
        """Set the status if the process has ended after a signal of the fleet. It is not started again."""
        if self.process is not None and (code := self.process.exitcode) is not None:
            self.process = None
            self.status = EXIT_OK if code == EXIT_OK else EXIT_CRASHED


class Fleet:
    """Runs its slots until each has ended. A signal ends them all; a second one ends them at once."""

    def __init__(self, slots: Sequence[WorkerSlot], clock: Clock = time.monotonic) -> None:
        self._slots = slots
        self._clock = clock
        self._n_signals = 0
        self._echo_until = -math.inf

    def install(self) -> None:
        """Handle the signals that ask this process to end."""
        for number in end_signals():
            signal.signal(number, self._on_signal)

    def run(self) -> int:
        """Run until every process has ended. Return the status to exit with: EXIT_OK if each of them ended with it."""
        try:
            while self._n_signals == 0 and self._is_running():
                for slot in self._slots:
                    slot.tend(self._clock())
                time.sleep(POLL_SECONDS)
            self._drain()
        finally:
            self._send(signal.SIGKILL)
        return EXIT_OK if all(slot.status == EXIT_OK for slot in self._slots) else EXIT_CRASHED

    def _is_running(self) -> bool:
        return any(slot.status is None for slot in self._slots)

    def _drain(self) -> None:
        """Pass each signal on as SIGTERM. Kill after DRAIN_SECONDS, or AT_ONCE_SECONDS after the second one."""
        n_passed_on, deadline = 0, self._clock() + DRAIN_SECONDS
        while self._is_running():
            if n_passed_on < self._n_signals:
                n_passed_on += 1
                self._send(signal.SIGTERM)
                if n_passed_on == 2:
                    deadline = min(deadline, self._clock() + AT_ONCE_SECONDS)
            if self._clock() > deadline:
                self._send(signal.SIGKILL)
            for slot in self._slots:
                slot.settle()
            time.sleep(POLL_SECONDS)

    def _send(self, number: signal.Signals) -> None:
        for slot in self._slots:
            slot.end(number)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        now = self._clock()
        if now >= self._echo_until:
            self._echo_until = now + ECHO_SECONDS
            self._n_signals += 1
