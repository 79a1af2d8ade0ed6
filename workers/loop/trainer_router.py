from typing import Protocol

from workers.scheduling.lane_scheduler import Broken, Finished
from workers.scheduling.leased_trial import LeasedTrial
from workers.user_code.custom_parts.subprocess_trainer import SubprocessTrainer


class Trainer(Protocol):
    """What the loop needs of workers.scheduling.lane_scheduler.Bench."""

    @property
    def n_lanes(self) -> int: ...

    @property
    def works(self) -> list[LeasedTrial]: ...

    @property
    def n_in_lanes(self) -> int: ...

    @property
    def room(self) -> int: ...

    def n_soon_free(self, seconds: float) -> int: ...

    def begin(self, work: LeasedTrial, most_lanes: int | None) -> None: ...

    def drop(self, lease_id: str) -> LeasedTrial: ...

    def keep(self, work: LeasedTrial) -> None: ...

    def step(self) -> list[Finished | Broken]: ...


class TrainerRouter:
    """A `Trainer`: trials with an own model or data set lie on a bench of their own."""

    def __init__(self, built_in: Trainer, own: SubprocessTrainer) -> None:
        self._built_in = built_in
        self._own = own

    @property
    def _current(self) -> Trainer:
        return self._own if self._own.works else self._built_in

    @property
    def n_lanes(self) -> int:
        return self._current.n_lanes

    @property
    def works(self) -> list[LeasedTrial]:
        return [*self._built_in.works, *self._own.works]

    @property
    def n_in_lanes(self) -> int:
        return self._built_in.n_in_lanes + self._own.n_in_lanes

    @property
    def room(self) -> int:
        return self._current.room

    def n_soon_free(self, seconds: float) -> int:
        return self._current.n_soon_free(seconds)

    def begin(self, work: LeasedTrial, most_lanes: int | None) -> None:
        if work.lease.training.entrypoints:
            self._own.begin(work, most_lanes)
        else:
            self._own.rest()
            self._built_in.begin(work, most_lanes)

    def drop(self, lease_id: str) -> LeasedTrial:
        return self._of(lease_id).drop(lease_id)

    def keep(self, work: LeasedTrial) -> None:
        self._of(work.lease_id).keep(work)

    def step(self) -> list[Finished | Broken]:
        events = self._built_in.step() if self._built_in.works else []
        return events + self._own.step() if self._own.works else events

    def _of(self, lease_id: str) -> Trainer:
        is_own = any(work.lease_id == lease_id for work in self._own.works)
        return self._own if is_own else self._built_in
