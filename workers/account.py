from collections.abc import Callable
from typing import Literal

Use = Literal["training", "waiting", "idle"]


class Account:
    """Where a worker's seconds go: training, waiting with a trial at hand, or idle without one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._use: Use = "waiting"
        self._since = clock()
        self._seconds: dict[Use, float] = {"training": 0.0, "waiting": 0.0, "idle": 0.0}
        self._waiting_taken = 0.0

    def switch(self, use: Use) -> None:
        now = self._clock()
        self._seconds[self._use] += now - self._since
        self._use, self._since = use, now

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
        return f"{training:.1f} s training, {waiting:.1f} s waiting{share}, {idle:.1f} s idle"
