"""What a worker process spends its time on."""

from collections.abc import Callable
from typing import Literal

Activity = Literal["training", "waiting", "idle"]


class Utilization:
    """Seconds of training, of waiting with a trial at hand, and of idling without one; the share of empty lanes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._activity: Activity = "waiting"
        self._since = clock()
        self._seconds: dict[Activity, float] = {"training": 0.0, "waiting": 0.0, "idle": 0.0}
        self._waiting_taken = 0.0
        self._lane_seconds = 0.0
        self._empty_lane_seconds = 0.0

    def switch(self, activity: Activity) -> float:
        """Begin an activity. Returns the seconds that the one before it took."""
        now = self._clock()
        passed = now - self._since
        self._seconds[self._activity] += passed
        self._activity, self._since = activity, now
        return passed

    def note_lanes(self, seconds: float, n_trained: int, n_empty: int) -> None:
        """Count the lanes that trained, and those that were empty although there may have been a trial for them."""
        self._lane_seconds += seconds * (n_trained + n_empty)
        self._empty_lane_seconds += seconds * n_empty

    def seconds(self, activity: Activity) -> float:
        """Seconds of an activity up to now."""
        self.switch(self._activity)
        return self._seconds[activity]

    def take_waiting(self) -> float:
        """Seconds of waiting since the last call, so that each second is counted for one trial."""
        waiting = self.seconds("waiting") - self._waiting_taken
        self._waiting_taken += waiting
        return waiting

    def __str__(self) -> str:
        training, waiting, idle = (self.seconds(activity) for activity in ("training", "waiting", "idle"))
        busy = training + waiting
        share = f" ({waiting / busy:.1%} of both)" if busy else ""
        empty = self._empty_lane_seconds / self._lane_seconds if self._lane_seconds else 0.0
        return (
            f"{training:.1f} s training, {waiting:.1f} s waiting{share}, {idle:.1f} s idle, {empty:.1%} of lanes empty"
        )
