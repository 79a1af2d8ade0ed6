"""Hides the token from the users' code that a worker runs: in the worker's environment and memory."""

import ctypes
import os
import sys

TOKEN = "NARROWS_TOKEN"
PR_SET_DUMPABLE = 4


def take_token() -> str | None:
    """Returns the token, or None, and removes it from this process's environment and from what /proc shows of that."""
    token = os.environ.get(TOKEN)
    if token is not None:
        if sys.platform == "linux":
            _overwrite(TOKEN.encode() + b"=")
        del os.environ[TOKEN]
    return token or None


def close_memory() -> None:
    """Forbid other processes of the same user to read this one's memory; Linux only, and root still may."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _overwrite(prefix: bytes) -> None:
    """Overwrite the value of a variable in the memory from which the kernel serves /proc/PID/environ."""
    strings = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
    index = 0
    while (address := strings[index]) is not None:
        entry = ctypes.string_at(address)
        if entry.startswith(prefix):
            ctypes.memset(address + len(prefix), ord("x"), len(entry) - len(prefix))
        index += 1
