from typing import Any

import pytest
import torch
from torch import Tensor

from workers.optimizers import Kind, initial_state, step

DEFAULTS: dict[str, Any] = {
    "weight_decay": 0.0,
    "momentum": 0.0,
    "nesterov": False,
    "beta1": 0.9,
    "beta2": 0.999,
}


def reference(kind: Kind, weights: Tensor, **options: Any) -> torch.optim.Optimizer:
    """torch's class in its plainest form."""
    if kind == "sgd":
        momentum, nesterov = options["momentum"], options["nesterov"] and options["momentum"] > 0
        return torch.optim.SGD(
            [weights],
            lr=0.1,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=options["weight_decay"],
            foreach=False,
        )
    make = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
    betas = (options["beta1"], options["beta2"])
    return make([weights], lr=0.1, betas=betas, weight_decay=options["weight_decay"], foreach=False)


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("sgd", {}),
        ("sgd", {"momentum": 0.9}),
        ("sgd", {"momentum": 0.9, "nesterov": True}),
        ("sgd", {"nesterov": True}),
        ("adam", {}),
        ("adam", {"beta1": 0.5, "beta2": 0.9}),
        ("adamw", {}),
        ("adamw", {"beta1": 0.0, "beta2": 0.99}),
    ],
)
def test_steps_equal_those_of_torch_optim(kind: Kind, options: dict[str, Any], weight_decay: float) -> None:
    options = DEFAULTS | options | {"weight_decay": weight_decay}
    torch.manual_seed(0)
    weights = torch.randn(50, dtype=torch.float64)
    expected = weights.clone().requires_grad_()
    optimizer = reference(kind, expected, **options)
    state = initial_state(kind, weights)
    for number in range(10):
        gradient = torch.randn(50, dtype=torch.float64)
        expected.grad = gradient.clone()
        optimizer.param_groups[0]["lr"] = 0.1 / (1 + number)
        optimizer.step()
        step(kind, weights, gradient.clone(), state, 0.1 / (1 + number), **options)
    torch.testing.assert_close(weights, expected.detach())


@pytest.mark.parametrize(("kind", "momentum"), [("sgd", 0.0), ("sgd", 0.9), ("adam", 0.0)])
def test_weight_decay_equals_half_the_squared_norm_in_the_loss(kind: Kind, momentum: float) -> None:
    decay = 0.3
    torch.manual_seed(0)
    target = torch.randn(20, dtype=torch.float64)
    decayed = torch.randn(20, dtype=torch.float64)
    penalized = decayed.clone().requires_grad_()
    options = DEFAULTS | {"momentum": momentum}
    states = initial_state(kind, decayed), initial_state(kind, decayed)
    for _ in range(10):
        step(kind, decayed, decayed - target, states[0], 0.1, **(options | {"weight_decay": decay}))
        loss = (penalized - target).square().sum() / 2 + decay * penalized.square().sum() / 2
        (gradient,) = torch.autograd.grad(loss, penalized)
        step(kind, penalized, gradient, states[1], 0.1, **options)
    torch.testing.assert_close(decayed, penalized.detach())


def test_weight_decay_of_adamw_shrinks_the_weights_and_leaves_the_moments_alone() -> None:
    weights = torch.tensor([2.0, -3.0], dtype=torch.float64)
    state = initial_state("adamw", weights)
    step("adamw", weights, torch.zeros_like(weights), state, 0.1, **(DEFAULTS | {"weight_decay": 0.5}))
    torch.testing.assert_close(weights, torch.tensor([2.0, -3.0], dtype=torch.float64) * (1 - 0.1 * 0.5))
    assert not state["first_moment"].any()
    assert not state["second_moment"].any()
