from typing import Protocol

from workers.scheduling.lane_scheduler import FailedTrial, FinishedEpoch
from workers.scheduling.leased_trial import LeasedTrial
from workers.user_code.custom_parts.subprocess_trainer import SubprocessTrainer


class Trainer(Protocol):
    """What the loop needs of workers.scheduling.lane_scheduler.Bench."""

    @property
    def n_lanes(self) -> int: ...

    @property
    def trials(self) -> list[LeasedTrial]: ...

    @property
    def n_training(self) -> int: ...

    @property
    def room(self) -> int: ...

    def n_free_within(self, seconds: float) -> int: ...

    def start(self, trial: LeasedTrial, max_lanes: int | None) -> None: ...

    def remove(self, lease_id: str) -> LeasedTrial: ...

    def save_state(self, trial: LeasedTrial) -> None: ...

    def step(self) -> list[FinishedEpoch | FailedTrial]: ...


class TrainerRouter:
    """A `Trainer`: trials with an own model or data set lie on a bench of their own."""

    def __init__(self, built_in: Trainer, own: SubprocessTrainer) -> None:
        self._built_in = built_in
        self._own = own

    @property
    def _current(self) -> Trainer:
        return self._own if self._own.trials else self._built_in

    @property
    def n_lanes(self) -> int:
        return self._current.n_lanes

    @property
    def trials(self) -> list[LeasedTrial]:
        return [*self._built_in.trials, *self._own.trials]

    @property
    def n_training(self) -> int:
        return self._built_in.n_training + self._own.n_training

    @property
    def room(self) -> int:
        return self._current.room

    def n_free_within(self, seconds: float) -> int:
        return self._current.n_free_within(seconds)

    def start(self, trial: LeasedTrial, max_lanes: int | None) -> None:
        if trial.lease.training.entrypoints:
            self._own.start(trial, max_lanes)
        else:
            self._own.end_idle_process()
            self._built_in.start(trial, max_lanes)

    def remove(self, lease_id: str) -> LeasedTrial:
        return self._of(lease_id).remove(lease_id)

    def save_state(self, trial: LeasedTrial) -> None:
        self._of(trial.lease_id).save_state(trial)

    def step(self) -> list[FinishedEpoch | FailedTrial]:
        events = self._built_in.step() if self._built_in.trials else []
        return events + self._own.step() if self._own.trials else events

    def _of(self, lease_id: str) -> Trainer:
        is_own = any(trial.lease_id == lease_id for trial in self._own.trials)
        return self._own if is_own else self._built_in
