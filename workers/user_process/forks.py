"""The process that forks for each trial, so that trials of the same code import installed packages only once.

It imports the installed packages that the user's files name, and later those that trials have imported besides; never
the user's own files. It starts itself
again, with nothing imported, when a fork would not be what a new process is: after an import that starts threads or
opens the accelerator, and after a change of an imported file.
"""

import atexit
import gc
import io
import json
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from workers.user_process import imports
from workers.user_process.guard import guard_fork, start_guard
from workers.user_process.output import flush_output, tell

FORKS = "forks"
"""First argument of this process."""
MAX_MESSAGE_BYTES = 256 * 1024
IMPORTING_SECONDS = 60.0
"""How long a trial waits at most for the imports before it, which it would have to make itself."""
N_FILES = 3
"""With a request to start: the process's end of its socket, its lifeline, and the pipe for its output."""


@dataclass
class State:
    """What the process keeps when it starts itself again."""

    code: str | None
    """The folder with the user's modules."""
    modules: list[str] = field(default_factory=list)
    """Modules to import ahead."""
    left_out: list[str] = field(default_factory=list)
    """Modules that are not imported ahead, nor are their submodules."""
    imports_nothing: bool = False
    """Nothing is imported ahead, because a module of the user has the name of an installed one."""
    sentences: list[str] = field(default_factory=list)
    """To be told in the output of the next trial."""
    guard: int | None = None
    """The file over which the guard of the forks hears of them; None until it is started."""
    request: dict[str, Any] | None = None
    """A request to start a trial that has come already, with its files."""

    def to_file(self) -> int:
        """An open file with this state in it."""
        file = os.memfd_create("state", 0)
        os.write(file, json.dumps(asdict(self)).encode())
        os.lseek(file, 0, os.SEEK_SET)
        return file


@dataclass(frozen=True)
class Fork:
    """A fork for one trial: its socket, and whom it tells of its imports."""

    connection: int
    learned: socket.socket
    """Where the names of newly imported modules go."""
    known: frozenset[str]
    """Modules that were imported before the fork."""

    def tell_imports(self) -> None:
        """Send the names of the modules that this process has imported, to be imported ahead for later trials."""
        imports.tell_installed(self.learned, self.known)


