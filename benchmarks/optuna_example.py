"""The peer: the training loop of Optuna's own PyTorch example, one trial after another.

As there: torchvision's data set with ToTensor, a DataLoader that shuffles, a Sequential model, a validation pass
after every epoch, `trial.report` and `trial.should_prune`. All threads of the machine.
"""

import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import optuna
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, random_split
from torchvision import datasets, transforms

from service.schemas.fields import Scalar


def run_study(params: Sequence[Mapping[str, Scalar]], data_dir: Path, epochs: int) -> tuple[float, list[float]]:
    """Train the given configurations; seconds for all, and the validation accuracy of each."""
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.NopPruner())
    for fixed in params:
        study.enqueue_trial(dict(fixed))
    started = time.perf_counter()
    study.optimize(lambda trial: _objective(trial, data_dir, epochs), n_trials=len(params))
    return time.perf_counter() - started, [trial.value or 0.0 for trial in study.trials]


def _objective(trial: optuna.Trial, data_dir: Path, epochs: int) -> float:
    train_loader, valid_loader, n_valid = _loaders(data_dir)
    dropout = trial.suggest_float("dropout", 0.0, 0.5)
    model = _model(dropout)
    optimizer = torch.optim.Adam(
        model.parameters(),
        lr=trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        weight_decay=trial.suggest_float("weight_decay", 1e-8, 1e-4, log=True),
    )
    accuracy = 0.0
    for epoch in range(epochs):
        _train(model, optimizer, train_loader)
        accuracy = _validate(model, valid_loader) / n_valid
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return accuracy


def _loaders(data_dir: Path) -> tuple[DataLoader[tuple[Tensor, int]], DataLoader[tuple[Tensor, int]], int]:
    images: Dataset[tuple[Tensor, int]] = datasets.MNIST(
        str(data_dir), train=True, download=False, transform=transforms.ToTensor()
    )
    train, valid = random_split(images, [0.8, 0.2], generator=torch.Generator().manual_seed(0))
    return (
        DataLoader(train, batch_size=128, shuffle=True),
        DataLoader(valid, batch_size=128, shuffle=False),
        len(valid),
    )


def _model(dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    sizes = [28 * 28, 128, 64]
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 10), nn.LogSoftmax(dim=1))


def _train(model: nn.Module, optimizer: torch.optim.Optimizer, loader: DataLoader[tuple[Tensor, int]]) -> None:
    model.train()
    for data, target in loader:
        optimizer.zero_grad()
        loss = functional.nll_loss(model(data.view(data.size(0), -1)), target)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()


def _validate(model: nn.Module, loader: DataLoader[tuple[Tensor, int]]) -> int:
    model.eval()
    correct = 0
    with torch.no_grad():
        for data, target in loader:
            prediction = model(data.view(data.size(0), -1)).argmax(dim=1)
            correct += int((prediction == target).sum().item())
    return correct
