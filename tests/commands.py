"""`narrows` commands in real processes that start fast, because they are forks of one that has imported Narrows."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from tests.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[1]
NARROWS = str(Path(sys.executable).with_name("narrows"))


class Command:
    """A running command, with the part of `subprocess.Popen` that tests use. `stdout` is a pipe unless it was given."""

    def __init__(
        self,
        *arguments: str,
        environment: Mapping[str, str],
        cwd: Path,
        stdout: IO[bytes] | int = subprocess.PIPE,
        stderr: IO[bytes] | int,
    ) -> None:
        """Start `narrows` with the arguments, and wait until it has its process id."""
        sys.audit("tests.commands.Command", NARROWS, [NARROWS, *arguments])
        self.args = [NARROWS, *arguments]
        self.returncode: int | None = None
        self.stdout: IO[bytes] | None = None
        written = -1
        if stdout == subprocess.PIPE:
            read, written = os.pipe()
            self.stdout = os.fdopen(read, "rb", buffering=0)
        target = written if isinstance(stdout, int) else stdout.fileno()
        errors = target if stderr == subprocess.STDOUT else stderr if isinstance(stderr, int) else stderr.fileno()
        request = {"arguments": self.args, "environment": dict(environment), "folder": str(cwd)}
        with Path(os.devnull).open("rb") as nothing:
            self._status = _forking().start(request, [nothing.fileno(), target, errors])
        if written != -1:
            os.close(written)
        self.pid = int(self._status.readline())

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self._ended()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return the exit status. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self._ended()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _ended(self) -> None:
        line = self._status.readline()
        self._status.close()
        assert line, "the process that forks has ended"
        self.returncode = int(line)


def run(
    *arguments: str, cwd: Path, environment: Mapping[str, str], check: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a `narrows` command to its end, as subprocess.run with captured output does."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        command = Command(*arguments, environment=environment, cwd=cwd, stdout=output, stderr=errors)
        try:
            status = command.wait(PATIENCE_SECONDS)
        finally:
            command.kill()
        for file in (output, errors):
            file.seek(0)
        done = subprocess.CompletedProcess(command.args, status, output.read().decode(), errors.read().decode())
    if check:
        done.check_returncode()
    return done


def end() -> None:
    """End the process that forks, and with it the commands that still run."""
    while _started:
        _started.pop().close()


class _Forking:
    """The process that forks, one for each test process. It ends when this process does, and its forks with it."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forking", str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def start(self, request: dict[str, Any], files: list[int]) -> IO[bytes]:
        """Fork for a request. Returns a pipe with the process id and later the exit status, a line each."""
        read, written = os.pipe()
        socket.send_fds(self._control, [json.dumps(request).encode()], [*files, written])
        os.close(written)
        return os.fdopen(read, "rb", buffering=0)

    def close(self) -> None:
        """Close the socket, and wait until the process has ended."""
        self._control.close()
        self._process.wait(PATIENCE_SECONDS)


_started: list[_Forking] = []


def _forking() -> _Forking:
    if not _started:
        _started.append(_Forking())
    return _started[0]
