"""Runs work that could stop or exhaust the service in a process of its own, with limits on its time and memory."""

import resource
import subprocess
import sys
from dataclasses import dataclass


class OwnProcessError(Exception):
    """The process reached one of its limits or ended with an error. The message is the end of its standard error."""


@dataclass(frozen=True)
class Limits:
    """Limits of a process: its time in seconds and its memory in bytes."""

    seconds: float
    memory_bytes: int


def call_apart(module: str, given: bytes, limits: Limits) -> bytes:
    """Run a module that reads `given` from its standard input, and return its standard output.

    It blocks until the process has ended. The module calls `limit_memory` first. Raises OwnProcessError.
    """
    command = [sys.executable, "-P", "-m", module, str(limits.memory_bytes)]
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=limits.seconds, check=True)
    except subprocess.TimeoutExpired as error:
        raise OwnProcessError(f"it took longer than {limits.seconds:g} s") from error
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        raise OwnProcessError(lines[-1] if lines else f"it ended with status {error.returncode}") from error
    except OSError as error:  # no memory or no process is left on the machine
        raise OwnProcessError(f"it could not be started: {error.strerror}") from error
    return done.stdout


def limit_memory() -> None:
    """Limit the memory of this process to the number of bytes that is its only argument."""
    n_bytes = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))
