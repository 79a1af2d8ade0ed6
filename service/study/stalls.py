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
    """Tells since when the service has been answering without a stall.

    The event loop beats every BEAT_SECONDS. When a beat is late by a quarter of a lease's term (at least
    MIN_STALL_SECONDS), the service stood still: it was stopped, swapped out or busy. What workers sent meanwhile waits
    unread, so their leases must not end by that time. The same holds for a database that takes as long for a write:
    what workers send then waits unanswered.
    """

    def __init__(
        self,
        clock: Clock,
        term_seconds: float,
        writing_seconds: Callable[[], float],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is the clock of lease terms; `seconds` measures the time between two beats.

        `writing_seconds` tells for how long the present write has been waiting for the database; 0 without one.
        """
        self._clock = clock
        self._writing_seconds = writing_seconds
        self._seconds = seconds
        self.max_gap = max(MIN_STALL_SECONDS, term_seconds / 4)
        """Seconds; a longer gap between beats, or a longer write, is a stall."""
        self._last_beat: float | None = None
        self._listening_since = -math.inf

    def beat(self) -> None:
        """Note that the event loop runs now."""
        gap = self._note_stall()
        if gap > self.max_gap:
            log.warning("the service stood still for %.1f s: every lease gets a fresh term", gap)
        self._last_beat = self._seconds()

    def listening_since(self) -> float:
        """When the last stall ended, on the clock of lease terms; now during a stall, -inf if there was none."""
        self._note_stall()
        return self._listening_since

    def _note_stall(self) -> float:
        """The seconds since the last beat, after noting a stall if they are too many."""
        gap = 0.0 if self._last_beat is None else self._seconds() - self._last_beat
        if max(gap, self._writing_seconds()) > self.max_gap:
            self._listening_since = self._clock.monotonic()
        return gap
