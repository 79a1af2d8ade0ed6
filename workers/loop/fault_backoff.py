"""How long a worker claims nothing after faults of its own machine."""

from collections.abc import Callable

from workers.faults import Fault

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0


class FaultBackoff:
    """Leaves the next trials to other machines for a while, when this machine lacks what a trial needs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seconds = 0.0
        self._until = clock()

    @property
    def seconds_left(self) -> float:
        """How much longer to claim nothing; 0 for not at all."""
        return max(0.0, self._until - self._clock())

    def note_result(self, fault: Fault | None) -> None:
        """Double the back-off after a fault of this machine; None, for a trial without a fault, resets it."""
        if fault is None:
            self._seconds = 0.0
        elif fault.retry and not fault.broken:
            self._seconds = min(LONGEST_SECONDS, max(FIRST_SECONDS, 2 * self._seconds))
            self._until = self._clock() + self._seconds
