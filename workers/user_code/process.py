"""The process of a user's code: it starts without the worker's secrets and ends with all that it has started."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from workers import user_process
from workers.user_code.output_tail import OutputTail

GRACE_SECONDS = 5.0
POLL_SECONDS = 0.02
WORKER_VARIABLES = ("NARROWS_", "MLFLOW_")
"""Prefixes of variables that only the worker needs: its token, and its access to MLflow."""
USER_VARIABLE = "NARROWS_USER_"
"""Prefix of variables that users' code gets without it, because the worker itself needs other values."""


def environment_for(device: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The worker's environment without the worker's own variables, and with only the trial's GPU visible.

    Paths in PYTHONPATH stay those of the folder in which the worker was started.
    """
    kept = {name: value for name, value in environment.items() if not name.startswith(WORKER_VARIABLES)}
    users = {name: value for name, value in environment.items() if name.startswith(USER_VARIABLE)}
    kept |= {name.removeprefix(USER_VARIABLE): value for name, value in users.items()}
    if kept.get("PYTHONPATH"):
        kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, kept["PYTHONPATH"].split(os.pathsep)))
    kind, _, index = device.partition(":")
    if kind == "cpu":
        visible = ""
    else:
        gpus = [name for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        number = int(index or 0)
        visible = gpus[number] if number < len(gpus) else str(number)
    return {**kept, "CUDA_VISIBLE_DEVICES": visible, "PYTHONUNBUFFERED": "1"}


def visible_device(device: str) -> str:
    """Name of the worker's device inside the process, where at most one GPU is visible."""
    return device if device == "cpu" else device.partition(":")[0]


class UserProcess:
    """A process in a session of its own, with empty standard input. It talks to the worker over `connection`."""

    def __init__(self, device: str, folder: Path) -> None:
        """Start the process in the folder. Raises OSError."""
        self.connection, theirs = socket.socketpair()
        alive, self._lifeline = os.pipe()
        arguments = [str(theirs.fileno()), str(alive), str(os.getpid())]
        try:
            # -P: import modules from Python's own paths and from --code, not from the process's folder.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", user_process.__name__, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                env=environment_for(device, os.environ),
                cwd=folder,
                pass_fds=(theirs.fileno(), alive),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._lifeline)
            self.connection.close()
            raise
        finally:
            theirs.close()
            os.close(alive)
        assert self._process.stdout is not None, "it is a pipe"
        try:
            self.output = OutputTail(self._process.stdout)
        except BaseException:  # the thread cannot be started
            self._signal(signal.SIGKILL)
            self._process.wait()
            os.close(self._lifeline)
            self.connection.close()
            raise
        self._closed = False

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended. It is not reaped here: until then no other process gets its group's id."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self._process.returncode is not None or os.waitid(os.P_PID, self._process.pid, flags) is not None

    def ended_within(self, seconds: float) -> bool:
        """Wait for the end of the process. False if it has not ended in time."""
        deadline = time.monotonic() + seconds
        while not self.has_ended:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def end(self, grace_seconds: float = GRACE_SECONDS) -> int:
        """Send SIGTERM, kill what is left of its group after `grace_seconds`, and return its status as Popen does."""
        if self._process.returncode is None:
            if not self.has_ended:
                self._signal(signal.SIGTERM)
                self.ended_within(grace_seconds)
            self._signal(signal.SIGKILL)
            with suppress(OSError):
                os.write(self._lifeline, b".")  # the guard has nothing left to do, and ends
        status = self._process.wait()
        if not self._closed:
            self._closed = True
            self.output.finish(1.0)
            self.connection.close()
            os.close(self._lifeline)
        return status

    def _signal(self, number: signal.Signals) -> None:
        os.killpg(self._process.pid, number)
