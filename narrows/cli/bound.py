"""`python -m narrows.cli.bound PARENT COMMAND…` becomes a command that is asked to end when its parent dies.

However the parent dies, kill -9 included: it is the kernel that sends SIGTERM. Only Linux does; elsewhere the command
runs all the same.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
MODULE = __name__
"""This module, wherever the package is installed; as `python -m` runs it, it starts nothing."""


def bound(command: Sequence[str]) -> list[str]:
    """A command line that runs another one bound to this process. Its first word must be a path."""
    return [sys.executable, "-P", "-m", MODULE, str(os.getpid()), *command]


def main(parent: int, command: Sequence[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # outlives exec
        if os.getppid() != parent:  # it died before that
            return
    os.execv(command[0], list(command))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
