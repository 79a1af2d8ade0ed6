"""`narrows` commands in the background, and how a command that started some is asked to end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from narrows.cli.bound import bound
from narrows.errors import CommandError

END_SECONDS = 40.0
"""Time for a process to end after SIGTERM. `narrows worker` needs up to 30 seconds: then it kills its own processes."""
AT_ONCE_SECONDS = 5.0
"""Time for a process to end after the second signal."""
ECHO_SECONDS = 1.0
"""A second signal within this time counts as the first one: `timeout` signals a process and then its group."""
TAIL_LINES = 20


class AskedAgain(SystemExit):
    """A second signal: started processes are ended without waiting for them to finish their work."""


def end_on_signals() -> None:
    """On SIGTERM, SIGINT or SIGHUP raise SystemExit, so that contexts end their processes; on the next AskedAgain.

    SIGHUP stays ignored under `nohup`.
    """
    asked_at: float | None = None

    def leave(number: int, _frame: FrameType | None) -> None:
        nonlocal asked_at
        earlier, now = asked_at, time.monotonic()
        if earlier is None:
            asked_at = now
            raise SystemExit(128 + number)
        if now - earlier >= ECHO_SECONDS:
            raise AskedAgain(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, leave)


class Process:
    """A `narrows` command in the background, with its output in a file. Leaving the context ends it.

    It has its own session, so that Ctrl-C in the terminal reaches only the foreground command. It also ends when the
    foreground command is killed.
    """

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self._arguments = arguments
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                bound([sys.executable, "-P", "-m", f"{__package__}.main", *self._arguments]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        if isinstance(error, AskedAgain):
            _end_at_once(self._process)
            return
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            _end_at_once(self._process)
        except BaseException:  # asked again
            _end_at_once(self._process)
            raise

    def check(self, within_seconds: float = 0.0) -> None:
        """Raise CommandError, with the end of the log, when the process has ended or ends within that time."""
        if self._process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            status = self._process.wait(within_seconds)
            raise CommandError(f"`narrows {self._arguments[0]}` ended with status {status}; {self.log_end()}")

    def wait_for(self, words: str, timeout_seconds: float) -> str:
        """Wait for a line of output that begins with `words`, and return the rest of that line.

        Raises CommandError when the process ends before, or does not write such a line in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            for line in self._log.read_text(errors="replace").splitlines(keepends=True):
                if line.startswith(words) and line.endswith("\n"):
                    return line.removeprefix(words).strip()
            self.check()
            time.sleep(0.05)
        raise CommandError(f"`narrows {self._arguments[0]}` is not ready; {self.log_end()}")

    def log_end(self) -> str:
        """Return the last lines of the log, under a heading."""
        lines = self._log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join([f"the end of {self._log.name}:", *lines])


def _end_at_once(process: subprocess.Popen[bytes]) -> None:
    """Send a second SIGTERM, at which workers end without giving their trials back, and SIGKILL if that is not enough.

    SIGTERM comes first because a killed worker command would leave its own processes running.
    """
    try:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(AT_ONCE_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
