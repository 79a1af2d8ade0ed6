"""The study of the trial that an objective is called with."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Never

from workers.user_process.channel import Channel

BEST_SECONDS = 1.0
"""Shortest time between two requests for the best trial."""


@dataclass(frozen=True)
class BestTrial:
    """The best complete trial of a study."""

    number: int
    values: list[float]
    params: dict[str, Any]
    user_attrs: dict[str, Any]

    @property
    def value(self) -> float:
        """Its objective value."""
        return self.values[0]


class TrialStudy:
    """A study with a small part of optuna.Study: its name, its directions and its best trial so far.

    Any other attribute raises AttributeError, which says what there is.
    """

    def __init__(
        self,
        name: str,
        directions: list[str],
        channel: Channel,
        clock: Callable[[], float] = time.monotonic,
        storage: Any = None,
    ) -> None:
        """`storage`: where Optuna's callbacks look for attributes that the processes of one trial share."""
        self.study_name = name
        self._storage = storage
        self._directions = directions
        self._channel = channel
        self._clock = clock
        self._best: BestTrial | None = None
        self._asked_at: float | None = None

    @property
    def directions(self) -> list[Any]:
        """Directions of the objectives. Needs Optuna, for its StudyDirection."""
        kinds = import_module("optuna.study").StudyDirection
        return [kinds[direction.upper()] for direction in self._directions]

    @property
    def direction(self) -> Any:
        """Direction of the first objective. Needs Optuna."""
        return self.directions[0]

    @property
    def best_trial(self) -> BestTrial:
        """The best complete trial, as it was at most a second ago.

        Raises ValueError without a complete trial and RuntimeError with several objectives, as Optuna does.
        """
        if len(self._directions) > 1:
            raise RuntimeError("A single best trial cannot be retrieved from a multi-objective study.")
        now = self._clock()
        if self._asked_at is None or now - self._asked_at >= BEST_SECONDS:
            best = self._channel.call("best_trial")["best_trial"]
            self._best = None if best is None else BestTrial(**best)
            self._asked_at = now
        if self._best is None:
            raise ValueError("No trials are completed yet.")
        return self._best

    @property
    def best_value(self) -> float:
        """Objective value of the best trial. Raises what best_trial raises."""
        return self.best_trial.value

    @property
    def best_params(self) -> dict[str, Any]:
        """Parameters of the best trial. Raises what best_trial raises."""
        return dict(self.best_trial.params)

    def __getattr__(self, name: str) -> Never:
        """Raise AttributeError, because the study has no such attribute here."""
        known = "study_name, direction, directions, best_trial, best_value and best_params"
        raise AttributeError(f"the study of a trial has no {name} in Narrows: it has {known}")
