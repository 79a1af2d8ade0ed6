"""The state of one trial in training, apart from its tensors, which its group holds."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from service.schemas.study.models import AnyModel, CustomModel, n_dropout_layers
from service.schemas.study.training import EPOCH_METRICS, Training
from workers.data.augmentation import draw_changes
from workers.data.splits import split_batches
from workers.data.trial_data import TrialData
from workers.errors import DivergedError, ModelError
from workers.lanes.lane_shape import LaneShape
from workers.lanes.random_masks import Rates
from workers.models.build import dropout_rates, is_image
from workers.training import schedules
from workers.training.early_stopping import BestEpoch
from workers.training.randomness import Purpose, derive_seed

Metrics = dict[str, float]
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class LaneTrial:
    """A trial to train. The lanes never read `tag`; the scheduler keeps its `LeasedTrial` there."""

    training: Training
    seed: int
    tag: Any = None


class Lane:
    """The position of a trial in its epochs: order of the images, next batch and learning rate of each step."""

    def __init__(
        self, trial: LaneTrial, data: TrialData, shape: LaneShape, drops_single: bool, n_custom_dropouts: int = 0
    ) -> None:
        """Start a trial at epoch 0. `n_custom_dropouts` is the number of dropout layers of a custom model.

        `shape` are the sizes of the trial's own model.
        `drops_single`: a last batch of a single example is left out, because the model cannot train on it.

        Raises ModelError if the settings do not fit the model or the data.
        """
        training = trial.training
        self.trial = trial
        self.shape = shape
        self.epoch = 0
        self.metrics: Metrics = {}
        self.selected: tuple[Metrics, Weights] | None = None
        """Metrics and weights to return at the end: of the best epoch with early stopping, else of the last one."""
        _check_inputs(training, data)
        stopping = training.early_stopping
        self.best = BestEpoch(stopping.metric, stopping.min_delta) if stopping else BestEpoch("validation_accuracy")
        rates = dropout_rates(training.dropout, n_dropout_layers(training.model))
        noise = [training.noise_std] + [training.hidden_noise_std] * len(rates)
        self.rates = Rates(noise, [training.input_dropout, *rates])
        self.custom_rates = _custom_rates(training.model, n_custom_dropouts)
        self.generator = Generator(data.images.device)
        self._data = data
        self._drops_single = drops_single
        self._started_at = time.perf_counter()
        self.start_epoch()

    def start_epoch(self) -> None:
        """Draw the order and the augmentations of this epoch's images, and seed its dropout and noise."""
        self._epoch_started_at = time.perf_counter()
        self.batch = 0
        rows, device = self._data.train, self._data.train.device
        # Drawn on the CPU, so that the order is the same on every device.
        order = torch.randperm(len(rows), generator=Generator().manual_seed(self._seed(Purpose.ORDER)))
        batch_size = self.trial.training.batch_size
        self.rows: Sequence[Tensor] = split_batches(
            rows[order.to(device)],
            batch_size,
            drop_single=self._drops_single,
            drop_last=self.trial.training.drop_last,
        )
        self.changes = self._draw_changes(len(rows))
        self.generator.manual_seed(self._seed(Purpose.NOISE))
        self.learning_rates = self._learning_rates(len(self.rows))

    def resume_at(self, epoch: int, batch: int, training_seconds: float) -> None:
        """Continue before batch `batch` of an epoch, with `training_seconds` of training done."""
        self.epoch = epoch
        self._started_at = time.perf_counter() - training_seconds
        self.start_epoch()
        self.batch = batch

    def _draw_changes(self, n_images: int) -> Sequence[Tensor]:
        """Augmentations of each batch, int64 [5, images]; empty for a trial without augmentation."""
        training, images = self.trial.training, self._data.images
        if training.dataset.augment == "none":
            return []
        generator = Generator().manual_seed(self._seed(Purpose.AUGMENTATION))
        changes = draw_changes(training.dataset.augment, n_images, images.shape[1:], generator)
        return torch.split(changes.to(images.device), training.batch_size, 1)

    def _learning_rates(self, n_steps: int) -> list[float]:
        training = self.trial.training
        first, total = self.epoch * n_steps, training.epochs * n_steps
        return [
            training.learning_rate
            * schedules.learning_rate_factor(training.schedule, step, total_steps=total, steps_per_epoch=n_steps)
            for step in range(first, first + n_steps)
        ]

    def _seed(self, purpose: Purpose) -> int:
        return derive_seed(self.trial.seed, purpose, self.epoch)

    @property
    def step_seed(self) -> int:
        """Seed of the next step, for custom models that draw from torch's global generators."""
        return derive_seed(self.trial.seed, Purpose.CUSTOM_MODEL, self.epoch, self.batch)

    @property
    def epoch_is_over(self) -> bool:
        """Whether every batch of this epoch was trained."""
        return self.batch == len(self.rows)

    @property
    def n_images(self) -> int:
        """Number of images that this epoch trains on."""
        return sum(map(len, self.rows))

    @property
    def training_seconds(self) -> float:
        """Seconds since training started, without those before a break."""
        return time.perf_counter() - self._started_at

    @property
    def seconds_left(self) -> float:
        """Estimated seconds until the trial ends. Infinite before its last epoch and when no estimate is possible."""
        if self.epoch + 1 < self.trial.training.epochs and not self._may_stop_early:
            return math.inf
        if self.batch == 0:
            return self.metrics.get("seconds", math.inf)
        return (time.perf_counter() - self._epoch_started_at) / self.batch * (len(self.rows) - self.batch)

    @property
    def _may_stop_early(self) -> bool:
        """Whether early stopping ends the trial after this epoch unless the epoch is the best so far."""
        stopping = self.trial.training.early_stopping
        return stopping is not None and self.best.epoch >= 0 and self.epoch - self.best.epoch >= stopping.patience

    def record_epoch(self, values: Sequence[float]) -> bool:
        """Store the metrics of this epoch and return whether it is the best so far.

        `values` are the first four of EPOCH_METRICS. Raises DivergedError if a loss is not finite.
        """
        seconds = time.perf_counter() - self._epoch_started_at
        self.metrics = dict(zip(EPOCH_METRICS, (*values, self.learning_rates[-1], seconds), strict=True))
        for name in ("train_loss", "validation_loss"):
            if not math.isfinite(self.metrics[name]):
                raise DivergedError(f"{name} is {self.metrics[name]} at epoch {self.epoch}")
        return self.best.update(self.epoch, self.metrics)

    def state_dict(self, weights: Weights) -> Weights:
        """Return weights of this trial under the names of torch's `state_dict`. Other threads may call this."""
        return self.shape.layout.state_dict(weights)

    @property
    def is_done(self) -> bool:
        """Whether this epoch was the last one, because all epochs are over or early stopping ends the trial."""
        return self._may_stop_early or self.epoch + 1 == self.trial.training.epochs


def _custom_rates(model: AnyModel, n_layers: int) -> list[float] | None:
    """Dropout rate of each layer of a custom model; None if the trial does not set them.

    Raises ModelError if the number of rates and the number of layers differ.
    """
    if not isinstance(model, CustomModel) or model.dropout is None:
        return None
    if isinstance(model.dropout, list) and len(model.dropout) == n_layers:
        return model.dropout
    if isinstance(model.dropout, list) or n_layers == 0:
        rule = "one rate, or one for each dropout layer"
        raise ModelError(f"model.dropout must be {rule}: {model.dropout} for {n_layers} layers of {model.entrypoint}")
    return [model.dropout] * n_layers


def _check_inputs(training: Training, data: TrialData) -> None:
    """Raises ModelError if inputs that are not images would be augmented, or integers disturbed by noise."""
    shown = f"{str(data.images.dtype).removeprefix('torch.')} {list(data.images.shape[1:])}"
    if training.dataset.augment != "none" and not is_image(data):
        raise ModelError(f"augment needs inputs that are floating or uint8 [channels, height, width]: {shown}")
    if (training.noise_std or training.input_dropout) and data.images.dtype == torch.int64:
        raise ModelError(f"noise_std and input_dropout must be 0 for integer inputs: {shown}")
