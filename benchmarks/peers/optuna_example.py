"""The training loop of Optuna's own PyTorch example.

As in the example it uses torchvision's data set with ToTensor, a DataLoader that shuffles, a Sequential model, and a
validation pass after every epoch. The rows of the split and the models are those of all other peers.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset
from torchvision import datasets, transforms

from benchmarks.peers.cases import Params, Setup, batch_size_of
from benchmarks.peers.hand_written import Train
from benchmarks.peers.models import make_model
from workers.data.trial_data import TrialData

DARKEST_DIGIT = 16
Loader = DataLoader[tuple[Tensor, int]]
TORCHVISION: dict[str, Any] = {"mnist": datasets.MNIST, "cifar10": datasets.CIFAR10}


def prepare(setup: Setup, data: TrialData) -> Train:
    """Return the function that trains a configuration of a setup."""
    case, device, autocast = setup.case, torch.device(setup.device), setup.autocast()

    def train(params: Params, seed: int, epochs: int) -> Iterator[float]:
        torch.manual_seed(seed)
        train_loader, valid_loader = _loaders(setup, data, batch_size_of(params))
        shape, dropout = data.images.shape[1:], params.get("dropout", 0.0)
        model = make_model(case.model_of(params), shape, data.n_classes, dropout).to(device)
        optimizer = torch.optim.Adam(
            model.parameters(), lr=params["learning_rate"], weight_decay=params["weight_decay"]
        )
        for _ in range(epochs):
            _train(model, optimizer, train_loader, device, autocast)
            yield _validate(model, valid_loader, device, autocast) / len(data.validation)

    return train


def _loaders(setup: Setup, data: TrialData, batch_size: int) -> tuple[Loader, Loader]:
    images = _dataset(setup, data)
    train, valid = (Subset(images, rows.tolist()) for rows in (data.train, data.validation))
    return DataLoader(train, batch_size, shuffle=True), DataLoader(valid, batch_size, shuffle=False)


def _dataset(setup: Setup, data: TrialData) -> Dataset[Any]:
    if setup.case.dataset not in TORCHVISION:  # digits: torchvision does not have them
        return TensorDataset(data.images.cpu() / DARKEST_DIGIT, data.labels.cpu())
    dataset: Dataset[Any] = TORCHVISION[setup.case.dataset](
        str(setup.data_dir), train=True, download=False, transform=transforms.ToTensor()
    )
    return dataset


def _train(
    model: nn.Module, optimizer: torch.optim.Optimizer, loader: Loader, device: torch.device, autocast: torch.autocast
) -> None:
    model.train()
    for images, targets in loader:
        data, target = images.to(device), torch.as_tensor(targets).to(device)
        optimizer.zero_grad()
        with autocast:
            loss = functional.cross_entropy(model(data), target)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()


def _validate(model: nn.Module, loader: Loader, device: torch.device, autocast: torch.autocast) -> int:
    model.eval()
    correct = 0
    with torch.no_grad(), autocast:
        for images, targets in loader:
            data, target = images.to(device), torch.as_tensor(targets).to(device)
            correct += int((model(data).argmax(dim=1) == target).sum().item())
    return correct
