"""Real processes of a test. A mark in their environment finds those that are left at the end."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from narrows.cli.bound import bound
from tests.commands import NARROWS, Command
from tests.waiting import PATIENCE_SECONDS


class Marked:
    """A variable with a random value for the environment of processes, which their child processes inherit."""

    def __init__(self) -> None:
        self.environment = {"NARROWS_TEST_MARK": secrets.token_hex(8)}

    def pids(self, words: str = "") -> list[int]:
        """Ids of the living processes with the mark whose command line contains the words."""
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and self._is(entry, words)]

    def workers(self) -> list[int]:
        """Ids of the living processes that train: forks of a fleet, in sessions of their own."""
        pids = self.pids("-m workers --")
        return [pid for pid in pids if os.getsid(pid) == pid and parent_of(pid) in pids]

    def kill(self) -> None:
        """Kill all processes with the mark."""
        for pid in self.pids():
            os.kill(pid, 9)

    def _is(self, entry: Path, words: str) -> bool:
        mark = "=".join(*self.environment.items()).encode()
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
            return mark in (entry / "environ").read_bytes() and words.encode() in command
        except OSError:  # the process has ended, or belongs to another user
            return False


def parent_of(pid: int) -> int | None:
    """Id of a process's parent; None if the process has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


@contextmanager
def narrows(*arguments: str, environment: dict[str, str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a `narrows` command in a session of its own, as a terminal does. It is killed at the end if it still runs."""
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


@contextmanager
def worker(*flags: str, environment: dict[str, str], cwd: Path) -> Iterator[Command]:
    """Run `narrows worker` for a test of what it does, not of how it starts. It is killed at the end if it still runs.

    It and its processes are forks, so a mark in the environment does not find them.
    """
    command = Command("worker", *flags, environment=environment, cwd=cwd, stderr=subprocess.STDOUT)
    try:
        yield command
    finally:
        command.kill()
        command.wait(PATIENCE_SECONDS)
        if command.stdout is not None:
            command.stdout.close()
