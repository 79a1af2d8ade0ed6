"""The longest step of Python code, during which no other thread of its process goes on."""

import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Steps:
    """The longest step so far, in seconds of processor time, and what it ended with."""

    longest = 0.0
    name = ""

    def note(self, seconds: float, name: str) -> None:
        if seconds > self.longest:
            self.longest, self.name = seconds, name


@contextmanager
def measured_steps() -> Iterator[Steps]:
    """Measure the time between any two calls or returns of the present thread during the block.

    The interpreter may change to another thread when Python code is called, but not within a function in C.
    """
    steps = Steps()
    last = time.thread_time()

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal last
        name = argument.__name__ if event.startswith("c_") else frame.f_code.co_name
        steps.note(time.thread_time() - last, f"{event} {name}")
        last = time.thread_time()

    gc.disable()
    last = time.thread_time()
    sys.setprofile(note)
    try:
        yield steps
    finally:
        sys.setprofile(None)
        gc.enable()
