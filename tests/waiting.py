"""How tests wait for other threads and processes: as long as a busy machine may need, and never by the clock alone."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 300.0
"""After this time a test fails, when something that must happen has not happened. It is far longer than anything takes
on an idle machine, so the speed of the machine does not decide a test."""


def until(condition: Callable[[], object], what: str = "what must become true", *, poll_seconds: float = 0.02) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: it does not hold after PATIENCE_SECONDS. The text says `what`.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS:g} seconds: {what}"
        time.sleep(poll_seconds)
