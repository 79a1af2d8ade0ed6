"""One trial in training, apart from its numbers, which lie in the rows of its group."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from service.schemas.study.models import AnyModel, OwnModel, n_dropout_layers
from service.schemas.study.training import EPOCH_METRICS, Training
from workers.data.augmentation import draw_changes
from workers.data.splits import split_batches
from workers.data.trial_data import TrialData
from workers.errors import DivergedError, ModelError
from workers.lanes.random_masks import Rates
from workers.models.build import dropout_rates, is_image
from workers.training import schedules
from workers.training.early_stopping import BestEpoch
from workers.training.randomness import Purpose, derive_seed

Metrics = dict[str, float]
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class LaneTrial:
    """What to train. `tag` is the caller's own, such as the lease."""

    training: Training
    seed: int
    tag: Any = None


class Lane:
    """A trial's way through its epochs: which batch comes next, in which order and with which learning rate."""

    def __init__(self, trial: LaneTrial, data: TrialData, has_batch_norm: bool, n_own_dropouts: int = 0) -> None:
        """`n_own_dropouts` is how many dropout layers an own model has.

        Raises ModelError when the settings do not fit the model or the data.
        """
        training = trial.training
        self.trial = trial
        self.epoch = 0
        self.metrics: Metrics = {}
        self.kept: tuple[Metrics, Weights] | None = None  # with early stopping, of the best epoch
        _check_inputs(training, data)
        stopping = training.early_stopping
        self.best = BestEpoch(stopping.metric, stopping.min_delta) if stopping else BestEpoch("validation_accuracy")
        rates = dropout_rates(training.dropout, n_dropout_layers(training.model))
        noise = [training.noise_std] + [training.hidden_noise_std] * len(rates)
        self.strengths = Rates(noise, [training.input_dropout, *rates])
        self.own_rates = _own_rates(training.model, n_own_dropouts)
        self.generator = Generator(data.images.device)
        self._data = data
        self._has_batch_norm = has_batch_norm
        self._began = time.perf_counter()
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Draw the order and the changes of the images; dropout and noise begin a sequence of their own."""
        self._epoch_began = time.perf_counter()
        self.batch = 0
        rows, device = self._data.train, self._data.train.device
        # Drawn on the CPU, so that every device sees the same order.
        order = torch.randperm(len(rows), generator=Generator().manual_seed(self._seed(Purpose.ORDER)))
        batch_size = self.trial.training.batch_size
        self.rows: Sequence[Tensor] = split_batches(
            rows[order.to(device)], batch_size, drop_single=self._has_batch_norm
        )
        self.changes = self._draw_changes(len(rows))
        self.generator.manual_seed(self._seed(Purpose.NOISE))
        self.learning_rates = self._learning_rates(len(self.rows))

    def go_to(self, epoch: int, batch: int, training_seconds: float) -> None:
        """Continue there, after so much training."""
        self.epoch = epoch
        self._began = time.perf_counter() - training_seconds
        self.begin_epoch()
        self.batch = batch

    def _draw_changes(self, n_images: int) -> Sequence[Tensor]:
        """For each batch, [5, images]; nothing for a trial that changes no images."""
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
            * schedules.factor(training.schedule, step, total_steps=total, steps_per_epoch=n_steps)
            for step in range(first, first + n_steps)
        ]

    def _seed(self, purpose: Purpose) -> int:
        return derive_seed(self.trial.seed, purpose, self.epoch)

    @property
    def step_seed(self) -> int:
        """Of the next batch, for a model that draws by itself."""
        return derive_seed(self.trial.seed, Purpose.OWN_MODEL, self.epoch, self.batch)

    @property
    def epoch_is_over(self) -> bool:
        return self.batch == len(self.rows)

    @property
    def n_images(self) -> int:
        """How many an epoch trains on."""
        return sum(map(len, self.rows))

    @property
    def training_seconds(self) -> float:
        return time.perf_counter() - self._began

    @property
    def seconds_left(self) -> float:
        """About how long until its trial is over; infinite before its last epoch, or before it can be told."""
        if self.epoch + 1 < self.trial.training.epochs and not self._may_stop:
            return math.inf
        if self.batch == 0:
            return self.metrics.get("seconds", math.inf)
        return (time.perf_counter() - self._epoch_began) / self.batch * (len(self.rows) - self.batch)

    @property
    def _may_stop(self) -> bool:
        """Whether this epoch is the last to wait for a better one."""
        stopping = self.trial.training.early_stopping
        return stopping is not None and self.best.epoch >= 0 and self.epoch - self.best.epoch >= stopping.patience

    def note(self, values: Sequence[float]) -> bool:
        """Take the epoch's figures, in the order of EPOCH_METRICS; whether it is the best so far.

        Raises DivergedError when a loss is no longer finite.
        """
        seconds = time.perf_counter() - self._epoch_began
        self.metrics = dict(zip(EPOCH_METRICS, (*values, self.learning_rates[-1], seconds), strict=True))
        for name in ("train_loss", "validation_loss"):
            if not math.isfinite(self.metrics[name]):
                raise DivergedError(f"{name} is {self.metrics[name]} at epoch {self.epoch}")
        return self.best.update(self.epoch, self.metrics)

    @property
    def is_done(self) -> bool:
        """Whether this epoch was the last: of all, or the last to wait for a better one."""
        stopping = self.trial.training.early_stopping
        waited = stopping is not None and self.epoch - self.best.epoch >= stopping.patience
        return waited or self.epoch + 1 == self.trial.training.epochs


def _own_rates(model: AnyModel, n_layers: int) -> list[float] | None:
    """Of an own model's dropout layers, where the trial says them. Raises ModelError when it has not so many."""
    if not isinstance(model, OwnModel) or model.dropout is None:
        return None
    if isinstance(model.dropout, list) and len(model.dropout) == n_layers:
        return model.dropout
    if isinstance(model.dropout, list) or n_layers == 0:
        rule = "one rate, or one for each of its dropout layers"
        raise ModelError(f"model.dropout must be {rule}: {model.dropout} for {n_layers} of {model.entrypoint}")
    return [model.dropout] * n_layers


def _check_inputs(training: Training, data: TrialData) -> None:
    """Raises ModelError when inputs that are no images are to be changed as images are."""
    shown = f"{str(data.images.dtype).removeprefix('torch.')} {list(data.images.shape[1:])}"
    if training.dataset.augment != "none" and not is_image(data):
        raise ModelError(f"augment must be none, or inputs floating or uint8 [channels, height, width]: {shown}")
    if (training.noise_std or training.input_dropout) and data.images.dtype == torch.int64:
        raise ModelError(f"noise_std and input_dropout must be 0 for inputs that are whole numbers: {shown}")
