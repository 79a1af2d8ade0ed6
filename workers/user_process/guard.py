"""Guard processes that kill the code's processes when the worker dies.

The worker holds one end of a pipe for each trial, which closes when it dies. A guard reads from the other end; it runs
outside of the trial's process group, so it works whatever becomes of the trial. It kills nothing when the worker writes
to the pipe, which the worker does once it has ended the group itself.
"""

import os
import select
import signal
import socket
from contextlib import suppress

MAX_BYTES = 64
"""Bytes of a message to a guard of several trials: a process id."""


def end_with_worker(alive_fd: int, parent_pid: int) -> None:
    """Have this process and all processes that it starts killed when the worker, its parent, dies.

    `alive_fd` is the pipe's end for the guard.
    """
    group = os.getpgrp()
    if os.getppid() != parent_pid:
        os.killpg(group, signal.SIGKILL)
    between = os.fork()
    if between == 0:
        if os.fork() == 0:
            _guard_one(group, alive_fd)
        os._exit(0)
    os.waitpid(between, 0)  # the guard is not a child of this process: the code may wait for all of its children
    os.close(alive_fd)


def start_guard() -> int:
    """Start a guard for the trials that this process will fork, and return the file over which it hears of them.

    It is started while this process is small: a guard of its own for each trial would be two more forks of all that the
    process has imported. It ends once the file is closed everywhere and its last trial has ended.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        _guard_many(theirs.fileno())
    theirs.close()
    return ours.detach()


def guard_fork(guard_fd: int, pid: int, alive_fd: int) -> None:
    """Have a guard kill the group of a new fork, which has its number, when the worker dies. Raises OSError."""
    with socket.socket(fileno=os.dup(guard_fd)) as guard:
        socket.send_fds(guard, [str(pid).encode()], [alive_fd])


def _guard_one(group: int, alive_fd: int) -> None:
    try:
        _leave_all_but(alive_fd)
        _end_if_worker_died(group, alive_fd)
    finally:
        os._exit(0)


def _guard_many(control_fd: int) -> None:
    try:
        _leave_all_but(control_fd)
        groups: dict[int, int] = {}
        poll = select.poll()
        poll.register(control_fd, select.POLLIN)
        is_open = True
        with socket.socket(fileno=control_fd) as control:
            while is_open or groups:
                for file, _ in poll.poll():
                    if file in groups:
                        poll.unregister(file)
                        _end_if_worker_died(groups.pop(file), file)
                        os.close(file)
                        continue
                    text, files, _, _ = socket.recv_fds(control, MAX_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
                    if not text:
                        poll.unregister(control_fd)
                        is_open = False
                    for alive_fd in files:
                        groups[alive_fd] = int(text)
                        poll.register(alive_fd, select.POLLIN)
    finally:
        os._exit(0)


def _leave_all_but(file: int) -> None:
    os.setsid()
    os.closerange(0, file)
    os.closerange(file + 1, os.sysconf("SC_OPEN_MAX"))


def _end_if_worker_died(group: int, alive_fd: int) -> None:
    if not os.read(alive_fd, 1):
        for kill in (os.killpg, os.kill):  # a fork that has just begun is not in a group of its own yet
            with suppress(ProcessLookupError):
                kill(group, signal.SIGKILL)
