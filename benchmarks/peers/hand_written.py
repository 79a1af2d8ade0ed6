"""A good training loop written by hand. Normalized images lie in memory; batches are rows of a permutation."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from benchmarks.peers.cases import Params, Setup, batch_size_of
from benchmarks.peers.models import make_model
from workers.data.trial_data import TrialData

EVALUATION_BATCH = 2000

Train = Callable[[Params, int, int], Iterator[float]]
"""`train(params, seed, epochs)` yields the validation accuracy after every epoch."""


def prepare(setup: Setup, data: TrialData) -> Train:
    """Load the data of a setup into memory and return the function that trains a configuration."""
    case, device, autocast = setup.case, torch.device(setup.device), setup.autocast()
    layout = torch.channels_last if case.channels_last else torch.contiguous_format
    images, labels = _floats(data, data.train, layout), data.labels[data.train]
    validation = _floats(data, data.validation, layout), data.labels[data.validation]

    def train(params: Params, seed: int, epochs: int) -> Iterator[float]:
        torch.manual_seed(seed)
        model = make_model(case.model_of(params), images.shape[1:], data.n_classes, params.get("dropout", 0.0))
        model.to(device=device, memory_format=layout)  # type: ignore[call-overload]  # torch's stubs miss this form
        optimizer = torch.optim.Adam(
            model.parameters(), lr=params["learning_rate"], weight_decay=params["weight_decay"], fused=True
        )
        for _ in range(epochs):
            model.train()
            for rows in torch.split(torch.randperm(len(images), device=device), batch_size_of(params)):
                with autocast:
                    loss = F.cross_entropy(model(images[rows]), labels[rows])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                optimizer.step()
            with autocast:
                reached = accuracy(model, *validation)
            yield reached

    return train


@torch.inference_mode()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the accuracy of a model, 0 to 1."""
    model.eval()
    parts = zip(torch.split(images, EVALUATION_BATCH), torch.split(labels, EVALUATION_BATCH), strict=True)
    n_correct = sum((model(part).argmax(1) == targets).sum() for part, targets in parts)
    return float(n_correct / len(labels))


def _floats(data: TrialData, rows: Tensor, layout: torch.memory_format) -> Tensor:
    return ((data.images[rows].float() - data.mean) / data.std).contiguous(memory_format=layout)
