"""Start the process of a user's code with nothing of the worker's in it, and end it with all that it has started."""

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
from workers.user_code.output import Output

GRACE_SECONDS = 5.0
POLL_SECONDS = 0.02
WORKERS_OWN = ("NARROWS_", "MLFLOW_")
"""How the names of variables begin that are for the worker: its token, and what it logs to MLflow with."""


def environment_for(device: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What the code sees of the worker's environment: nothing of the worker's own, and the trial's own GPU alone."""
    kept = {name: value for name, value in environment.items() if not name.startswith(WORKERS_OWN)}
    kind, _, index = device.partition(":")
    if kind == "cpu":
        visible = ""
    else:
        known = [name for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        place = int(index or 0)
        visible = known[place] if place < len(known) else str(place)
    return {**kept, "CUDA_VISIBLE_DEVICES": visible, "PYTHONUNBUFFERED": "1"}


def device_seen(device: str) -> str:
    """The worker's device as the code sees it, which has one GPU at most."""
    return device if device == "cpu" else device.partition(":")[0]


class UserProcess:
    """A process of its own session. Its standard input is empty; its output is kept; it speaks by `connection`."""

    def __init__(self, device: str, code: Path | None) -> None:
        self.connection, theirs = socket.socketpair()
        alive, self._lifeline = os.pipe()
        arguments = [str(theirs.fileno()), str(alive), str(os.getpid())]
        try:
            # -P: modules come from where Python has them and from --code, not from wherever the worker was started.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", user_process.__name__, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                env=environment_for(device, os.environ),
                cwd=code,
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
            self.output = Output(self._process.stdout)
        except BaseException:  # no thread can be started
            self._signal(signal.SIGKILL)
            self._process.wait()
            os.close(self._lifeline)
            self.connection.close()
            raise
        self._closed = False

    @property
    def has_ended(self) -> bool:
        """Without taking note of it: until then its process group is nobody else's."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self._process.returncode is not None or os.waitid(os.P_PID, self._process.pid, flags) is not None

    def ended_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self.has_ended:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def end(self, grace_seconds: float = GRACE_SECONDS) -> int:
        """Ask it to end, by SIGTERM, kill what is left after so long, and answer its status as Popen has it."""
        if self._process.returncode is None:
            if not self.has_ended:
                self._signal(signal.SIGTERM)
                self.ended_within(grace_seconds)
            self._signal(signal.SIGKILL)
            with suppress(OSError):
                os.write(self._lifeline, b".")  # nothing is left for the guard to do
        status = self._process.wait()
        if not self._closed:
            self._closed = True
            self.output.finish(1.0)
            self.connection.close()
            os.close(self._lifeline)
        return status

    def _signal(self, number: signal.Signals) -> None:
        os.killpg(self._process.pid, number)
