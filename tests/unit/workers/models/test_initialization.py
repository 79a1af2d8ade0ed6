import math
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from service.schemas.study.models import BuiltInModel, Model
from workers.models.build import build_model
from workers.models.initialization import GAINS
from workers.models.layers import ACTIVATIONS

SCHEMA: TypeAdapter[BuiltInModel] = TypeAdapter(Model)

MLP = {"name": "mlp", "hidden": [300, 100]}
IMAGES = torch.randn(200, 1, 28, 28, generator=torch.Generator().manual_seed(0))
CNN = {"name": "cnn", "blocks": [{"channels": 64, "kernel": 4}, {"channels": 32}], "dense": [50]}


def weighted_layers(model: dict[str, Any]) -> list[nn.Linear | nn.Conv2d]:
    torch.manual_seed(0)
    module = build_model(SCHEMA.validate_python(model), (3, 16, 16), 10)
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]


@pytest.mark.parametrize("model", [MLP, CNN], ids=["mlp", "cnn"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("initialization", ["he", "xavier"])
def test_weights_are_normal_by_the_gain_and_biases_are_zero(
    model: dict[str, Any], activation: str, initialization: str
) -> None:
    for layer in weighted_layers({**model, "activation": activation, "initialization": initialization}):
        window = layer.weight[0, 0].numel()
        n_outputs, n_inputs = layer.weight.shape[0] * window, layer.weight.shape[1] * window
        variance = 1 / n_inputs if initialization == "he" else 2 / (n_inputs + n_outputs)
        gain = 5 / 3 if activation == "tanh" else math.sqrt(2)
        spread = layer.weight.detach() / (gain * math.sqrt(variance))
        n = spread.numel()
        assert abs(float(spread.mean())) < 4 / n**0.5
        assert abs(float(spread.std()) - 1) < 4 / (2 * n) ** 0.5
        assert float((spread.abs() > 2).float().mean()) == pytest.approx(0.0455, abs=4 * (0.0434 / n) ** 0.5)
        assert layer.bias is not None
        assert bool((layer.bias == 0).all())


def test_only_he_keeps_the_size_of_signals_through_many_relu_layers() -> None:
    sizes = {}
    for initialization in ("default", "he"):
        torch.manual_seed(0)
        deep = {"name": "mlp", "hidden": [100] * 6, "initialization": initialization}
        module = build_model(SCHEMA.validate_python(deep), (1, 28, 28), 10)
        with torch.no_grad():
            sizes[initialization] = float(module(IMAGES).std(0).mean())
    assert 0.5 < sizes["he"] < 3
    assert sizes["default"] < 0.05


def test_initialization_leaves_batch_norm_as_it_is() -> None:
    module = build_model(SCHEMA.validate_python({**CNN, "batch_norm": True, "initialization": "he"}), (3, 16, 16), 10)
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert len(norms) == 3
    assert all(bool((norm.weight == 1).all() and (norm.bias == 0).all()) for norm in norms)


def test_by_default_weights_are_as_pytorch_draws_them() -> None:
    for layer in weighted_layers(MLP):
        reference = nn.Linear(layer.weight.shape[1], layer.weight.shape[0])
        assert float(layer.weight.detach().abs().max()) <= layer.weight.shape[1] ** -0.5
        assert float(layer.weight.detach().std()) == pytest.approx(float(reference.weight.detach().std()), rel=0.05)
    assert all(
        torch.equal(one.weight, other.weight)
        for one, other in zip(weighted_layers(MLP), weighted_layers({**MLP, "initialization": "default"}), strict=True)
    )


def test_every_activation_has_a_gain_and_it_is_that_of_pytorch() -> None:
    assert GAINS.keys() == ACTIVATIONS.keys()
    for name in ("relu", "tanh", "sigmoid"):
        assert GAINS[name] == pytest.approx(nn.init.calculate_gain(name))


@pytest.mark.parametrize("model", [{**MLP, "initialization": "zeros"}, {"name": "lenet", "initialization": "he"}])
def test_unknown_initializations_are_refused(model: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="initialization"):
        SCHEMA.validate_python(model)
