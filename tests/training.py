from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from service.schemas.study.training import Training
from workers.data.trial_data import TrialData
from workers.lanes.lane import LaneTrial
from workers.lanes.lane_group import LaneGroup

Report = Callable[[int, dict[str, float]], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class TrainedTrial:
    model: nn.Module
    metrics: dict[str, float]


def train_trial(
    training: Training,
    seed: int,
    data: TrialData,
    device: torch.device,
    *,
    report: Report,
    should_stop: ShouldStop,
) -> dict[str, float] | None:
    """Train one trial and return its final metrics; None when `should_stop` said so, asked after every batch.

    `report(epoch, metrics)` is called after every epoch, from 0, with EPOCH_METRICS. The final metrics are those
    of the last epoch, or with early stopping of the best, and FINAL_METRICS without waiting_seconds.
    Every random number comes from `seed`; torch's global generators are left as they were.
    Raises DivergedError, ModelError and PrecisionError.
    """
    trained = train_model(training, seed, data, device, report=report, should_stop=should_stop)
    return None if trained is None else trained.metrics


def train_model(
    training: Training,
    seed: int,
    data: TrialData,
    device: torch.device,
    *,
    report: Report,
    should_stop: ShouldStop,
) -> TrainedTrial | None:
    """As `train_trial`, and returns the model too, with the weights that the metrics belong to."""
    group = LaneGroup(training, data, device, n_lanes=1)
    group.load(LaneTrial(training, seed))
    while True:
        for result in group.step():
            if result.error is not None:
                raise result.error
            report(result.epoch, result.metrics)
            if result.final is not None and result.weights is not None:
                return None if should_stop() else TrainedTrial(group.model(result.weights), result.final)
        if should_stop():
            return None
