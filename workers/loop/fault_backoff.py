from collections.abc import Callable

from workers.faults import Fault

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0


class FaultBackoff:
    """How long a worker leaves the next trials to other machines, when its own lacks what they need."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seconds = 0.0
        self._until = clock()

    @property
    def seconds_left(self) -> float:
        """0 when there is none."""
        return max(0.0, self._until - self._clock())

    def note_result(self, fault: Fault | None) -> None:
        """Twice as long after each fault of this machine, and none after a trial without any."""
        if fault is None:
            self._seconds = 0.0
        elif fault.retry and not fault.broken:
            self._seconds = min(LONGEST_SECONDS, max(FIRST_SECONDS, 2 * self._seconds))
            self._until = self._clock() + self._seconds
