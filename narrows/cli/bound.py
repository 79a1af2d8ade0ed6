"""Run a command that receives SIGTERM when its parent process dies: `python -m narrows.cli.bound PARENT COMMAND…`.

The kernel sends the signal, so it also comes after kill -9. Only Linux does this; elsewhere the command just runs.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
MODULE = __name__
"""The import name of this module, which differs between a checkout and a wheel."""


def bound(command: Sequence[str]) -> list[str]:
    """Return the command line that runs `command` bound to this process. The first word of `command` must be a path."""
    return [sys.executable, "-P", "-m", MODULE, str(os.getpid()), *command]


def become(parent: int, command: Sequence[str]) -> None:
    """Replace this process by the command; return without running it if the parent has already ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # outlives exec
        if os.getppid() != parent:  # the parent died before prctl
            return
    os.execv(command[0], list(command))


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
