"""Training of one trial, in a group of one lane."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from service.schemas.study.training import Training
from workers.data.trial_data import TrialData
from workers.lanes.lane import LaneTrial
from workers.lanes.lane_group import LaneGroup

Report = Callable[[int, dict[str, float]], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class TrainedTrial:
    """A completed trial: its model and its final metrics."""

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
    """Train one trial and return its final metrics; None if `should_stop`, called after every batch, returned true.

    `report(epoch, metrics)` is called after every epoch, from 0, with EPOCH_METRICS. The final metrics are those of the
    last epoch (of the best one with early stopping), and FINAL_METRICS without waiting_seconds. Every random number
    comes from `seed`; torch's global generators do not change. Raises DivergedError, ModelError and PrecisionError.
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
    """Train as `train_trial` does and return the model too, with the weights that the metrics belong to."""
    group = LaneGroup(training, data, device, n_lanes=1)
    group.load(LaneTrial(training, seed))
    while True:
        for result in group.step():
            if result.error is not None:
                raise result.error
            report(result.epoch, result.metrics)
            if result.final is not None and result.weights is not None:
                return None if should_stop() else TrainedTrial(group.model(result.lane, result.weights), result.final)
        if should_stop():
            return None


def normalize(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return float32 images of mean 0 and variance 1 from uint8 ones, [batch, channels, height, width]."""
    return images.float().sub_(mean).div_(std)
