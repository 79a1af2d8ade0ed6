"""What a worker that runs users' code hides from it: its own environment and memory, where the token is."""

import ctypes
import os
import sys

TOKEN = "NARROWS_TOKEN"
PR_SET_DUMPABLE = 4


def take_token() -> str | None:
    """The token, which is then no longer in this process's environment, nor in what /proc shows of it."""
    token = os.environ.get(TOKEN)
    if token is not None:
        if sys.platform == "linux":
            _overwrite(TOKEN.encode() + b"=")
        del os.environ[TOKEN]
    return token or None


def close_memory() -> None:
    """Let no other process of the same user read this one's memory or files, as far as Linux can: root still may."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _overwrite(prefix: bytes) -> None:
    """Blank the value of a variable where the kernel put it: /proc/PID/environ is read from there."""
    strings = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
    index = 0
    while (address := strings[index]) is not None:
        found = ctypes.string_at(address)
        if found.startswith(prefix):
            ctypes.memset(address + len(prefix), ord("x"), len(found) - len(prefix))
        index += 1
