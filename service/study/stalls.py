"""Notices when the service stood still, so that workers are not charged for the time in which nobody heard them."""

import logging
import math
import time
from collections.abc import Callable

from service.clock import Clock

log = logging.getLogger(__name__)

BEAT_SECONDS = 0.5
MIN_STALL_SECONDS = 4 * BEAT_SECONDS


class StallDetector:
    """Tells since when the service has been listening without a stall.

    The event loop beats every BEAT_SECONDS. When a beat is late by a quarter of a lease's term (at least
    MIN_STALL_SECONDS), the service stood still: it was stopped, swapped out or busy. What workers sent meanwhile waits
    unread, so their leases must not end by that time.
    """

    def __init__(self, clock: Clock, term_seconds: float, seconds: Callable[[], float] = time.monotonic) -> None:
        """`clock` is the clock of lease terms; `seconds` measures the time between two beats."""
        self._clock = clock
        self._seconds = seconds
        self._max_gap = max(MIN_STALL_SECONDS, term_seconds / 4)
        self._last_beat: float | None = None
        self._listening_since = -math.inf

    def beat(self) -> None:
        """Note that the event loop runs now."""
        gap = self._note_stall()
        if gap > self._max_gap:
            log.warning("the service stood still for %.1f s: every lease gets a fresh term", gap)
        self._last_beat = self._seconds()

    def listening_since(self) -> float:
        """When the last stall ended, on the clock of lease terms; now during a stall, -inf if there was none."""
        self._note_stall()
        return self._listening_since

    def _note_stall(self) -> float:
        """The seconds since the last beat, after noting a stall if they are too many."""
        gap = 0.0 if self._last_beat is None else self._seconds() - self._last_beat
        if gap > self._max_gap:
            self._listening_since = self._clock.monotonic()
        return gap
