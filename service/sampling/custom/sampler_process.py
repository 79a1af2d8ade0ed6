"""A process in which a custom sampler runs: started, asked with a time limit, and killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from service.sampling.custom import inside
from service.sampling.custom.errors import CustomSamplerError, SamplerEndedError
from service.sampling.custom.messages import receive, send

MAX_ANSWER_BYTES = 4 * 1024**2
MAX_OUTPUT_BYTES = 8 * 1024
"""How much of what a sampler has printed last is kept, for the log."""
OUTPUT_PAUSE_SECONDS = 0.01
"""Pause between two reads of its output: a sampler that prints without end must not keep the service busy."""
GRACE_SECONDS = 0.5
END_SECONDS = 5.0
OURS = ("NARROWS_", "AWS_", "PG")
SECRETS = ("TOKEN", "SECRET", "PASSW", "CREDENTIAL", "API_KEY")


def sampler_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The service's environment without its own settings, and without what looks like a secret."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(OURS) and not any(word in name.upper() for word in SECRETS)
    }


class SamplerProcess:
    """One process. `kill` may be called by any thread, the other methods by one thread at a time."""

    def __init__(self, memory_bytes: int) -> None:
        """Start it. Raises SamplerEndedError if the machine lacks a process or memory."""
        self._memory_bytes = memory_bytes
        self._channel, theirs = socket.socketpair()
        self._asking = threading.Lock()
        """Is held while the channel is used: only its holder closes it."""
        self._output = b""
        self._started = threading.Event()
        self._failure: OSError | None = None
        self._process: subprocess.Popen[bytes] | None = None
        # The kernel kills the process when the thread ends that has started it, so that thread stays until its end.
        self._thread = threading.Thread(target=self._keep, args=[theirs], name="narrows-custom-sampler", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._channel.close()
            raise SamplerEndedError(f"its process could not be started: {self._failure.strerror}")

    def _keep(self, theirs: socket.socket) -> None:
        """Start the process, keep the end of what it prints, and wait for its end."""
        command = [sys.executable, "-P", "-m", inside.__name__]
        arguments = map(str, (theirs.fileno(), self._memory_bytes, os.getpid()))
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [*command, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=[theirs.fileno()],
                    env=sampler_environment(os.environ),
                    start_new_session=True,
                )
        except OSError as error:
            self._failure = error
            return
        finally:
            self._started.set()
        assert self._process.stdout is not None
        with self._process.stdout as output:
            while part := os.read(output.fileno(), 64 * 1024):
                self._output = (self._output + part)[-MAX_OUTPUT_BYTES:]
                time.sleep(OUTPUT_PAUSE_SECONDS)
        self._process.wait()

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process is not None
        return self._process.pid

    def ask(self, messages: Iterable[bytes], seconds: float, limit_seconds: float | None = None) -> dict[str, Any]:
        """Send messages, of which the last one is answered within `seconds`, and return the answer.

        `limit_seconds` is the limit of which these are what is left. Raises SamplerEndedError if the process has ended
        or is killed because this took too long, and CustomSamplerError with the sampler's own error.
        """
        with self._asking:
            return self._answer(messages, seconds, limit_seconds or seconds)

    def _answer(self, messages: Iterable[bytes], seconds: float, limit_seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        try:
            for message in messages:
                send(self._channel, message, deadline)
            answer: dict[str, Any] = json.loads(receive(self._channel, MAX_ANSWER_BYTES, deadline))
        except TimeoutError as error:
            self._end(grace_seconds=0)
            raise SamplerEndedError(f"it took longer than {limit_seconds:g} s", self._text()) from error
        except (OSError, EOFError) as error:
            raise SamplerEndedError(self._end(), self._text()) from error
        except ValueError as error:
            self._end(grace_seconds=0)
            raise SamplerEndedError(str(error), self._text()) from error
        if answer.get("lacks_memory"):
            self._end(grace_seconds=0)
            limit = f"it needs more than {self._memory_bytes / 1024**2:,.0f} MiB of memory"
            raise SamplerEndedError(f"{limit}: {answer['error']}", answer["details"])
        if "error" in answer:
            raise CustomSamplerError(answer["error"], answer["details"])
        return answer

    def kill(self) -> None:
        """Kill the process, with those that it has started."""
        with suppress(ProcessLookupError):
            if self._process is not None and self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        if self._asking.acquire(blocking=False):  # otherwise the thread that asks closes it
            self._channel.close()
            self._asking.release()

    def _end(self, grace_seconds: float = GRACE_SECONDS) -> str:
        """Kill the process if it does not end by itself, and say in words how it has ended."""
        self._channel.close()
        self._thread.join(grace_seconds)
        self.kill()
        self._thread.join(END_SECONDS)
        status = None if self._process is None else self._process.returncode
        if status is None:
            return "its process does not end"
        if status < 0:
            memory = ", as when the machine's memory is used up" if status == -signal.SIGKILL else ""
            return f"its process was ended by {signal.Signals(-status).name}{memory}"
        return f"its process ended with status {status}"

    def _text(self) -> str:
        return self._output.decode(errors="replace").strip()
