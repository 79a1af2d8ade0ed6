import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from service.schemas.training import EPOCH_METRICS, Training
from workers import optimizers, schedules
from workers.augmentation import Augment, augment
from workers.data import TrialData, normalize
from workers.early_stopping import BestEpoch
from workers.epoch import split_batches, train_epoch
from workers.errors import DivergedError
from workers.evaluation import evaluate
from workers.models import build_model
from workers.parameters import FlatParameters, count_near_zero, flatten_parameters, snapshot
from workers.precision import autocast
from workers.randomness import Purpose, derive_seed, own_global_generators, seed_global_generators

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
    # Denormal numbers, which strong decay produces, are up to 100 times slower on a CPU.
    torch.set_flush_denormal(True)
    with own_global_generators(device):
        return _train(training, seed, data, device, report, should_stop)


def _train(
    training: Training, seed: int, data: TrialData, device: torch.device, report: Report, should_stop: ShouldStop
) -> TrainedTrial | None:
    started = time.perf_counter()
    seed_global_generators(derive_seed(seed, Purpose.INITIALIZATION), device)
    model = _build(training, data).to(device)
    run_epoch = _epoch_runner(training, seed, data, device, model, should_stop)
    stopping = training.early_stopping
    best = BestEpoch(stopping.metric, stopping.min_delta) if stopping else BestEpoch("validation_accuracy")
    metrics: dict[str, float] = {}
    kept = metrics, model.state_dict()
    for epoch in range(training.epochs):
        epoch_metrics = run_epoch(epoch)
        if epoch_metrics is None:
            return None
        metrics = epoch_metrics
        _check_finite(metrics, epoch)
        if best.update(epoch, metrics) and stopping:
            kept = metrics, snapshot(model)
        report(epoch, metrics)
        if should_stop():
            return None
        if stopping and epoch - best.epoch >= stopping.patience:
            break
    if stopping:
        metrics, weights = kept
        model.load_state_dict(weights)
    return TrainedTrial(model, metrics | _final_metrics(model, metrics, best.epoch, time.perf_counter() - started))


def _build(training: Training, data: TrialData) -> nn.Module:
    _, channels, height, width = data.images.shape
    return build_model(
        training.model,
        (channels, height, width),
        data.n_classes,
        dropout=training.dropout,
        input_dropout=training.input_dropout,
        noise_std=training.noise_std,
        hidden_noise_std=training.hidden_noise_std,
    )


def _epoch_runner(
    training: Training,
    seed: int,
    data: TrialData,
    device: torch.device,
    model: nn.Module,
    should_stop: ShouldStop,
) -> Callable[[int], dict[str, float] | None]:
    """A function that trains and validates the epoch of a number, and returns its EPOCH_METRICS or None."""
    parameters = flatten_parameters(model)
    move_weights = _stepper(training, parameters)
    context = autocast(training.precision, device)
    has_batch_norm = any(isinstance(module, _BatchNorm) for module in model.modules())
    load = partial(_load, data.images, data.mean, data.std, training.dataset.augment)
    train = partial(
        train_epoch,
        model,
        parameters,
        data.labels,
        autocast=context,
        label_smoothing=training.label_smoothing,
        l1_decay=training.l1_decay,
        gradient_clip=training.gradient_clip,
        should_stop=should_stop,
    )

    def run_epoch(epoch: int) -> dict[str, float] | None:
        started = time.perf_counter()
        rows = _shuffled(data.train, derive_seed(seed, Purpose.ORDER, epoch))
        batches = split_batches(rows, training.batch_size, drop_single=has_batch_norm)
        learning_rate = partial(_learning_rate, training, len(batches), epoch)
        changes = Generator(device).manual_seed(derive_seed(seed, Purpose.AUGMENTATION, epoch))
        seed_global_generators(derive_seed(seed, Purpose.NOISE, epoch), device)
        trained = train(batches, load=partial(load, changes), step=lambda n: move_weights(learning_rate(n)))
        if trained is None:
            return None
        validated = evaluate(model, data.images, data.labels, data.validation, data.mean, data.std, context)
        seconds = time.perf_counter() - started
        values = (*trained, *validated, learning_rate(len(batches) - 1), seconds)
        return dict(zip(EPOCH_METRICS, values, strict=True))

    return run_epoch


def _stepper(training: Training, parameters: FlatParameters) -> Callable[[float], None]:
    """A function that moves the weights by one step of a learning rate."""
    return partial(
        optimizers.step,
        training.optimizer,
        parameters.values,
        parameters.gradient,
        optimizers.initial_state(training.optimizer, parameters.values),
        weight_decay=training.weight_decay,
        momentum=training.momentum,
        nesterov=training.nesterov,
        beta1=training.beta1,
        beta2=training.beta2,
    )


def _learning_rate(training: Training, steps_per_epoch: int, epoch: int, batch_number: int) -> float:
    return training.learning_rate * schedules.factor(
        training.schedule,
        epoch * steps_per_epoch + batch_number,
        total_steps=training.epochs * steps_per_epoch,
        steps_per_epoch=steps_per_epoch,
    )


def _shuffled(rows: Tensor, seed: int) -> Tensor:
    """On the CPU whatever the device, so that every device sees the same order."""
    order = torch.randperm(len(rows), generator=Generator().manual_seed(seed))
    return rows[order.to(rows.device)]


def _load(images: Tensor, mean: Tensor, std: Tensor, change: Augment, changes: Generator, rows: Tensor) -> Tensor:
    return normalize(augment(images.index_select(0, rows), change, changes), mean, std)


def _check_finite(metrics: dict[str, float], epoch: int) -> None:
    for name in ("train_loss", "validation_loss"):
        if not math.isfinite(metrics[name]):
            raise DivergedError(f"{name} is {metrics[name]} at epoch {epoch}")


def _final_metrics(
    model: nn.Module, metrics: dict[str, float], best_epoch: int, training_seconds: float
) -> dict[str, float]:
    return {
        "best_epoch": best_epoch,
        "generalization_gap": metrics["train_accuracy"] - metrics["validation_accuracy"],
        "n_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "n_near_zero_weights": count_near_zero(model),
        "training_seconds": training_seconds,
    }
