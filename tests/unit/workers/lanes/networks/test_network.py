"""Which models share a step on a CPU: those whose convolutions are small."""

from typing import Any

import pytest
import torch

from service.schemas.study.training import Training
from workers.data.trial_data import TrialData, channel_statistics
from workers.lanes.lane_group import LaneGroup
from workers.lanes.networks.network import MOST_PRODUCTS_ON_CPU, n_products
from workers.models.build import build_model

CPU = torch.device("cpu")
SMALL = {"name": "cnn", "blocks": [{"channels": 8}, {"channels": 16}], "dense": [32]}
WIDE = {"name": "cnn", "blocks": [{"channels": 256}], "dense": [32]}


def training(model: Any, **fields: Any) -> Training:
    return Training.model_validate({"dataset": "digits", "model": model, "epochs": 1, "learning_rate": 1e-3} | fields)


def group(one: Training, side: int) -> LaneGroup:
    images = torch.randint(0, 17, (40, 1, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(32)
    labels = torch.arange(40) % 10
    data = TrialData(images, labels, rows, torch.arange(32, 40), *channel_statistics(images, rows), 10)
    return LaneGroup(one, data, CPU, 2)


def test_the_products_of_all_convolutions_are_counted() -> None:
    model = build_model(training(SMALL).model, (1, 8, 8), 10)
    images = torch.zeros(1, 1, 8, 8)
    per_image = 8 * 8 * (8 * 1 * 9) + 4 * 4 * (16 * 8 * 9)
    assert n_products(model, lambda n: images.expand(n, -1, -1, -1), 5) == 5 * per_image
    assert model.training


def test_a_model_is_not_run_if_its_weights_alone_are_too_many() -> None:
    model = build_model(training(WIDE | {"blocks": [{"channels": 256}] * 2}).model, (1, 8, 8), 10)

    def never(_n: int) -> torch.Tensor:
        raise AssertionError("it would take long")

    assert n_products(model, never, 128) > MOST_PRODUCTS_ON_CPU


@pytest.mark.parametrize(
    ("model", "side", "batch_size", "fuses"),
    [(SMALL, 8, 16, True), (SMALL, 8, 64, True), (SMALL, 28, 64, False), (WIDE, 8, 64, False), ("lenet", 28, 1, True)],
)
def test_small_convolutions_share_a_step_on_a_cpu(model: Any, side: int, batch_size: int, fuses: bool) -> None:
    assert group(training(model, batch_size=batch_size), side).fuses == fuses


def test_bf16_shares_no_step_on_a_cpu() -> None:
    assert not group(training(SMALL, batch_size=16, precision="bf16"), 8).fuses
