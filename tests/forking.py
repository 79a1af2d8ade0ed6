"""A process that has imported Narrows and runs commands in forks of itself: `python -m tests.forking KIND SOCKET`.

A test that needs a service, a worker or a command runs it in a real process, with arguments, environment, folder and
files of its own. Only the imports, seconds of computing for each process, are paid once. The process forks for each
test process that connects to its socket, `tests.commands`, and that fork forks for each command.
"""

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import workers.__main__ as workers
from tests import migration_scripts
from tests.commands import READY
from workers.user_code import forking_process
from workers.user_process import __main__ as user_process
from workers.user_process.forks import end_fork

PRELOADED = {
    "commands": (
        "alembic.command",
        "anyio._backends._asyncio",
        "certifi",
        "encodings.idna",
        "fastapi_offline",
        "httpcore",
        "narrows.cli.errors",
        "narrows.cli.main",
        "narrows.cli.output",
        "optuna.samplers",
        "optuna_dashboard._app",
        "psycopg",
        "service.client",
        "service.client.text",
        "service.web.app",
        "service.web.server",
        "sqlalchemy.dialects.postgresql.psycopg",
        "sqlalchemy.dialects.sqlite.pysqlite",
        "storage",
        "storage.optuna_databases",
        "typer._adapters",
        "typer._click.decorators",
        "uvicorn.lifespan.on",
        "uvicorn.loops.uvloop",
        "uvicorn.protocols.http.httptools_impl",
    ),
    "workers": (
        "httpcore",
        "narrows.cli.main",
        "sklearn.datasets",
        "torch",
        "torchvision",
        "typer._adapters",
        "typer._click.decorators",
        "workers.loop.process",
    ),
}
MAX_REQUEST_BYTES = 1 << 20
MAX_FILES = 6
"""Standard input, output and error of the command, other files that it keeps, and the end of a pipe for its process id
and exit status."""
MOST_FILES = 1024
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
USERS_NAME = "user_process"
"""What /proc/PID/comm says of forks that run users' code."""


def connected(listener: socket.socket) -> socket.socket:
    """Fork for every connection. Returns only in a fork, with its connection; the original ends with the last fork."""
    pids: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([listener.fileno(), *pids], [], [])
        for file in ready:
            if file in pids:
                os.waitpid(pids.pop(file), 0)
                os.close(file)
                continue
            connection, _ = listener.accept()
            pid = os.fork()
            if pid == 0:
                os.closerange(3, connection.fileno())
                os.closerange(connection.fileno() + 1, MOST_FILES)
                listener.detach()
                connection.send(READY)
                return connection
            connection.close()
            pids[os.pidfd_open(pid)] = pid
        if not pids:
            os._exit(0)


class Forks:
    """The commands that run, and the pipe that each one's status goes to."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._statuses: dict[int, int] = {}
        self._wakeup, written = os.pipe()
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only so that the pipe wakes the loop

    def serve(self) -> dict[str, Any]:
        """Fork for every request. Returns only in a fork, with its request; the original ends with its socket."""
        while True:
            ready, _, _ = select.select([self._control.fileno(), self._wakeup], [], [])
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
                self._reap()
            if self._control.fileno() in ready:
                text, files, _, _ = socket.recv_fds(self._control, MAX_REQUEST_BYTES, MAX_FILES)
                if not text:
                    self._end()
                *given, status = files
                pid = os.fork()
                if pid == 0:
                    return self._become({**json.loads(text), "files": given[3:]}, given[:3])
                for file in given:
                    os.close(file)
                os.write(status, f"{pid}\n".encode())
                self._statuses[pid] = status

    def _become(self, request: dict[str, Any], standard: list[int]) -> dict[str, Any]:
        """Make this fork what a process of the command's own would be."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, file in enumerate(standard):
            os.dup2(file, number)
        self._control.detach()
        for low, high in pairwise([2, *sorted(request["files"]), MOST_FILES]):
            os.closerange(low + 1, high)  # of other commands, whose pipes must end with them
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        time.tzset()
        tempfile.tempdir = None  # found in the environment again
        return request

    def _reap(self) -> None:
        for pid in list(self._statuses):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                file = self._statuses.pop(pid)
                with suppress(BrokenPipeError):  # nobody asks any more
                    os.write(file, f"{os.waitstatus_to_exitcode(status)}\n".encode())
                os.close(file)

    def _end(self) -> None:
        for pid in self._statuses:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)


def run(request: dict[str, Any]) -> None:
    """Run the command of the request as its console script does."""
    from narrows.cli.main import main

    if request["arguments"][1] == "worker":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            ours.close()
            run_users_code(theirs)
            return
        theirs.close()
        popen = partial(ForkedForUsers, ours)
        vars(forking_process)["subprocess"] = SimpleNamespace(Popen=popen, DEVNULL=subprocess.DEVNULL)  # for it alone
    os.execv = _run_instead  # type: ignore[assignment]
    sys.argv = request["arguments"]
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, int):
            end_fork(end.code)
        raise


def _run_instead(program: str, words: list[str]) -> None:
    """Run what a process would become, in the process as it is: `python -P -m workers …`."""
    assert words[:4] == [sys.executable, "-P", "-m", "workers"]
    sys.exit(workers.main(words[4:]))


class ForkedForUsers:
    """The process that forks for trials of users' code, forked itself from one that has imported what they need."""

    def __init__(
        self,
        control: socket.socket,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        pass_fds: Sequence[int],
        **_: Any,
    ) -> None:
        """Fork. The command is `python -P -m workers.user_process forks …`."""
        read, written = os.pipe()
        request = {"arguments": command, "environment": dict(env), "folder": cwd}
        with Path(os.devnull).open("r+b", buffering=0) as nothing:
            files = [nothing.fileno()] * 3
            socket.send_fds(control, [json.dumps(request).encode()], [*files, *pass_fds, written])
        os.close(written)
        self._status = os.fdopen(read, "rb", buffering=0)
        self.pid = int(self._status.readline())

    def kill(self) -> None:
        """End it at once, unless it has ended."""
        if not select.select([self._status], [], [], 0)[0]:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> None:
        """Wait for its end."""
        self._status.readline()
        self._status.close()


def run_users_code(control: socket.socket) -> None:
    """Fork for each request for a process that forks for trials. Returns in such a trial's process, at its end."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    ctypes.CDLL(None).prctl(PR_SET_NAME, USERS_NAME.encode())
    request = Forks(control).serve()
    os.setsid()
    requests, state = request["files"]
    sys.orig_argv = [*request["arguments"][:-2], str(requests), str(state)]
    sys.modules["__main__"] = user_process
    user_process.fork_for_trials(requests, state)


if __name__ == "__main__":
    for name in PRELOADED[sys.argv[1]]:
        importlib.import_module(name)
    if sys.argv[1] == "commands":
        migration_scripts.read()
    gc.freeze()  # collections in a fork need not copy what is shared
    run(Forks(connected(socket.socket(fileno=int(sys.argv[2])))).serve())
