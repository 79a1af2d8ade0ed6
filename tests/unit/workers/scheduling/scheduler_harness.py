"""Trials for a scheduler, groups that cause trouble, and what the trials must come to."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from service.schemas.protocol import Lease
from service.schemas.study.data import CustomDataset, Dataset
from service.schemas.study.training import Training
from tests.training import train_trial
from tests.unit.workers.fakes import lease_json
from workers.data.trial_data import TrialData
from workers.lanes.fusion_key import same_sizes
from workers.lanes.lane_group import EpochResult, LaneGroup
from workers.scheduling.lane_scheduler import FailedTrial, FinishedEpoch, LaneScheduler
from workers.scheduling.leased_trial import LeasedTrial

CPU = torch.device("cpu")
CLOCKS = ("seconds", "training_seconds")


def trial(number: int, **fields: Any) -> LeasedTrial:
    training = {"dataset": "digits", "model": {"name": "mlp", "hidden": [8]}, "epochs": 3, "batch_size": 16, **fields}
    return LeasedTrial(Lease.model_validate({**lease_json(number), "training": training, "seed": number}))


def prepared(data: TrialData) -> Callable[[Dataset | CustomDataset], TrialData]:
    return lambda _dataset: data


def untested(lease: Lease, _model: nn.Module, _data: TrialData) -> dict[str, float]:
    raise AssertionError(f"trial {lease.trial_number} must not be tested")


class Trouble:
    """Groups of lanes: `error(group)` returns the error that a step raises; None lets it train."""

    def __init__(self) -> None:
        self.error: Callable[[LaneGroup], Exception | None] = lambda _group: None
        self.grow_error: Callable[[int], Exception | None] = lambda _n_lanes: None
        self.fit_error: Callable[[LaneGroup], Exception | None] = lambda _group: None
        self.groups: list[LaneGroup] = []
        self.n_together: list[tuple[int | None, int]] = []
        """Of each step: how many lanes at a time, of how many."""

    def new_group(self, training: Training, data: TrialData, device: torch.device, n_lanes: int) -> LaneGroup:
        self.groups.append(TroubledGroup(self, training, data, device, n_lanes))
        return self.groups[-1]


class TroubledGroup(LaneGroup):
    def __init__(self, trouble: Trouble, *arguments: Any) -> None:
        self._trouble = trouble
        super().__init__(*arguments)

    def grow(self, n_lanes: int) -> None:
        error = self._trouble.grow_error(n_lanes)
        if error is not None:
            raise error
        super().grow(n_lanes)

    def fit(self, training: Training) -> None:
        error = self._trouble.fit_error(self)
        if error is not None and not same_sizes(self.fitted(training), self.training):
            raise error
        super().fit(training)

    def step(self, n_together: int | None = None) -> list[EpochResult]:
        error = self._trouble.error(self)
        if error is not None:
            raise error
        self._trouble.n_together.append((n_together, len(self.lanes)))
        return super().step(n_together)


def train(scheduler: LaneScheduler) -> list[FinishedEpoch | FailedTrial]:
    """Step until no trial is left, and return all events."""
    events: list[FinishedEpoch | FailedTrial] = []
    while scheduler.trials:
        events += scheduler.step()
    return events


def without_clocks(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in CLOCKS}


def finals(events: list[FinishedEpoch | FailedTrial]) -> dict[int, dict[str, float]]:
    """Return the final metrics of each finished trial, by its number."""
    return {
        event.trial.lease.trial_number: without_clocks(event.final)
        for event in events
        if isinstance(event, FinishedEpoch) and event.final is not None
    }


def alone(trial: LeasedTrial, data: TrialData) -> dict[str, float]:
    lease = trial.lease
    metrics = train_trial(lease.built_in, lease.seed, data, CPU, report=lambda *_: None, should_stop=lambda: False)
    assert metrics is not None
    return without_clocks(metrics)


def assert_as_alone(found: dict[int, dict[str, float]], trials: list[LeasedTrial], data: TrialData) -> None:
    assert sorted(found) == sorted(trial.lease.trial_number for trial in trials)
    for one in trials:
        torch.testing.assert_close(found[one.lease.trial_number], alone(one, data), rtol=1e-4, atol=1e-5)
