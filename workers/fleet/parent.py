"""Ends a worker process when the fleet that started it has died."""

import os
import signal
import threading
import time

from workers.fleet.fleet import DRAIN_SECONDS, EXIT_CRASHED


def end_with_parent(alive: int, drain_seconds: float = DRAIN_SECONDS) -> None:
    """Send this process SIGTERM when the pipe `alive` ends, that is, when the fleet at its other end has died.

    If it has not ended `drain_seconds` later, it exits with EXIT_CRASHED: a dead fleet cannot kill it.
    """

    def watch() -> None:
        while os.read(alive, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(drain_seconds)
        os._exit(EXIT_CRASHED)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
