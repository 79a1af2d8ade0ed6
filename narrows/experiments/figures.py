"""The figures that a table may show of a tested model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from service.schemas.final import TestScore


@dataclass(frozen=True)
class EvaluatedModel:
    """The model that a final evaluation tested: its metrics, its validation loss by epoch, its test score."""

    metrics: Mapping[str, float]
    validation_losses: Sequence[float]
    test: TestScore


def _metric(name: str) -> Callable[[EvaluatedModel], float]:
    return lambda model: model.metrics[name]


def lowest_epoch(model: EvaluatedModel) -> float:
    """Return the epoch, counted from 1, after which the validation loss was lowest."""
    return 1 + min(range(len(model.validation_losses)), key=model.validation_losses.__getitem__)


FIGURES: dict[str, Callable[[EvaluatedModel], float]] = {
    "train_accuracy": _metric("train_accuracy"),
    "train_loss": _metric("train_loss"),
    "validation_accuracy": _metric("validation_accuracy"),
    "test_accuracy": lambda model: model.test.accuracy,
    "test_loss": lambda model: model.test.loss,
    "gap": lambda model: model.metrics["train_accuracy"] - model.test.accuracy,
    "lowest_validation_loss": lambda model: min(model.validation_losses),
    "lowest_at_epoch": lowest_epoch,
    "last_validation_loss": lambda model: model.validation_losses[-1],
    "epochs": lambda model: len(model.validation_losses),
    "near_zero_weights": _metric("n_near_zero_weights"),
    "parameters": _metric("n_parameters"),
    "training_seconds": _metric("training_seconds"),
}
"""Functions of a model by the name of the figure. The gap is train minus test accuracy."""
