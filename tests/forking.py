"""A process that has imported Narrows and runs each command in a fork of itself: `python -m tests.forking KIND SOCKET`.

A test that needs a service, a worker or a command runs it in a real process, with arguments, environment, folder and
files of its own. Only the imports, seconds of computing for each process, are paid once. `tests.commands` is the other
end of the socket.
"""

import atexit
import ctypes
import gc
import importlib
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NoReturn

import workers.__main__ as workers
from workers.fleet import fleet

PRELOADED = {
    "commands": (
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
    ),
    "workers": ("narrows.cli.main", "sklearn.datasets", "torch", "torchvision", "workers.loop.process"),
}
MAX_REQUEST_BYTES = 1 << 20
N_FILES = 4
"""Standard input, output and error of the command, and the end of a pipe for its process id and exit status."""
MOST_FILES = 1024
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
                    return self._become(json.loads(text), standard)
                for file in standard:
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
        os.closerange(3, MOST_FILES)  # of other commands, whose pipes must end with them
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

    os.execv = _run_instead  # type: ignore[assignment]
    vars(fleet)["subprocess"] = SimpleNamespace(Popen=ForkedWorker, PIPE=subprocess.PIPE)  # for the fleet alone
    sys.argv = request["arguments"]
    main()


def _run_instead(program: str, words: list[str]) -> None:
    """Run what a process would become, in the process as it is: `python -P -m workers …`."""
    assert words[:4] == [sys.executable, "-P", "-m", "workers"]
    sys.exit(workers.main(words[4:]))


class ForkedWorker:
    """A worker process as the fleet starts it, forked instead of begun anew."""

    def __init__(self, command: Sequence[str], stdin: int, env: dict[str, str], start_new_session: bool) -> None:
        """Fork. The command is `python -P -m workers …`."""
        read, written = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(written)
            self._become(command, read, env)
        os.close(read)
        self.stdin = os.fdopen(written, "wb")
        self.returncode: int | None = None

    @staticmethod
    def _become(command: Sequence[str], stdin: int, env: dict[str, str]) -> NoReturn:
        status = fleet.EXIT_CRASHED
        try:
            os.setsid()
            os.dup2(stdin, 0)
            os.closerange(3, MOST_FILES)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            os.environ.update(env)
            for handler in logging.getLogger().handlers[:]:
                logging.getLogger().removeHandler(handler)  # the process logs under its own name
            status = workers.main(list(command[4:]))
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else fleet.EXIT_CRASHED
        except BaseException:  # noqa: BLE001 - shown, as the interpreter does
            traceback.print_exc()
        finally:  # not by the way up through the fleet, which would end its processes
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


if __name__ == "__main__":
    for name in PRELOADED[sys.argv[1]]:
        importlib.import_module(name)
    gc.freeze()  # collections in a fork need not copy what is shared
    run(Forks(socket.socket(fileno=int(sys.argv[2]))).serve())
