"""The process that runs a user's code. workers.user_code starts it and holds the other end of its socket.

The process knows nothing of the service and has no token: reports and requests of the code go to the worker as JSON
lines. It imports only the standard library and what the user's code imports.
"""

import os
import resource
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from typing import NoReturn

from workers.user_process.channel import Channel, Message
from workers.user_process.failures import STARTED_AGAIN, EntrypointError, RetryElsewhereError, failure_message
from workers.user_process.forked_code import ends_forks
from workers.user_process.forks import FORKS, end_fork, serve_forks
from workers.user_process.function import run_trial
from workers.user_process.guard import end_with_worker
from workers.user_process.output import flush_output, print_error


def main(socket_fd: int, tell_imports: Callable[[], None] = lambda: None) -> None:
    """Receive the start message, run the code and send its result; return when the worker has received that.

    `tell_imports` is called when the code is imported, and again when it has ended.
    """
    os.set_inheritable(socket_fd, False)
    channel = Channel(socket.socket(fileno=socket_fd))
    start = channel.receive()
    os.environ.update(start["environment"])
    for module in start["before_code"]:
        import_module(module)
    if start["code"] is not None:
        sys.path.insert(0, start["code"])
    sys.argv = [start["program"]]  # code that reads its options from there gets its defaults
    if start["memory_limit_mib"] is not None:
        n_bytes = start["memory_limit_mib"] * 1024**2
        resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, n_bytes))
    result = _result(start, channel, tell_imports)
    tell_imports()
    channel.send(result)
    channel.receive()  # the worker has read the result


def fork_for_trials(control_fd: int, state_fd: int) -> NoReturn:
    """Fork for each trial that the worker asks for; in a fork, run that trial. Ends with the worker."""
    fork = serve_forks(control_fd, state_fd)
    main(fork.connection, fork.tell_imports)
    end_fork()


def _result(start: Message, channel: Channel, found: Callable[[], None]) -> Message:
    try:
        with ends_forks():
            return run_trial(start, channel, found)
    except BaseException as error:  # noqa: BLE001 - sys.exit and Ctrl-C in the code end its trial as errors do
        message = failure_message(error)
        if message["call"] == "failed" and not _says_all(error):
            print_error(error)
        return message
    finally:
        flush_output()


def _says_all(error: BaseException) -> bool:
    """Whether a traceback would tell no more than the reason: it has no line of the user's code."""
    if isinstance(error, RetryElsewhereError):
        return False  # an import in the user's code may have failed
    return isinstance(error, SystemExit | EntrypointError)


if __name__ == "__main__":
    if len(sys.argv) == 1:  # Lightning's strategy "ddp", for one, starts the program of its process again
        sys.exit(STARTED_AGAIN)
    first, second, *others = sys.argv[1:]
    if first == FORKS:
        fork_for_trials(int(second), int(others[0]))
    else:
        end_with_worker(int(second), int(others[0]))
        main(int(first))
