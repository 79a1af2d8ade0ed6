"""The processor time of every turn of a running application's event loop, in a unit of this machine."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.testclient import TestClient

HANDLE: Any = asyncio.Handle
RUN = HANDLE._run


class Turns:
    """The longest turn so far, in seconds of its thread's processor time: how busy the machine is does not count."""

    longest = 0.0

    def note(self, seconds: float) -> None:
        self.longest = max(self.longest, seconds)


@contextmanager
def measured_turns(http: TestClient) -> Iterator[Turns]:
    """Measure every callback that the application's event loop runs during the block."""
    assert http.portal is not None, "the client is open"
    loop_thread = http.portal.call(threading.get_ident)
    turns = Turns()

    def run(handle: asyncio.Handle) -> None:
        started = time.thread_time()
        RUN(handle)
        if threading.get_ident() == loop_thread:
            turns.note(time.thread_time() - started)

    HANDLE._run = run
    try:
        yield turns
    finally:
        HANDLE._run = RUN


def unit_seconds() -> float:
    """The processor time that this machine needs for a fixed piece of Python: about a hundredth of a second."""

    def work() -> float:
        started = time.thread_time()
        total = 0
        for index in range(100_000):
            total += len(str(index))
        return time.thread_time() - started

    return min(work() for _ in range(5))
