"""A guard process that kills the code's processes when the worker dies."""

import os
import signal
from contextlib import suppress


def end_with_worker(alive_fd: int, parent_pid: int) -> None:
    """Have this process and all processes that it starts killed when the worker dies.

    The worker holds the other end of the pipe `alive_fd`, which closes when it dies. A guard reads from the pipe; it
    runs outside of this process group, so it works whatever becomes of this process. It ends without killing anything
    when the worker writes to the pipe, which the worker does once it has ended the group itself. `parent_pid` is the
    process that has started this one: the worker, or one that forks for it.
    """
    group = os.getpgrp()
    if os.getppid() != parent_pid:
        os.killpg(group, signal.SIGKILL)
    between = os.fork()
    if between == 0:
        if os.fork() == 0:
            _guard(group, alive_fd)
        os._exit(0)
    os.waitpid(between, 0)  # the guard is not a child of this process: the code may wait for all of its children
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
