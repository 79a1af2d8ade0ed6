"""What a worker process spends its time on."""

import time
from collections.abc import Callable
from typing import Literal, get_args

from service.schemas.worker_seconds import WorkerSeconds

Activity = Literal["training", "idle", "start", "claims", "data", "reports", "checkpoints", "other"]
"""start: until the first claim. claims: waiting for trials that there may be. data: loading trials and their data.
reports: passing results on, and waiting for decisions. idle: without a trial, and waiting for the next."""

OVERHEAD: tuple[Activity, ...] = tuple(name for name in get_args(Activity) if name not in ("training", "idle"))
"""The activities that are neither training nor idling."""


class Utilization:
    """Seconds of each activity, and the share of empty lanes. `started_at`: when the process began, by the clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, started_at: float | None = None) -> None:
        self._clock = clock
        self._activity: Activity = "start"
        self._started_at = clock() if started_at is None else started_at
        self._since = self._started_at
        self.training_after: float | None = None
        """Seconds from the beginning of the process to its first training."""
        self._seconds: dict[Activity, float] = dict.fromkeys(get_args(Activity), 0.0)
        self._overhead_taken = 0.0
        self._lane_seconds = 0.0
        self._empty_lane_seconds = 0.0

    def switch(self, activity: Activity) -> float:
        """Begin an activity. Returns the seconds that the one before it took."""
        now = self._clock()
        passed = now - self._since
        self._seconds[self._activity] += passed
        self._activity, self._since = activity, now
        if activity == "training" and self.training_after is None:
            self.training_after = now - self._started_at
        return passed

    def note_lanes(self, seconds: float, n_trained: int, n_empty: int) -> None:
        """Count the lanes that trained, and those that were empty although there may have been a trial for them."""
        self._lane_seconds += seconds * (n_trained + n_empty)
        self._empty_lane_seconds += seconds * n_empty

    def seconds(self) -> dict[Activity, float]:
        """Seconds of each activity up to now. Any thread may ask."""
        activity, since = self._activity, self._since
        return {**self._seconds, activity: self._seconds[activity] + max(0.0, self._clock() - since)}

    def worker_seconds(self) -> WorkerSeconds:
        """The same for the service, with the lanes. Any thread may ask."""
        lanes = {"used_lanes": self._lane_seconds - self._empty_lane_seconds, "empty_lanes": self._empty_lane_seconds}
        return WorkerSeconds.model_validate({**self.seconds(), **lanes})

    def take_overhead(self) -> float:
        """Seconds of neither training nor idling since the last call, so that each second is counted for one trial."""
        seconds = self.seconds()
        overhead = sum(seconds[name] for name in OVERHEAD) - self._overhead_taken
        self._overhead_taken += overhead
        return overhead

    def __str__(self) -> str:
        seconds = self.seconds()
        overhead = sum(seconds[name] for name in OVERHEAD)
        busy = seconds["training"] + overhead
        parts = ", ".join(f"{name} {seconds[name]:.2f}" for name in OVERHEAD)
        share = f"{overhead / busy:.1%}" if busy else "0.0%"
        empty = self._empty_lane_seconds / self._lane_seconds if self._lane_seconds else 0.0
        return (
            f"{seconds['training']:.2f} s training, {overhead:.2f} s besides ({share} of both: {parts}), "
            f"{seconds['idle']:.1f} s idle, {empty:.1%} of lanes empty"
        )
