"""Linear layers whose large products oneDNN computes, against torch modules."""

import pytest
import torch
from torch import Tensor, nn

from workers.lanes.networks import products
from workers.lanes.networks.mlp import Linear

N_LANES, N_INPUTS, N_UNITS = 3, 784, 50


@pytest.fixture(autouse=True, params=[True, False], ids=["onednn", "mkl"])
def onednn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both ways, whatever processor this machine has."""
    chosen: bool = request.param
    monkeypatch.setattr(products, "onednn_is_faster", lambda: chosen)
    return chosen


class Layer:
    def __init__(self, bias: bool) -> None:
        torch.manual_seed(1)
        self.modules = [nn.Linear(N_INPUTS, N_UNITS, bias=bias) for _ in range(N_LANES)]
        self.parameters = {
            f"a.{name}": torch.stack([dict(module.named_parameters())[name].detach() for module in self.modules])
            for name, _ in self.modules[0].named_parameters()
        }
        self.gradients = {name: torch.full_like(tensor, torch.nan) for name, tensor in self.parameters.items()}

    def linear(self, lanes: slice) -> Linear:
        return Linear(
            "a",
            {name: tensor[lanes] for name, tensor in self.parameters.items()},
            {name: tensor[lanes] for name, tensor in self.gradients.items()},
        )


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_size", [1, 63, 64, 100, 128])
def test_a_layer_equals_its_modules(onednn: bool, batch_size: int, bias: bool) -> None:
    layer = Layer(bias)
    linear = layer.linear(slice(None))
    images = torch.randn(N_LANES, batch_size, N_INPUTS)
    out = torch.full((N_LANES, N_UNITS, batch_size), torch.nan)

    got = linear.forward(images.mT, out)
    gradient = torch.randn(got.shape)
    linear.backward(gradient)

    assert got is out
    for lane, module in enumerate(layer.modules):
        expected = module(images[lane])
        _close(got[lane].mT, expected)
        expected.backward(gradient[lane].mT)
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None
            _close(layer.gradients[f"a.{name}"][lane], parameter.grad)


@pytest.mark.parametrize("shared", [True, False], ids=["the same images", "each its own"])
def test_an_evaluation_equals_that_of_the_modules(onednn: bool, shared: bool) -> None:
    layer = Layer(bias=True)
    images = torch.randn(500, N_INPUTS) if shared else torch.randn(N_LANES, 500, N_INPUTS)

    got = layer.linear(slice(None)).evaluate(images.mT)

    for lane, module in enumerate(layer.modules):
        _close(got[lane].mT, module(images if shared else images[lane]))


def test_a_lane_does_not_depend_on_its_neighbours() -> None:
    layer = Layer(bias=True)
    images = torch.randn(N_LANES, 128, N_INPUTS)
    gradient = torch.randn(N_LANES, N_UNITS, 128)

    together = _train(layer, slice(0, N_LANES), images, gradient)
    alone = _train(layer, slice(1, 2), images[1:2], gradient[1:2])

    for ours, theirs in zip(together, alone, strict=True):
        assert torch.equal(ours[1], theirs[0])


def test_small_weights_and_other_types_are_left_to_pytorch(onednn: bool) -> None:
    assert products.is_large(torch.zeros(2, N_UNITS, N_INPUTS)) is onednn
    assert not products.is_large(torch.zeros(2, 50, 50))
    assert not products.is_large(torch.zeros(2, N_UNITS, N_INPUTS, dtype=torch.float64))
    assert not products.is_large(torch.zeros(2, N_UNITS, N_INPUTS, device="meta"))


def _train(layer: Layer, lanes: slice, images: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    linear = layer.linear(lanes)
    outputs = linear.forward(images.mT, torch.empty(len(images), N_UNITS, 128))
    linear.backward(gradient)
    return outputs.clone(), layer.gradients["a.weight"][lanes].clone()


def _close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-4, atol=1e-5)
