"""The searches whose trainings are recorded. Each random configuration is trained to the end."""

from dataclasses import dataclass, replace
from typing import Any, Self

from service.schemas.study.definition import Definition

Space = dict[str, dict[str, Any]]
MNIST_SPACE: Space = {
    "learning_rate": {"type": "float", "low": 1e-5, "high": 1.0, "log": True},
    "momentum": {"type": "float", "low": 0.0, "high": 0.99},
    "weight_decay": {"type": "float", "low": 1e-8, "high": 1e-1, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.8},
}
CIFAR10_SPACE: Space = {
    "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    "weight_decay": {"type": "float", "low": 1e-8, "high": 1e-1, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.8},
    "label_smoothing": {"type": "float", "low": 0.0, "high": 0.5},
}
DEEP_SPACE: Space = {
    "learning_rate": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "weight_decay": {"type": "float", "low": 1e-8, "high": 1e-4, "log": True},
}


@dataclass(frozen=True)
class Task:
    """A search space and a training, recorded for `trials` random configurations.

    All share the split, and each trial has its own seed. A task with `record` uses the first epochs of the task of that
    name, as if its training ended there.
    """

    name: str
    space: Space
    training: dict[str, Any]
    trials: int
    record: str = ""

    def definition(self, **fields: Any) -> Definition:
        """Return the definition of a study with the task's trials; `fields` override it."""
        body = {"name": self.name, "search_space": self.space, "training": self.training, "n_trials": self.trials}
        return Definition.model_validate(body | fields)

    @property
    def epochs(self) -> int:
        """Epochs of one training."""
        return int(self.training["epochs"])

    def cut(self, epochs: int) -> Self:
        """Return the task with only the first epochs of its trainings."""
        training = {**self.training, "epochs": epochs}
        return replace(self, name=f"{self.name}-{epochs}-epochs", training=training, record=self.name)


MNIST = Task(
    "mnist-mlp",
    MNIST_SPACE,
    {
        "dataset": {"name": "mnist", "n_train": 2000, "validation_fraction": 0.5},
        "model": {"name": "mlp", "hidden": [128, 64]},
        "optimizer": "sgd",
        "batch_size": 64,
        "epochs": 20,
    },
    2000,
)
CIFAR10 = Task(
    "cifar10-mlp",
    CIFAR10_SPACE,
    {
        "dataset": {"name": "cifar10", "n_train": 2000, "validation_fraction": 0.5},
        "model": {"name": "mlp", "hidden": [64]},
        "optimizer": "adam",
        "batch_size": 64,
        "epochs": 15,
    },
    1000,
)
DEEP = Task(
    "mnist-deep",
    DEEP_SPACE,
    {
        "dataset": {"name": "mnist", "n_train": 500, "validation_fraction": 0.2},
        "model": {"name": "mlp", "hidden": [100] * 6, "initialization": "he"},
        "optimizer": "sgd",
        "batch_size": 100,
        "epochs": 50,
    },
    400,
)
"""A task that learns nothing in its first epochs, whatever the configuration."""
RECORDED = {task.name: task for task in (MNIST, CIFAR10, DEEP)}
TASKS = {task.name: task for task in (*RECORDED.values(), MNIST.cut(3), CIFAR10.cut(3))}
