"""The cases: data set, model, and the same configurations for all peers."""

import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.peers.outcomes import Pruning
from service.schemas.study.data import Dataset
from workers.data.trial_data import TrialData, prepare_data

BATCH_SIZE = 128
VALIDATION_FRACTION = 0.2
CNN: dict[str, Any] = {"name": "cnn", "blocks": [{"channels": 32}, {"channels": 64}], "dense": [128]}

Params = dict[str, float]


@dataclass(frozen=True)
class Case:
    """A data set, a model and a search space that all peers train.

    `target` is the validation accuracy whose first arrival is timed. `channels_last` is the memory format of the
    hand-written loop, if that is faster. `sizes` are searched too: widths of `model`, and the batch size.
    """

    name: str
    dataset: str
    model: dict[str, Any]
    target: float
    trials: int
    epochs: int
    dropout: bool = False
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = False
    sizes: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def space(self) -> dict[str, dict[str, Any]]:
        """The search space, as in a study definition."""
        rates: dict[str, dict[str, Any]] = {
            "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
            "weight_decay": {"type": "float", "low": 1e-8, "high": 1e-4, "log": True},
        }
        dropout = {"dropout": {"type": "float", "low": 0.0, "high": 0.5}} if self.dropout else {}
        return rates | dropout | self.sizes

    def configurations(self, n: int) -> list[Params]:
        """Return the first `n` configurations, which are always the same."""
        draw = random.Random(0)
        return [{name: _draw(draw, **field) for name, field in self.space.items()} for _ in range(n)]

    def training(self, epochs: int) -> dict[str, Any]:
        """Return the training settings of a study definition."""
        dataset = {"name": self.dataset, "validation_fraction": VALIDATION_FRACTION}
        fixed: dict[str, Any] = {"optimizer": "adam", "precision": self.precision}
        fixed |= {} if "batch_size" in self.sizes else {"batch_size": BATCH_SIZE}
        model = {name: value for name, value in self.model.items() if f"model.{name}.0" not in self.sizes}
        return {"dataset": dataset, "model": model, "epochs": epochs, **fixed}

    def model_of(self, params: Params) -> dict[str, Any]:
        """Return the model of a configuration."""
        hidden = [int(value) for name, value in params.items() if name.startswith("model.hidden.")]
        return self.model | ({"hidden": hidden} if hidden else {})


@dataclass(frozen=True)
class Setup:
    """What every peer is given for one block of the table."""

    case: Case
    trials: int
    epochs: int
    pruning: Pruning
    device: str
    data_dir: Path

    @property
    def configurations(self) -> list[Params]:
        """The configurations to train."""
        return self.case.configurations(self.trials)

    def data(self) -> TrialData:
        """Return uint8 images and the split that Narrows trains with."""
        dataset = Dataset(name=self.case.dataset, validation_fraction=VALIDATION_FRACTION)
        return prepare_data(dataset, self.data_dir, torch.device(self.device), download=False)

    def autocast(self) -> torch.autocast:
        """Return the context of forward passes, in the precision of the case."""
        enabled = self.case.precision == "bf16"
        return torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16, enabled=enabled)


def batch_size_of(params: Params) -> int:
    """Return the batch size of a configuration."""
    return int(params.get("batch_size", BATCH_SIZE))


def _draw(draw: random.Random, *, type: str, low: float, high: float, log: bool = False) -> float:
    value: float = low * (high / low) ** draw.random() if log else draw.uniform(low, high)
    return round(value) if type == "int" else value


def few(data: TrialData) -> TrialData:
    """Return one batch of each split, for warming up."""
    return replace(data, train=data.train[:BATCH_SIZE], validation=data.validation[:BATCH_SIZE])


# By hand, one EPYC thread: 70 ms a batch with channels last and 94 without; CIFAR-10 145 and 130.
MNIST_CNN = Case("MNIST cnn", "mnist", CNN, 0.985, 8, 2, channels_last=True)
CIFAR10_CNN = Case("CIFAR-10 cnn", "cifar10", CNN, 0.55, 8, 2)
SMALL_MLP = {"name": "mlp", "hidden": [50, 50], "batch_norm": True}
MLP = {"name": "mlp", "hidden": [128, 64]}
SIZES = {
    "model.hidden.0": {"type": "int", "low": 32, "high": 256, "log": True},
    "model.hidden.1": {"type": "int", "low": 16, "high": 128},
    "batch_size": {"type": "int", "low": 32, "high": 256, "log": True},
}

CASES = {
    "digits": Case("digits mlp [64]", "digits", {"name": "mlp", "hidden": [64]}, 0.95, 32, 20, dropout=True),
    "mnist-mlp": Case("MNIST mlp [128, 64]", "mnist", MLP, 0.96, 16, 3, dropout=True),
    "mnist-search": Case(
        "MNIST mlp, widths and batch size searched", "mnist", MLP, 0.95, 32, 2, dropout=True, sizes=SIZES
    ),
    "mnist-batch-norm": Case("MNIST mlp [50, 50], batch norm", "mnist", SMALL_MLP, 0.965, 16, 3),
    "mnist-cnn": MNIST_CNN,
    "cifar10-cnn": CIFAR10_CNN,
    "mnist-cnn-bf16": replace(MNIST_CNN, name="MNIST cnn, bf16", precision="bf16"),
    "cifar10-cnn-bf16": replace(CIFAR10_CNN, name="CIFAR-10 cnn, bf16", precision="bf16"),
}
