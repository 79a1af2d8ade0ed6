"""Runs work that could stop or exhaust the service in processes of their own, with limits on their time and memory."""

import logging
import math
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from service.errors import OverloadedError, ShuttingDownError
from service.process_limits import die_with, limit_memory

log = logging.getLogger(__name__)

LOGGED_LINES = 20
WAITING = 10
"""How many times its processor time a process may take, as on a machine that has more to do than processors."""


class OwnProcessError(Exception):
    """The process reached one of its limits or ended with an error. The message is the end of its standard error."""


@dataclass(frozen=True)
class Limits:
    """Limits of a process: its processor time in seconds and its memory in bytes.

    On a busy machine the time that passes is longer; it may be WAITING times as long.
    """

    seconds: float
    memory_bytes: int


class OwnProcesses:
    """Runs modules in processes of their own, until `close` kills those that run and refuses others."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False
        self._lock = Lock()

    def call(self, module: str, given: bytes, limits: Limits) -> bytes:
        """Run a module that reads `given` from its standard input, and return its standard output.

        It blocks until the process has ended. The module calls `limit_this_process` first. Raises OwnProcessError,
        OverloadedError if the machine lacks a process or memory, and ShuttingDownError after `close`.
        """
        with self._process(module, limits) as process:
            try:
                output, errors = process.communicate(given, WAITING * limits.seconds)
            except subprocess.TimeoutExpired as error:
                raise _too_long(limits) from error
        if process.returncode == 0:
            return output
        if process.returncode == -signal.SIGXCPU:
            raise _too_long(limits)
        self._check_open()
        lines = errors.decode(errors="replace").strip().splitlines()
        log.warning("%s ended with status %d: %s", module, process.returncode, "\n".join(lines[-LOGGED_LINES:]))
        if process.returncode == -signal.SIGKILL:  # as the kernel does when the machine's memory is used up
            raise OverloadedError("the process for this call was killed: the machine may be out of memory")
        raise OwnProcessError(lines[-1] if lines else f"it ended with status {process.returncode}")

    def close(self) -> None:
        """Kill the processes and refuse others."""
        with self._lock:
            self._closed = True
            for process in self._running:
                process.kill()

    @contextmanager
    def _process(self, module: str, limits: Limits) -> Iterator[subprocess.Popen[bytes]]:
        """A process that is killed at the end of the block, if it still runs."""
        self._check_open()
        n_seconds = math.ceil(limits.seconds)
        command = [sys.executable, "-P", "-m", module, str(limits.memory_bytes), str(os.getpid()), str(n_seconds)]
        pipe = subprocess.PIPE
        try:
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
        except OSError as error:  # no memory, process or file descriptor is left
            log.warning("%s could not be started: %s", module, error)
            raise OverloadedError(f"no process could be started for this call: {error.strerror}") from error
        with process:
            try:
                with self._lock:
                    self._running.add(process)
                self._check_open()
                yield process
            finally:
                process.kill()
                with self._lock:
                    self._running.discard(process)

    def _check_open(self) -> None:
        if self._closed:
            raise ShuttingDownError("the service is shutting down")


def _too_long(limits: Limits) -> OwnProcessError:
    return OwnProcessError(f"it took longer than {limits.seconds:g} s")


def limit_this_process() -> None:
    """Limit the memory and the processor time of this process, and let it die with its parent.

    The arguments are the memory in bytes, the parent's process id, and the time in seconds.
    """
    n_bytes, parent, n_seconds = map(int, sys.argv[1:4])
    limit_memory(n_bytes)
    resource.setrlimit(resource.RLIMIT_CPU, (n_seconds, n_seconds + 1))
    die_with(parent)
