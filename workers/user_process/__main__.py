"""The process of one trial of a user's own code. Started by workers.user_code, which has the other ends.

It knows nothing of the service and has no token: what the code reports and asks for goes to the worker as JSON lines.
It imports nothing but the standard library, and what the user's code imports.
"""

import os
import resource
import socket
import sys
import traceback
from importlib import import_module

from workers.user_process.binding import end_with_worker
from workers.user_process.channel import Channel
from workers.user_process.function import Outcome, call, failure


def main(socket_fd: int, alive_fd: int, worker: int) -> None:
    os.set_inheritable(socket_fd, False)
    end_with_worker(alive_fd, worker)
    channel = Channel(socket.socket(fileno=socket_fd))
    start = channel.receive()
    for module in start["before_code"]:
        import_module(module)
    if start["code"] is not None:
        sys.path.insert(0, start["code"])
    if start["memory_limit_mib"] is not None:
        n_bytes = start["memory_limit_mib"] * 1024**2
        resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, n_bytes))
    channel.send(_outcome(start, channel))
    channel.receive()  # the worker has read it


def _outcome(start: dict[str, object], channel: Channel) -> Outcome:
    try:
        return call(start, channel)
    except BaseException as error:  # noqa: BLE001 - sys.exit and Ctrl-C of the code end its trial as errors do
        outcome = failure(error)
        if outcome["call"] == "failed":
            traceback.print_exc()
        return outcome
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
