"""Starts worker processes as forks of the fleet's own process."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess

from workers.fleet.parent import end_with_parent
from workers.fleet.stopping import end_signals

FORK = multiprocessing.get_context("fork")


class Forks:
    """Starts forks of this process that end when it dies.

    A fork has the token from the memory of this process, which `close_memory` has closed, and its own memory is closed
    from its first moment. A new program would be open to other processes of its user until it had closed its memory
    itself: they could read its variables and its files, and change its code.
    """

    def __init__(self) -> None:
        self._alive, self._lifeline = os.pipe()
        """Nothing is written to this pipe. It ends when this process dies, even by kill -9."""

    def starter(self, run: Callable[[], int]) -> Callable[[], BaseProcess]:
        """Return a function that starts a process; the process exits with the status that `run` returns."""
        return partial(self._start, run)

    def _start(self, run: Callable[[], int]) -> BaseProcess:
        process = FORK.Process(target=self._become, args=(run,))
        signals = signal.pthread_sigmask(signal.SIG_BLOCK, end_signals())  # for the fork, not for the fleet's handler
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        return process

    def _become(self, run: Callable[[], int]) -> None:
        # A session of its own: Ctrl-C in a terminal reaches only the fleet, which signals each process once.
        os.setsid()
        os.close(self._lifeline)
        numbers = end_signals()
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
        end_with_parent(self._alive)
        sys.exit(run())
