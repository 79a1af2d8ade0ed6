"""`narrows` commands in real processes that start fast, because they are forks of one that has imported Narrows."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from tests.waiting import PATIENCE_SECONDS
from workers.__main__ import SINGLE_THREAD

ROOT = Path(__file__).resolve().parents[1]
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
"""Names the run of all tests, which several processes may share."""
READY = b"ready"
"""What a process that forks says first."""
MAX_WORD_BYTES = 16
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
            self._status = _forking(arguments[0]).start(request, [nothing.fileno(), target, errors])
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
            with suppress(ProcessLookupError):  # it has ended, and its status is on its way
                os.kill(self.pid, number)

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Read the output until it ends, wait for the end, and return the output as `text=True` does."""
        assert self.stdout is not None
        output, deadline = b"", time.monotonic() + (PATIENCE_SECONDS if timeout is None else timeout)
        while select.select([self.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            if not (more := self.stdout.read(65536)):
                self.stdout.close()
                self.wait(max(0.0, deadline - time.monotonic()))
                return output.decode(errors="replace").replace("\r\n", "\n"), None
            output += more
        raise subprocess.TimeoutExpired(self.args, timeout or 0.0, output)

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
        _started.popitem()[1].close()


class _Forking:
    """A process that forks for this one. It ends when this process does, and its forks with it."""

    def __init__(self, kind: str) -> None:
        while True:
            self._control = _connected(kind)
            with suppress(ConnectionResetError):
                if self._control.recv(MAX_WORD_BYTES) == READY:
                    return
            self._control.close()  # the process that forks was about to end

    def start(self, request: dict[str, Any], files: list[int]) -> IO[bytes]:
        """Fork for a request. Returns a pipe with the process id and later the exit status, a line each."""
        read, written = os.pipe()
        socket.send_fds(self._control, [json.dumps(request).encode()], [*files, written])
        os.close(written)
        return os.fdopen(read, "rb", buffering=0)

    def close(self) -> None:
        """Let the process end, and wait until it has."""
        self._control.shutdown(socket.SHUT_WR)
        self._control.settimeout(PATIENCE_SECONDS)
        self._control.recv(MAX_WORD_BYTES)
        self._control.close()


def _connected(kind: str) -> socket.socket:
    """A connection to the process that has imported Narrows. It is started if no test process of this run has yet."""
    address = f"\0narrows-tests-{RUN}-{kind}"
    while True:
        control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            control.connect(address)
        except ConnectionRefusedError:
            control.close()
        else:
            return control
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, suppress(OSError):
            listener.bind(address)  # fails if another test process was faster
            listener.listen()
            _start(kind, listener)


def _start(kind: str, listener: socket.socket) -> None:
    threads = SINGLE_THREAD if kind == "workers" else {}  # read when a library is imported
    _importing.append(
        subprocess.Popen(
            [sys.executable, "-m", "tests.forking", kind, str(listener.fileno())],
            cwd=ROOT,
            env={**os.environ, **threads},
            stdin=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    )


_importing: list[subprocess.Popen[bytes]] = []
"""They end with the last test process that uses them, not with this one."""
_started: dict[str, _Forking] = {}


def _forking(command: str) -> _Forking:
    kind = "workers" if command == "worker" else "commands"
    if kind not in _started:
        _started[kind] = _Forking(kind)
    return _started[kind]