class Forks:
    """Serves the worker's requests over the socket `control`: to start a trial's process, and to reap it."""

    def __init__(self, control: socket.socket, state: State) -> None:
        self._control = control
        self._state = state
        self._own = frozenset(sys.modules)
        self._versions: dict[str, imports.Version] = {}
        self._waiting = deque(state.modules)
        self._learned, self._teaching = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._guard = start_guard() if state.guard is None else state.guard
        os.set_inheritable(self._guard, False)

    def serve(self) -> Fork:
        """Serve until the worker closes the socket. Returns only in a fork."""
        deadline = time.monotonic() + IMPORTING_SECONDS
        while self._waiting and time.monotonic() < deadline:
            self._import_next()
        if self._state.request is not None:
            request, self._state.request = self._state.request, None
            if (fork := self._start(request)) is not None:
                return fork
        while True:
            ready, _, _ = select.select([self._control, self._learned], [], [], 0 if self._waiting else None)
            if self._control in ready:
                text, files, _, _ = socket.recv_fds(self._control, MAX_MESSAGE_BYTES, N_FILES, socket.MSG_CMSG_CLOEXEC)
                if not text:
                    os._exit(0)
                request = json.loads(text)
                if request["call"] == "reap":
                    self._reap(request["pid"])
                    continue
                self._start_again_if_stale({**request, "files": files})
                if (fork := self._start({**request, "files": files})) is not None:
                    return fork
            elif self._learned in ready:
                self._learn(imports.names_in(self._learned.recv(imports.MAX_BYTES)))
            elif self._waiting:
                self._import_next()

    def _learn(self, names: list[str]) -> None:
        if not self._state.imports_nothing:
            known = set(self._state.modules)
            new = [name for name in names if name not in known]
            self._state.modules += new
            self._waiting += new

    def _import_next(self) -> None:
        name = self._waiting.popleft()
        if name not in sys.modules and not self._is_left_out(name):
            imports.import_ahead(name)
            if (reason := imports.unsafe_to_fork()) is not None:
                self._state.left_out.append(name)
                self._state.sentences.append(f"each trial imports {name} anew, because it {reason} when it is imported")
                self._start_again()
        if not self._waiting:
            self._versions = imports.file_versions(set(sys.modules) - self._own)
            imports.keep_finalizers_to_this_process()
            gc.collect()
            gc.freeze()  # collections in a fork need not copy what is shared

    def _is_left_out(self, name: str) -> bool:
        return any(name == other or name.startswith(f"{other}.") for other in self._state.left_out)

    def _start_again_if_stale(self, request: dict[str, Any]) -> None:
        """Start again if an imported file has changed, or if the user's code would find another module now."""
        self._state.request = request
        code = self._state.code
        name = None if code is None else imports.shadowed(set(sys.modules) - self._own, Path(code))
        if name is not None:
            self._state.modules.clear()
            self._state.imports_nothing = True
            self._state.sentences.append(
                f"each trial imports all packages anew, because the module {name} in --code has the name of one that "
                "they use"
            )
            self._start_again()
        if imports.changed_file(self._versions) is not None:
            self._start_again()
        self._state.request = None

    def _start_again(self) -> NoReturn:
        self._state.guard = self._guard
        state = self._state.to_file()
        carried = self._state.request["files"] if self._state.request is not None else []
        for file in (self._control.fileno(), self._guard, state, *carried):
            os.set_inheritable(file, True)
        os.execv(sys.executable, [*sys.orig_argv[:-2], str(self._control.fileno()), str(state)])

    def _start(self, request: dict[str, Any]) -> Fork | None:
        """Fork, and answer with the fork's id and a file that is readable once it has ended. None in this process."""
        connection, alive, output = request["files"]
        known = frozenset(sys.modules)
        pid = os.fork()
        if pid == 0:
            os.setsid()
            os.close(alive)
            self._become(request["folder"], output)
            return Fork(connection, self._teaching, known)
        guard_fork(self._guard, pid, alive)  # before the answer, without which the worker starts no code
        for file in request["files"]:
            os.close(file)
        self._state.sentences.clear()
        ended = os.pidfd_open(pid)
        self._answer({"pid": pid}, [ended])
        os.close(ended)
        return None

    def _become(self, folder: str, output: int) -> None:
        """Make this fork what a new process would be."""
        self._control.close()
        self._learned.close()
        os.close(self._guard)
        os.chdir(folder)
        for number in (1, 2):
            os.dup2(output, number)
        os.close(output)
        tempfile.tempdir = None
        if (numpy := sys.modules.get("numpy.random")) is not None:
            numpy.seed()  # its generator would go on from the same state in each fork
        if (process := sys.modules.get("multiprocessing.process")) is not None:
            process.ORIGINAL_DIR = folder  # type: ignore[attr-defined]
        for sentence in self._state.sentences:
            tell(sentence)

    def _reap(self, pid: int) -> None:
        _, status = os.waitpid(pid, 0)
        self._answer({"status": os.waitstatus_to_exitcode(status)}, [])

    def _answer(self, message: dict[str, Any], files: list[int]) -> None:
        with suppress(BrokenPipeError):  # the worker is gone, which the next read shows
            socket.send_fds(self._control, [json.dumps(message).encode()], files)


def serve_forks(control: int, state: int) -> Fork:
    """Fork for each request that comes over the socket. Returns only in a fork. The state is in an open file."""
    os.set_inheritable(control, False)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with os.fdopen(state, "rb") as file:
        return Forks(socket.socket(fileno=control), State(**json.load(file))).serve()


def end_fork(status: int = 0) -> NoReturn:
    """End this fork as an interpreter ends, except that the modules imported before the fork are not taken apart.

    That takes long, and packages that look for leaks would find all that `gc.freeze` has kept from them. What the
    packages have made in the process that forks stays, because later forks use it.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as the end of multiprocessing's forks does
    atexit._run_exitfuncs()
    for thing in gc.get_objects():  # those that are younger than the fork
        # isinstance would ask other objects for __class__, which runs code of theirs.
        if issubclass(type(thing), io.TextIOWrapper | io.BufferedWriter | io.BufferedRandom):
            with suppress(Exception):  # a closed pipe or file, or a class of the code's own
                thing.flush()
    flush_output()
    os._exit(status)
