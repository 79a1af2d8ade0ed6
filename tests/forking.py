"""A process that has imported Narrows and runs each command in a fork of itself: `python -m tests.forking SOCKET`.

A test that needs a service or a command does so in a real process, with arguments, environment, folder and files of its
own; only the imports, most of a second of computing for each process, are paid once. `tests.commands` is the other end
of the socket.
"""

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
from typing import Any

PRELOADED = (
    "alembic.command",
    "fastapi_offline",
    "narrows.cli.main",
    "optuna.samplers",
    "optuna_dashboard._app",
    "psycopg",
    "service.client",
    "service.web.app",
    "service.web.server",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "storage",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
)
MAX_REQUEST_BYTES = 1 << 20
N_FILES = 4
"""Standard input, output and error of the command, and the end of a pipe for its process id and exit status."""
PR_SET_PDEATHSIG = 1


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
                text, files, _, _ = socket.recv_fds(self._control, MAX_REQUEST_BYTES, N_FILES)
                if not text:
                    self._end()
                *standard, status = files
                pid = os.fork()
                if pid == 0:
                    os.close(status)
                    return self._become(json.loads(text), standard)
                for file in standard:
                    os.close(file)
                os.write(status, f"{pid}\n".encode())
                self._statuses[pid] = status

    def _become(self, request: dict[str, Any], standard: list[int]) -> dict[str, Any]:
        """Make this fork what a process of the command's own would be."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._wakeup)
        self._control.close()
        for status in self._statuses.values():
            os.close(status)
        for number, file in enumerate(standard):
            os.dup2(file, number)
            os.close(file)
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
                os.write(file, f"{os.waitstatus_to_exitcode(status)}\n".encode())
                os.close(file)

    def _end(self) -> None:
        for pid in self._statuses:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)


def run(request: dict[str, Any]) -> None:
    """Run the command of the request as its console script does."""
    from narrows.cli.main import main

    sys.argv = request["arguments"]
    main()


if __name__ == "__main__":
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # collections in a fork need not copy what is shared
    run(Forks(socket.socket(fileno=int(sys.argv[1]))).serve())
