from collections.abc import Callable
from typing import Literal

Use = Literal["training", "waiting", "idle"]


class Utilization:
    """Where a worker's seconds go: training, waiting with a trial at hand, or idle without one; and its lanes'."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._use: Use = "waiting"
        self._since = clock()
        self._seconds: dict[Use, float] = {"training": 0.0, "waiting": 0.0, "idle": 0.0}
        self._waiting_taken = 0.0
        self._lane_seconds = 0.0
        self._empty_lane_seconds = 0.0

    def switch(self, use: Use) -> float:
        """Returns the seconds of the use that ends."""
        now = self._clock()
        passed = now - self._since
        self._seconds[self._use] += passed
        self._use, self._since = use, now
        return passed

    def note_lanes(self, seconds: float, n_trained: int, n_empty: int) -> None:
        """So many lanes trained for so long, while so many more had no trial although there may have been one."""
        self._lane_seconds += seconds * (n_trained + n_empty)
        self._empty_lane_seconds += seconds * n_empty

    def seconds(self, use: Use) -> float:
        self.switch(self._use)
        return self._seconds[use]

    def take_waiting(self) -> float:
        """Seconds waited since this was last asked, so that every one is counted for one trial."""
        waiting = self.seconds("waiting") - self._waiting_taken
        self._waiting_taken += waiting
        return waiting

    def __str__(self) -> str:
        training, waiting, idle = (self.seconds(use) for use in ("training", "waiting", "idle"))
        busy = training + waiting
        share = f" ({waiting / busy:.1%} of both)" if busy else ""
        empty = self._empty_lane_seconds / self._lane_seconds if self._lane_seconds else 0.0
        return (
            f"{training:.1f} s training, {waiting:.1f} s waiting{share}, {idle:.1f} s idle, {empty:.1%} of lanes empty"
        )
