"""Limits that a process of its own sets on itself, before it does work that could exhaust the machine."""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1


def limit_memory(n_bytes: int) -> None:
    """Limit the memory of this process. Also forbid the core file that a signal would write."""
    resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def die_with(parent: int) -> None:
    """Let the kernel kill this process when the thread that started it ends, so also when its parent is killed.

    `parent` is the parent's process id. Only Linux does this.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before prctl
            sys.exit(1)
