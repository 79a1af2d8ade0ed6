from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from service.schemas.study.models import BuiltInModel, Model, n_dropout_layers
from workers.errors import ModelError
from workers.models.build import build_model, dropout_rates
from workers.models.layers import Dropout, GaussianNoise

SCHEMA: TypeAdapter[BuiltInModel] = TypeAdapter(Model)


def build(model: Any, shape: tuple[int, int, int] = (1, 28, 28), n_classes: int = 10) -> nn.Module:
    return build_model(SCHEMA.validate_python(model), shape, n_classes)


def n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


MODELS = [
    {"name": "mlp"},
    {"name": "mlp", "hidden": []},
    {"name": "mlp", "hidden": [9, 8, 7], "batch_norm": True, "activation": "gelu"},
    {"name": "cnn"},
    {"name": "cnn", "batch_norm": True, "dense": [], "blocks": [{"channels": 4, "kernel": 4, "pooling": "avg"}]},
    {"name": "cnn", "blocks": [{"channels": 3, "kernel": 2, "pooling": "none"}, {"channels": 5, "pool_size": 3}]},
    {"name": "lenet"},
    {"name": "lenet", "activation": "relu", "pooling": "max"},
    {"name": "resnet18"},
]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 13, 17)])
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_every_model_maps_images_to_logits(model: dict[str, Any], shape: tuple[int, int, int]) -> None:
    logits = build(model, shape, 7)(torch.randn(3, *shape))
    assert logits.shape == (3, 7)
    assert bool(logits.isfinite().all())


@pytest.mark.parametrize(
    ("model", "shape", "expected"),
    [
        ({"name": "mlp", "hidden": []}, (1, 28, 28), 7_850),
        ({"name": "mlp", "hidden": [128, 64]}, (1, 28, 28), 109_386),
        ({"name": "mlp", "hidden": [10], "batch_norm": True}, (1, 2, 2), 40 + 20 + 110),
        ({"name": "cnn"}, (1, 28, 28), 320 + 18_496 + 3_136 * 128 + 128 + 1_290),
        ({"name": "lenet"}, (1, 28, 28), 61_706),
        ({"name": "lenet"}, (1, 32, 32), 61_706),
        ({"name": "resnet18"}, (3, 224, 224), 11_181_642),
        ({"name": "resnet18"}, (3, 32, 32), 11_173_962),
    ],
)
def test_parameter_counts_are_those_of_the_literature(
    model: dict[str, Any], shape: tuple[int, int, int], expected: int
) -> None:
    assert n_parameters(build(model, shape)) == expected


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_each_hidden_layer_is_a_place_of_noise_and_dropout(model: dict[str, Any]) -> None:
    n_layers = n_dropout_layers(SCHEMA.validate_python(model))
    kinds = [type(layer) for layer in build(model).modules() if isinstance(layer, GaussianNoise | Dropout)]
    assert kinds == [GaussianNoise, Dropout] * n_layers


def test_a_list_of_another_length_is_an_error() -> None:
    with pytest.raises(ModelError, match="each of 2 hidden layers: got 3"):
        dropout_rates([0.1, 0.1, 0.1], 2)


def test_conv_blocks_drop_whole_channels() -> None:
    kinds = [layer.whole_channels for layer in build({"name": "cnn"}).modules() if isinstance(layer, Dropout)]
    assert kinds == [True, True, False]


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        ({"name": "lenet"}, (1, 8, 8), "12x12 pixels: got 8x8"),
        ({"name": "cnn", "blocks": [{"channels": 2}] * 4}, (1, 8, 8), "block 3 pools 1x1 by 2"),
        ({"name": "cnn", "blocks": [{"pool_size": 8}]}, (1, 7, 9), "block 0 pools 7x9 by 8"),
    ],
)
def test_images_too_small_are_one_clear_line(model: dict[str, Any], shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build(model, shape)


@pytest.mark.parametrize(("side", "kernel", "pooled"), [(32, 3, False), (64, 3, False), (65, 7, True)])
def test_resnet18_has_a_small_stem_for_small_images(side: int, kernel: int, pooled: bool) -> None:
    module: Any = build({"name": "resnet18"}, (3, side, side))
    assert module.conv1.kernel_size == (kernel, kernel)
    assert isinstance(module.maxpool, nn.MaxPool2d) == pooled


def test_weights_come_from_the_global_generator() -> None:
    torch.manual_seed(4)
    first = build({"name": "resnet18"}).state_dict()
    torch.manual_seed(4)
    second = build({"name": "resnet18"}).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
