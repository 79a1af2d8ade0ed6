"""The process of a user's code: it starts without the worker's secrets and ends with all that it has started."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from workers import user_process
from workers.fleet.device_group import DeviceGroup
from workers.fleet.devices import n_cores
from workers.user_code.output_tail import OutputTail

GRACE_SECONDS = 5.0
POLL_SECONDS = 0.02
WORKER_VARIABLES = ("NARROWS_", "MLFLOW_")
"""Prefixes of variables that only the worker needs: its token, and its access to MLflow."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
USER_VARIABLE = "NARROWS_USER_"
"""Prefix of variables that users' code gets without it, because the worker itself needs other values."""
NO_VARIABLES: Mapping[str, str] = {}


def environment_for(devices: DeviceGroup, environment: Mapping[str, str]) -> dict[str, str]:
    """The worker's environment without the worker's own variables, and with only the trial's GPUs visible.

    A trial with a share of a device has that share of the threads. Paths in PYTHONPATH stay those of the folder in
    which the worker was started.
    """
    kept = {name: value for name, value in environment.items() if not name.startswith(WORKER_VARIABLES)}
    users = {name: value for name, value in environment.items() if name.startswith(USER_VARIABLE)}
    kept |= {name.removeprefix(USER_VARIABLE): value for name, value in users.items()}
    if kept.get("PYTHONPATH"):
        kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, kept["PYTHONPATH"].split(os.pathsep)))
    gpus = [name for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if devices.share < 1:
        for name in THREAD_VARIABLES:
            kept[name] = str(devices.part_of(_number_of(kept.get(name)) or n_cores()))
    visible = ",".join(gpus[number] if number < len(gpus) else str(number) for number in devices.gpu_numbers)
    return {**kept, "CUDA_VISIBLE_DEVICES": visible, "PYTHONUNBUFFERED": "1"}


def _number_of(text: str | None) -> int:
    """The number that a variable says; 0 if it says none."""
    return int(text) if text is not None and text.isdecimal() else 0


class Started(Protocol):
    """A process that was started."""

    @property
    def pid(self) -> int:
        """Its process id, and that of its session and group."""

    @property
    def has_ended(self) -> bool:
        """Whether it has ended. It is not reaped here: until then no other process gets its group's id."""

    def wait(self) -> int:
        """Wait for its end, reap it, and return its status as Popen does."""


Files = tuple[int, int, int]
"""The process's end of its socket, its end of the lifeline, and the pipe for its output and errors."""
Start = Callable[[DeviceGroup, Path, Files], Started]
"""Starts a process for a trial's devices in a folder, with those files. Raises OSError."""


class NewProcess:
    """A process that begins with a program, in a session of its own and with empty standard input."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        outputs: tuple[int, int],
        files: tuple[int, ...],
    ) -> None:
        """Start it with these outputs and open files. Raises OSError."""
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=outputs[0],
            stderr=outputs[1],
            env=environment,
            cwd=folder,
            pass_fds=files,
            start_new_session=True,
        )
        self.pid = self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it has ended, reaped or not."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self._process.returncode is not None or os.waitid(os.P_PID, self.pid, flags) is not None

    def wait(self) -> int:
        """Wait for its end, reap it, and return its status."""
        return self._process.wait()


def start_fresh(
    devices: DeviceGroup, folder: Path, files: Files, variables: Mapping[str, str] = NO_VARIABLES
) -> Started:
    """Start a process that begins with a new interpreter, with more variables in its environment. Raises OSError."""
    connection, alive, output = files
    # -P: import modules from Python's own paths and from --code, not from the process's folder.
    return NewProcess(
        [sys.executable, "-P", "-m", user_process.__name__, str(connection), str(alive), str(os.getpid())],
        folder=folder,
        environment=environment_for(devices, os.environ) | dict(variables),
        outputs=(output, output),
        files=(connection, alive),
    )


class OwnSession:
    """A process in a session of its own, which ends with all that it has started in it.

    `lifeline`: the worker's end of the pipe whose end tells the process's guard that the worker has died.
    """

    def __init__(self, process: Started, lifeline: int, output: OutputTail) -> None:
        self._process = process
        self._lifeline = lifeline
        self.output = output
        self._status: int | None = None

    @property
    def pid(self) -> int:
        """The process id, which is that of its group too."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._status is not None or self._process.has_ended

    def ended_within(self, seconds: float) -> bool:
        """Wait for the end of the process. False if it has not ended in time."""
        deadline = time.monotonic() + seconds
        while not self.has_ended:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def last_lines(self) -> str:
        """The last lines that it has written, for the reason of a failure."""
        return self.output.last_lines()

    def ask_to_end(self) -> None:
        """Send SIGTERM to its group, if it has not ended."""
        if not self.has_ended:
            self._signal(signal.SIGTERM)

    def end(self, grace_seconds: float = GRACE_SECONDS) -> int:
        """Send SIGTERM, kill what is left of its group after `grace_seconds`, and return its status as Popen does."""
        if self._status is None:
            if not self.has_ended:
                self._signal(signal.SIGTERM)
                self.ended_within(grace_seconds)
            self._signal(signal.SIGKILL)
            with suppress(OSError):
                os.write(self._lifeline, b".")  # the guard has nothing left to do, and ends
            self._status = self._process.wait()
            self.output.finish(1.0)
            self._close()
        return self._status

    def _signal(self, number: signal.Signals) -> None:
        os.killpg(self.pid, number)

    def _close(self) -> None:
        os.close(self._lifeline)


class UserProcess(OwnSession):
    """A process with an interpreter of ours, with empty standard input. It talks to the worker over `connection`."""

    def __init__(
        self,
        devices: DeviceGroup,
        folder: Path,
        start: Start = start_fresh,
        keep: Callable[[IO[bytes]], OutputTail] = OutputTail,
    ) -> None:
        """Start the process in the folder. `keep` reads its output from a pipe. Raises OSError."""
        self.connection, theirs = socket.socketpair()
        alive, lifeline = os.pipe()
        output, written = os.pipe()
        try:
            process = start(devices, folder, (theirs.fileno(), alive, written))
        except BaseException:
            self.connection.close()
            for descriptor in (output, lifeline):
                os.close(descriptor)
            raise
        finally:
            theirs.close()
            os.close(alive)
            os.close(written)
        try:
            tail = keep(os.fdopen(output, "rb", buffering=0))
        except BaseException:  # the thread cannot be started
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self.connection.close()
            os.close(lifeline)
            raise
        super().__init__(process, lifeline, tail)

    def _close(self) -> None:
        self.connection.close()
        super()._close()
