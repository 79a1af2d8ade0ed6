import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from service.cli.bound import bound
from service.cli.errors import CommandError

END_SECONDS = 20.0
TAIL_LINES = 20


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
                bound([sys.executable, "-m", "service.cli.main", *self._arguments]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill(self._process)
        except BaseException:  # Ctrl-C again
            self._kill(self._process)
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

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
