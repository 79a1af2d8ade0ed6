"""What all commands share: data, model and training of the digits in plain PyTorch. It imports only what they need.

The data are as many rows as Narrows trains and validates on. A command gets a `Search` as JSON, and prints a line of
JSON for each trial that has ended.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

N_TRAIN, N_VALIDATION = 1149, 288
N_CLASSES = 10
DARKEST = 16

Params = dict[str, Any]
Space = dict[str, dict[str, Any]]
Train = Callable[["Search", Params], Iterator[float]]
"""`train(search, params)` yields the validation accuracy after every epoch."""


@dataclass(frozen=True)
class Search:
    """What a command is asked for.

    `process` of `n_processes` takes its share of the trials. Processes share `folder`. n_startup_trials and
    n_warmup_steps: of the median pruner.
    """

    space: Space
    epochs: int
    n_trials: int
    device: str
    folder: str
    n_startup_trials: int
    n_warmup_steps: int
    n_processes: int = 1
    process: int = 0

    def to_json(self) -> str:
        """Return the argument of a command."""
        return json.dumps(asdict(self))

    @property
    def own_trials(self) -> range:
        """The numbers of the trials that this process trains."""
        return range(self.process, self.n_trials, self.n_processes)


class Suggests(Protocol):
    """A trial of Optuna."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """Return a value."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return a value."""


def search_of_command() -> Search:
    """Return what this process was asked for, and train on one thread."""
    torch.set_num_threads(1)
    return Search(**json.loads(sys.argv[1]))


def suggest(trial: Suggests, space: Space) -> Params:
    """Return parameters from the trial of Optuna."""
    params: Params = {}
    for name, field in space.items():
        suggested: Any = trial.suggest_int if field["type"] == "int" else trial.suggest_float
        params[name] = suggested(name, field["low"], field["high"], log=field["log"])
    return params


def load(device: str) -> tuple[Tensor, Tensor]:
    """Return normalized images, float32 [n, 64], and labels, int64 [n]: first the rows to train on."""
    images, labels = load_digits(return_X_y=True)
    rows = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[: N_TRAIN + N_VALIDATION]
    pixels = torch.from_numpy(images).float()[rows] / DARKEST
    return ((pixels - pixels.mean()) / pixels.std()).to(device), torch.from_numpy(labels).to(device)[rows]


def new_model(params: Params) -> nn.Sequential:
    """Return the mlp of a configuration, from images [batch, 64] to logits [batch, 10]."""
    width, dropout = params["model.hidden.0"], nn.Dropout(params["dropout"])
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), dropout, nn.Linear(width, N_CLASSES))


def new_optimizer(model: nn.Module, params: Params) -> torch.optim.Optimizer:
    """Return the optimizer of a configuration."""
    return torch.optim.Adam(model.parameters(), lr=params["learning_rate"], weight_decay=params["weight_decay"])


def trainer(device: str) -> Train:
    """Load the data and return the function that trains a configuration on it."""
    images, labels = load(device)

    def train(search: Search, params: Params) -> Iterator[float]:
        model = new_model(params).to(device)
        optimizer = new_optimizer(model, params)
        for _ in range(search.epochs):
            model.train()
            for rows in torch.split(torch.randperm(N_TRAIN, device=device), params["batch_size"]):
                loss = functional.cross_entropy(model(images[rows]), labels[rows])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                optimizer.step()
            model.eval()
            with torch.inference_mode():
                yield (model(images[N_TRAIN:]).argmax(1) == labels[N_TRAIN:]).float().mean().item()

    return train


def print_trial(accuracy: float, epochs: int, *, pruned: bool) -> None:
    """Print how a trial has ended."""
    print(json.dumps({"accuracy": accuracy, "epochs": epochs, "pruned": pruned}), flush=True)
