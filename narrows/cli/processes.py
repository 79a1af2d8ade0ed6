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
"""A fleet of workers kills, after half a minute, those of its processes that have not ended: so long it must live."""
AT_ONCE_SECONDS = 5.0
"""The same, once it was asked again."""
ECHO_SECONDS = 1.0
"""A signal that comes so soon after another one is the same: `timeout` sends it to a process, and to its group too."""
TAIL_LINES = 20


class AskedAgain(SystemExit):
    """Nobody waits any more for processes to end well."""


def end_on_signals() -> None:
    """Leave by SystemExit when asked to end, so that what was started is ended; by AskedAgain when asked again.

    What was started by `nohup` goes on when its terminal is closed.
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
    """A `narrows` command in the background, its output in a file. Leaving the context ends it and all it started.

    It has a session of its own, so that Ctrl-C in the terminal reaches the foreground command alone. When that one is
    killed, it ends too.
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
        """Raise CommandError, with the end of the log, when the process has ended by itself or soon does."""
        if self._process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            status = self._process.wait(within_seconds)
            raise CommandError(
                f"`narrows {self._arguments[0]}` ended with status {status}; the end of {self._log}:\n{self.tail()}"
            )

    def wait_for(self, words: str, timeout_seconds: float) -> str:
        """The rest of the first line of output that begins with some words. Raises CommandError."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            for line in self._log.read_text(errors="replace").splitlines(keepends=True):
                if line.startswith(words) and line.endswith("\n"):
                    return line.removeprefix(words).strip()
            self.check()
            time.sleep(0.05)
        raise CommandError(f"`narrows {self._arguments[0]}` is not ready; the end of {self._log}:\n{self.tail()}")

    def tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-TAIL_LINES:])


def _end_at_once(process: subprocess.Popen[bytes]) -> None:
    """The second SIGTERM lets workers go without their trials; who is killed leaves its own processes behind."""
    try:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(AT_ONCE_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


SERVICE_LOG = Path("narrows-logs/service.log")


WORKERS_LOG = Path("narrows-logs/workers.log")


READY = "Narrows is ready at "


READY_SECONDS = 60.0
