"""The worker's end of a process that forks for each trial: workers.user_process.forks."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workers import user_process
from workers.fleet.device_group import DeviceGroup
from workers.user_code.named_imports import named_imports
from workers.user_code.process import NO_VARIABLES, Files, environment_for
from workers.user_process.forks import FORKS, MAX_MESSAGE_BYTES, State

ANSWER_SECONDS = 120.0
"""How long an answer may take: the process answers between two imports."""


class ForkingError(OSError):
    """The process that forks has ended, or does not answer."""


class ForkingProcess:
    """A process that forks for the trials of a worker with the same code."""

    def __init__(
        self,
        devices: DeviceGroup,
        code: Path | None,
        entrypoints: Sequence[str],
        variables: Mapping[str, str] = NO_VARIABLES,
    ) -> None:
        """Start it, with more variables; it imports first what the files of the entrypoints name. Raises OSError."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(ANSWER_SECONDS)
        self._lock = threading.Lock()
        modules = [] if code is None else named_imports(code, entrypoints)
        state = State(None if code is None else str(code), modules).to_file()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", user_process.__name__, FORKS, str(theirs.fileno()), str(state)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment_for(devices, os.environ) | dict(variables),
                cwd="/",
                pass_fds=(theirs.fileno(), state),
                start_new_session=True,
            )
        except BaseException:
            self._control.close()
            raise
        finally:
            theirs.close()
            os.close(state)

    def fork(self, folder: Path, files: Files) -> "ForkedProcess":
        """Fork for a trial that starts in the folder. Raises ForkingError."""
        answer, (ended,) = self._ask({"call": "start", "folder": str(folder)}, files, 1)
        return ForkedProcess(self, answer["pid"], ended)

    def reap(self, pid: int) -> int:
        """The status of a fork that has ended. Raises ForkingError."""
        answer, _ = self._ask({"call": "reap", "pid": pid}, (), 0)
        return int(answer["status"])

    def close(self) -> None:
        """End it; the trials that it has started go on."""
        self._control.close()
        self._process.kill()  # it may be within an import
        self._process.wait()

    def _ask(self, request: dict[str, Any], files: tuple[int, ...], n_files: int) -> tuple[dict[str, Any], list[int]]:
        try:
            with self._lock:
                socket.send_fds(self._control, [json.dumps(request).encode()], files)
                text, answered, _, _ = socket.recv_fds(self._control, MAX_MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
        except OSError as error:
            raise ForkingError(f"the process that forks for trials does not answer: {error}") from error
        if not text or len(answered) != n_files:
            raise ForkingError("the process that forks for trials has ended")
        return json.loads(text), answered


class ForkedProcess:
    """A process that a ForkingProcess has forked, which reaps it."""

    def __init__(self, parent: ForkingProcess, pid: int, ended: int) -> None:
        """`ended`: an open file that is readable once the process has ended."""
        self._parent = parent
        self.pid = pid
        self._ended = ended
        self._status: int | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it has ended, reaped or not."""
        poll = select.poll()
        poll.register(self._ended, select.POLLIN)
        return self._status is not None or bool(poll.poll(0))

    def wait(self) -> int:
        """Wait for its end, reap it, and return its status: that of SIGKILL if nobody is left to reap it."""
        if self._status is None:
            poll = select.poll()
            poll.register(self._ended, select.POLLIN)
            poll.poll()
            try:
                self._status = self._parent.reap(self.pid)
            except ForkingError:
                self._status = -signal.SIGKILL
            os.close(self._ended)
        return self._status
