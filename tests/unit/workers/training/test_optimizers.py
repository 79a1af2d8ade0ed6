from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from service.schemas.study.training import OptimizerKind
from workers.training.optimizers import Optimizer, PerLaneOptimizer, StackedOptimizer, make_optimizer

Make = Callable[[OptimizerKind, Tensor, Tensor], Optimizer]
MAKERS = [PerLaneOptimizer, StackedOptimizer]


@dataclass
class Options:
    weight_decay: float = 0.0
    momentum: float = 0.0
    nesterov: bool = False
    beta1: float = 0.9
    beta2: float = 0.999


LANES: list[Options] = [
    Options(),
    Options(momentum=0.9, weight_decay=0.05),
    Options(momentum=0.9, nesterov=True),
    Options(nesterov=True, weight_decay=0.2),
    Options(beta1=0.5, beta2=0.9),
    Options(beta1=0.0, beta2=0.99, weight_decay=0.05),
]


def reference(kind: OptimizerKind, weights: Tensor, options: Options) -> torch.optim.Optimizer:
    """Return torch's optimizer, in its plainest form."""
    if kind == "sgd":
        nesterov = options.nesterov and options.momentum > 0
        return torch.optim.SGD(
            [weights],
            lr=0.1,
            momentum=options.momentum,
            nesterov=nesterov,
            weight_decay=options.weight_decay,
            foreach=False,
        )
    make = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
    betas = (options.beta1, options.beta2)
    return make([weights], lr=0.1, betas=betas, weight_decay=options.weight_decay, foreach=False)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_steps_of_each_lane_equal_those_of_torch_optim(kind: OptimizerKind, make: Make) -> None:
    torch.manual_seed(0)
    weights = torch.randn(len(LANES), 50, dtype=torch.float64)
    gradient = torch.zeros_like(weights)
    ours = make(kind, weights, gradient)
    ours.set_lanes(LANES)
    expected = [row.clone().requires_grad_() for row in weights]
    theirs = [reference(kind, row, options) for row, options in zip(expected, LANES, strict=True)]
    for number in range(10):
        rates = [0.1 / (1 + number + lane) for lane in range(len(LANES))]
        gradient.normal_()
        for row, grad, optimizer, rate in zip(expected, gradient, theirs, rates, strict=True):
            row.grad = grad.clone()
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
        ours.step(slice(0, 2), rates[:2])
        ours.step(slice(2, len(LANES)), rates[2:])
    torch.testing.assert_close(weights, torch.stack([row.detach() for row in expected]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kind", "momentum"), [("sgd", 0.0), ("sgd", 0.9), ("adam", 0.0)])
def test_weight_decay_equals_half_the_squared_norm_in_the_loss(kind: OptimizerKind, momentum: float) -> None:
    decay = 0.3
    torch.manual_seed(0)
    target = torch.randn(20, dtype=torch.float64)
    start = torch.randn(20, dtype=torch.float64)
    weights, gradient = start.repeat(2, 1), torch.zeros(2, 20, dtype=torch.float64)
    optimizer = make_optimizer(kind, weights, gradient)
    optimizer.set_lanes([Options(weight_decay=decay, momentum=momentum), Options(momentum=momentum)])
    for _ in range(10):
        gradient[0] = weights[0] - target
        gradient[1] = weights[1] - target + decay * weights[1]
        optimizer.step(slice(0, 2), [0.1, 0.1])
    torch.testing.assert_close(weights[0], weights[1])
    assert not torch.equal(weights[0], start)


def test_weight_decay_of_adamw_shrinks_the_weights_and_leaves_the_moments_alone() -> None:
    weights = torch.tensor([[2.0, -3.0]], dtype=torch.float64)
    optimizer = make_optimizer("adamw", weights, torch.zeros_like(weights))
    optimizer.set_lanes([Options(weight_decay=0.5)])
    optimizer.step(slice(0, 1), [0.1])
    torch.testing.assert_close(weights, torch.tensor([[2.0, -3.0]], dtype=torch.float64) * (1 - 0.1 * 0.5))
    assert not optimizer.state["first_moment"].any()
    assert not optimizer.state["second_moment"].any()
