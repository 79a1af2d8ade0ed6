"""Training in a lane equals the loop as it is commonly written: autograd, torch.optim, one module, one loss."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Generator, nn

from service.schemas.study.training import Training
from workers.data.trial_data import TrialData
from workers.lanes.lane import LaneTrial
from workers.lanes.lane_group import LaneGroup
from workers.models.build import build_model
from workers.models.layers import weights_of
from workers.training.randomness import Purpose, derive_seed

CPU = torch.device("cpu")
SEED = 5
MODELS: list[dict[str, Any]] = [
    {"name": "mlp", "hidden": []},
    {"name": "mlp", "hidden": [9, 5], "batch_norm": True},
    {"name": "cnn", "blocks": [{"channels": 3}, {"channels": 4, "kernel": 2}], "dense": [5], "batch_norm": True},
    {"name": "lenet"},
]
PENALTIES: list[dict[str, Any]] = [
    {},
    {"gradient_clip": 0.05},
    {"gradient_clip": 1e6},
    {"l1_decay": 0.01},
    {"label_smoothing": 0.2},
    {"gradient_clip": 0.1, "l1_decay": 0.02, "label_smoothing": 0.1, "weight_decay": 0.1},
]


def plain_optimizer(training: Training, model: nn.Module) -> torch.optim.Optimizer:
    if training.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(), training.learning_rate, training.momentum, weight_decay=training.weight_decay
        )
    make = torch.optim.Adam if training.optimizer == "adam" else torch.optim.AdamW
    return make(model.parameters(), training.learning_rate, weight_decay=training.weight_decay)


def plain_loop(training: Training, data: TrialData) -> tuple[nn.Module, list[list[float]]]:
    """The model, and of every epoch the losses and accuracies in the order of EPOCH_METRICS."""
    torch.manual_seed(derive_seed(SEED, Purpose.INITIALIZATION))
    model = build_model(training.model, (1, 12, 12), data.n_classes).double()
    optimizer = plain_optimizer(training, model)
    images = (data.images.double() - data.mean.double()) / data.std.double()
    figures = []
    for epoch in range(training.epochs):
        order = torch.randperm(
            len(data.train), generator=Generator().manual_seed(derive_seed(SEED, Purpose.ORDER, epoch))
        )
        loss_sum = n_correct = 0.0
        model.train()
        for batch in torch.split(data.train[order], training.batch_size):
            logits = model(images[batch])
            loss = F.cross_entropy(logits, data.labels[batch], label_smoothing=training.label_smoothing)
            penalty = sum((weight.abs().sum() for weight in weights_of(model)), torch.zeros(()))
            optimizer.zero_grad()
            (loss + training.l1_decay * penalty).backward()  # type: ignore[no-untyped-call]
            if training.gradient_clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), training.gradient_clip)
            optimizer.step()
            loss_sum += loss.item() * len(batch)
            n_correct += (logits.argmax(1) == data.labels[batch]).sum().item()
        model.eval()
        with torch.no_grad():
            logits, targets = model(images[data.validation]), data.labels[data.validation]
        validated = [F.cross_entropy(logits, targets).item(), (logits.argmax(1) == targets).double().mean().item()]
        figures.append([loss_sum / len(data.train), n_correct / len(data.train), *validated])
    return model, figures


@pytest.mark.covering(2)
@pytest.mark.parametrize("penalties", PENALTIES, ids=str)
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: "-".join(map(str, model.values()))[:30])
def test_a_lane_equals_the_plain_loop(
    model: dict[str, Any], optimizer: str, penalties: dict[str, Any], trial_data: TrialData
) -> None:
    momentum = {"momentum": 0.9} if optimizer == "sgd" else {}
    fields = {"dataset": "digits", "model": model, "optimizer": optimizer, "epochs": 2, "batch_size": 24}
    training = Training.model_validate(fields | momentum | penalties)
    expected_model, expected = plain_loop(training, trial_data)
    group = LaneGroup(training, trial_data, CPU, 1, dtype=torch.float64)
    group.load(LaneTrial(training, SEED))
    results = []
    while group.lanes:
        results += group.step()
    found = [list(result.metrics.values())[:4] for result in results]
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), rtol=1e-9, atol=1e-9)
    assert results[-1].weights is not None
    weights = group.model(results[-1].lane, results[-1].weights).double().state_dict()
    for name, weight in expected_model.state_dict().items():
        if weight.is_floating_point():
            torch.testing.assert_close(weights[name], weight, rtol=1e-5, atol=1e-6)
