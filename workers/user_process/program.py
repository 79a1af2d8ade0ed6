"""Become the program of a command: started by workers.user_code.commands, in the process of a trial.

It runs with no more of Python than the standard library, so that it costs a trial a few hundredths of a second.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from workers.user_process.guard import end_with_worker


def main(arguments: Sequence[str]) -> NoReturn:
    """Become the program in `arguments`, after four numbers.

    These are two open files, the socket to the worker and the pipe that ends with it, the worker's process id, and the
    memory limit in MiB, 0 for none. A program that cannot be started is told over the socket, with exit status 127.
    """
    socket_fd, alive_fd, parent_pid, memory_limit_mib = map(int, arguments[:4])
    command = list(arguments[4:])
    os.set_inheritable(socket_fd, False)  # it ends when the program begins
    end_with_worker(alive_fd, parent_pid)
    if memory_limit_mib:
        n_bytes = memory_limit_mib * 1024**2
        resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, n_bytes))
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a program would inherit that
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        reason = f"the program {command[0]!r} cannot be started: {error.strerror}"
        os.write(socket_fd, json.dumps({"call": "failed", "reason": reason, "retry": True}).encode() + b"\n")
    sys.exit(127)
