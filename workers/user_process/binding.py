import ctypes
import os
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1


def end_with_worker(alive_fd: int, worker: int) -> None:
    """Kill this process and all that it starts when the worker dies, which holds the other end of a pipe.

    Where the code never lets another thread run, it is Linux that kills this process.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != worker:
        _kill()

    def watch() -> None:
        while os.read(alive_fd, 1):
            pass
        _kill()

    threading.Thread(target=watch, name="narrows-alive", daemon=True).start()


def _kill() -> None:
    os.killpg(os.getpgrp(), signal.SIGKILL)
