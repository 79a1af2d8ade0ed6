"""The mlp over lanes against its torch modules, and its gradients against differences of the loss."""

from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from service.schemas.study.models import Mlp
from workers.lanes.loss import cross_entropy
from workers.lanes.networks.mlp import MlpNetwork
from workers.lanes.noise_points import find_noise_points
from workers.lanes.random_masks import RandomMasks, Rates
from workers.lanes.rows import Rows
from workers.models.build import build_model
from workers.models.layers import ACTIVATIONS

CPU = torch.device("cpu")
N_LANES, BATCH_SIZE = 3, 6


class Setup:
    """An mlp over three lanes, with images, labels and random masks."""

    def __init__(self, hidden: list[int], activation: str, batch_norm: bool, rate: float) -> None:
        torch.manual_seed(0)
        model = Mlp(name="mlp", hidden=hidden, activation=activation, batch_norm=batch_norm)  # type: ignore[arg-type]
        self.modules = [build_model(model, (1, 4, 4), 3).double() for _ in range(N_LANES)]
        self.rows = Rows(self.modules[0], N_LANES, CPU, torch.float64)
        for lane, module in enumerate(self.modules):
            for name, parameter in module.named_parameters():
                if "weight" in name and parameter.ndim == 1:
                    nn.init.uniform_(parameter, 0.5, 1.5)
            self.rows.layout.read(module, self.rows.lane(lane))
        self.network = MlpNetwork(self.modules[0], activation, self.rows, fuses=True)
        self.images = torch.randn(N_LANES, BATCH_SIZE, 1, 4, 4, dtype=torch.float64)
        self.labels = torch.randint(0, 3, (N_LANES, BATCH_SIZE))
        points = find_noise_points(self.modules[0], self.images[0, :1])
        self.masks = RandomMasks(points, N_LANES, BATCH_SIZE, self.rows.values)
        self.masks.set_rates([Rates([0.0] + [rate] * len(hidden), [0.0] + [rate] * len(hidden))] * 3)
        self.masks.draw(slice(0, N_LANES), [Generator().manual_seed(lane) for lane in range(N_LANES)], BATCH_SIZE)

    def losses(self) -> tuple[Tensor, Tensor]:
        """Return the losses, [lanes], and the gradient of the logits."""
        logits = self.network.forward(slice(0, N_LANES), self.images, self.masks)
        loss, _, gradient = cross_entropy(logits, self.labels, None)
        return loss, gradient


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_backward_and_evaluation_equal_those_of_the_modules(activation: Any, batch_norm: bool) -> None:
    setup = Setup([7, 5], activation, batch_norm, 0.0)
    loss, gradient = setup.losses()
    setup.network.backward(gradient)
    gradients = setup.rows.gradients(slice(0, N_LANES))
    for lane, module in enumerate(setup.modules):
        expected = nn.functional.cross_entropy(module(setup.images[lane]), setup.labels[lane])
        torch.testing.assert_close(loss[lane], expected.detach())
        expected.backward()  # type: ignore[no-untyped-call]
        for name, parameter in module.named_parameters():
            torch.testing.assert_close(gradients[name][lane], parameter.grad, msg=name)
        for name, buffer in setup.rows.buffers(slice(0, N_LANES)).items():
            torch.testing.assert_close(buffer[lane], dict(module.named_buffers())[name])
    logits = setup.network.evaluate(slice(0, N_LANES), setup.images[0])
    for lane, module in enumerate(setup.modules):
        torch.testing.assert_close(logits[lane], module.eval()(setup.images[0]).detach().T)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_the_gradient_through_noise_and_dropout_is_the_slope_of_the_loss(activation: str, batch_norm: bool) -> None:
    setup = Setup([7, 5], activation, batch_norm, 0.4)
    _, gradient = setup.losses()
    setup.network.backward(gradient)
    direction = torch.randn_like(setup.rows.values) * (setup.rows.values != 0)
    expected = (setup.rows.gradient * direction).sum(1)
    step = 1e-6
    setup.rows.values += step * direction
    above, _ = setup.losses()
    setup.rows.values -= 2 * step * direction
    below, _ = setup.losses()
    torch.testing.assert_close((above - below) / (2 * step), expected, rtol=1e-5, atol=1e-8)
    assert bool((expected != 0).all())


def test_a_part_of_the_lanes_can_take_a_step() -> None:
    setup = Setup([7], "relu", True, 0.0)
    whole = setup.network.forward(slice(0, 3), setup.images, setup.masks).clone()
    part = setup.network.forward(slice(1, 3), setup.images[1:], setup.masks)
    torch.testing.assert_close(part, whole[1:])
