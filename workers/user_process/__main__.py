"""The process that runs a user's code. workers.user_code starts it and holds the other end of its socket.

The process knows nothing of the service and has no token: reports and requests of the code go to the worker as JSON
lines. It imports only the standard library and what the user's code imports.
"""

import os
import resource
import socket
import sys
import traceback
from importlib import import_module

from workers.user_process.channel import Channel, Message
from workers.user_process.failures import STARTED_AGAIN, failure_message
from workers.user_process.function import run_trial
from workers.user_process.guard import end_with_worker


def main(socket_fd: int, alive_fd: int, worker_pid: int) -> None:
    """Receive the start message, run the code and send its result; return when the worker has received that."""
    os.set_inheritable(socket_fd, False)
    end_with_worker(alive_fd, worker_pid)
    channel = Channel(socket.socket(fileno=socket_fd))
    start = channel.receive()
    for module in start["before_code"]:
        import_module(module)
    if start["code"] is not None:
        sys.path.insert(0, start["code"])
    sys.argv = [start["program"]]  # code that reads its options from there gets its defaults
    if start["memory_limit_mib"] is not None:
        n_bytes = start["memory_limit_mib"] * 1024**2
        resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, n_bytes))
    channel.send(_result(start, channel))
    channel.receive()  # the worker has read the result


def _result(start: Message, channel: Channel) -> Message:
    try:
        return run_trial(start, channel)
    except BaseException as error:  # noqa: BLE001 - sys.exit and Ctrl-C in the code end its trial as errors do
        message = failure_message(error)
        if message["call"] == "failed" and not isinstance(error, SystemExit):
            traceback.print_exc()
        return message
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    if len(sys.argv) == 1:  # Lightning's strategy "ddp", for one, starts the program of its process again
        sys.exit(STARTED_AGAIN)
    main(*map(int, sys.argv[1:]))
