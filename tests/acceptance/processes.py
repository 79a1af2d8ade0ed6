"""Real processes of a test: started with a mark in their environment, by which whatever is left of them is found."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from narrows.cli.bound import bound

NARROWS = str(Path(sys.executable).with_name("narrows"))


class Marked:
    """A mark for the environment; processes that inherit it are alive until they have ended."""

    def __init__(self) -> None:
        self.environment = {"NARROWS_TEST_MARK": secrets.token_hex(8)}

    def pids(self, words: str = "") -> list[int]:
        """Processes with the mark whose command line holds some words."""
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and self._is(entry, words)]

    def kill(self) -> None:
        for pid in self.pids():
            os.kill(pid, 9)

    def _is(self, entry: Path, words: str) -> bool:
        mark = "=".join(*self.environment.items()).encode()
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
            return mark in (entry / "environ").read_bytes() and words.encode() in command
        except OSError:  # it has ended, or is somebody else's
            return False


@contextmanager
def narrows(*arguments: str, environment: dict[str, str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A `narrows` command in a session of its own, as a terminal starts it; killed if it is still there at the end."""
    process = subprocess.Popen(
        bound([NARROWS, *arguments]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=cwd,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()  # before the context waits for its end


def until(condition: Callable[[], object], timeout_seconds: float, what: str) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_seconds:g} seconds: {what}"
        time.sleep(0.1)
