"""A worker process does not outlive the fleet that started it, however the fleet ends."""

import os
import signal
import threading
import time

from workers.fleet.fleet import CRASHED, DRAIN_SECONDS


def end_with_parent(drain_seconds: float = DRAIN_SECONDS) -> None:
    """Ask this process to end when its stdin does: the fleet holds the other end of the pipe until it dies.

    A process that has not ended after `drain_seconds`, as a dead fleet can't kill it, ends with CRASHED.
    """

    def watch() -> None:
        # os.read, not sys.stdin: a buffered reader's lock, held by a thread, breaks the interpreter's shutdown.
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(drain_seconds)
        os._exit(CRASHED)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
