import os
import signal
from contextlib import suppress


def end_with_worker(alive_fd: int, worker: int) -> None:
    """Have this process and all that it starts killed when the worker dies, which holds the other end of a pipe.

    It is done by a guard, a process outside of the group, whatever becomes of this one. The guard ends when the worker
    writes to the pipe, as it does once it has ended the group itself.
    """
    group = os.getpgrp()
    if os.getppid() != worker:
        os.killpg(group, signal.SIGKILL)
    between = os.fork()
    if between == 0:
        if os.fork() == 0:
            _guard(group, alive_fd)
        os._exit(0)
    os.waitpid(between, 0)  # the guard is no child of the code's, which may wait for all that it has
    os.close(alive_fd)


def _guard(group: int, alive_fd: int) -> None:
    try:
        os.setsid()
        os.closerange(0, alive_fd)
        os.closerange(alive_fd + 1, os.sysconf("SC_OPEN_MAX"))
        if not os.read(alive_fd, 1):
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
    finally:
        os._exit(0)
