"""The clock that the service reads, passed in so that tests control it."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A wall clock for timestamps and a monotonic clock for lease terms and timeouts."""

    def now(self) -> datetime:
        """The current time, aware UTC."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never decreases."""


class SystemClock:
    """The clock of the operating system."""

    def now(self) -> datetime:
        """The current time, aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never decreases."""
        return time.monotonic()
