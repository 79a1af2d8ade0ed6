"""Built-in and custom models: which trainer a trial goes to."""

from typing import Protocol

from workers.scheduling.lane_scheduler import FailedTrial, FinishedEpoch
from workers.scheduling.leased_trial import LeasedTrial
from workers.user_code.custom_parts.subprocess_trainer import SubprocessTrainer


class Trainer(Protocol):
    """Trains several trials at a time, each in a lane; LaneScheduler is one."""

    @property
    def n_lanes(self) -> int:
        """Number of trials that train at a time."""

    @property
    def trials(self) -> list[LeasedTrial]:
        """All trials that were started and are not over, including those that wait for a lane."""

    @property
    def n_training(self) -> int:
        """Number of trials in lanes."""

    @property
    def n_claimable(self) -> int:
        """Number of further trials to claim."""

    def n_free_within(self, seconds: float) -> int:
        """Number of lanes that will be free within this time, as far as can be foreseen."""

    def start(self, trial: LeasedTrial, max_lanes: int | None) -> None:
        """Load a trial of a study that may have `max_lanes` at a time, or put it in a queue for a lane.

        Raises what is wrong with the trial or its data; the trainer has then not taken the trial.
        """

    def remove(self, lease_id: str) -> LeasedTrial:
        """Stop training a trial, wherever it is. Raises KeyError."""

    def save_state(self, trial: LeasedTrial) -> None:
        """Set `trial.state` to where the trial is now, or to its newest state that is known."""

    def step(self) -> list[FinishedEpoch | FailedTrial]:
        """Train every trial in a lane a little. Returns what happened; trials that are over have left the trainer."""


class TrainerRouter:
    """A `Trainer` that gives trials with a custom model or data set to `custom`, all others to `built_in`."""

    def __init__(self, built_in: Trainer, custom: SubprocessTrainer) -> None:
        self._built_in = built_in
        self._custom = custom

    @property
    def n_lanes(self) -> int:
        """That of the trainer whose trials are here now."""
        return self._current.n_lanes

    @property
    def trials(self) -> list[LeasedTrial]:
        """The trials of both trainers."""
        return [*self._built_in.trials, *self._custom.trials]

    @property
    def n_training(self) -> int:
        """Number of trials in lanes of both trainers."""
        return self._built_in.n_training + self._custom.n_training

    @property
    def n_claimable(self) -> int:
        """That of the trainer whose trials are here now."""
        return self._current.n_claimable

    @property
    def custom_study(self) -> str | None:
        """The study whose trials train with custom code; None if there are none."""
        return self._custom.study

    def n_free_within(self, seconds: float) -> int:
        """That of the trainer whose trials are here now."""
        return self._current.n_free_within(seconds)

    def start(self, trial: LeasedTrial, max_lanes: int | None) -> None:
        """Start a trial; a built-in model takes the place of an idle process for custom code."""
        if trial.lease.training.entrypoints:
            self._custom.start(trial, max_lanes)
        else:
            self._custom.end_idle_process()
            self._built_in.start(trial, max_lanes)

    def remove(self, lease_id: str) -> LeasedTrial:
        """Stop training a trial."""
        return self._trainer_of(lease_id).remove(lease_id)

    def save_state(self, trial: LeasedTrial) -> None:
        """Set `trial.state`."""
        self._trainer_of(trial.lease_id).save_state(trial)

    def step(self) -> list[FinishedEpoch | FailedTrial]:
        """Train the trials of both trainers a little."""
        events = self._built_in.step() if self._built_in.trials else []
        return events + self._custom.step() if self._custom.trials else events

    def end_idle_process(self) -> None:
        """End the process for custom code if it has no trial."""
        self._custom.end_idle_process()

    def close(self) -> None:
        """End the process for custom code, whatever is in it."""
        self._custom.close()

    @property
    def _current(self) -> Trainer:
        return self._custom if self._custom.trials else self._built_in

    def _trainer_of(self, lease_id: str) -> Trainer:
        is_custom = any(trial.lease_id == lease_id for trial in self._custom.trials)
        return self._custom if is_custom else self._built_in
