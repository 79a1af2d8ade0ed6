import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from service.schemas.study.training import Constant, Cosine, OneCycle, Step
from workers.training.schedules import learning_rate_factor

EPOCHS = 5
STEPS_PER_EPOCH = 8
TOTAL = EPOCHS * STEPS_PER_EPOCH
LEARNING_RATE = 0.3


def rates_of_torch(make: Callable[[torch.optim.Optimizer], Any]) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LEARNING_RATE)
    scheduler = make(optimizer)
    rates = []
    for _ in range(TOTAL):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a step beyond the last is one too many for OneCycleLR
            if len(rates) < TOTAL:
                scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        (Constant(name="constant"), lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
        (Cosine(name="cosine"), lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL)),
        (
            Cosine(name="cosine", final_fraction=0.1),
            lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL, eta_min=0.1 * LEARNING_RATE),
        ),
        (
            OneCycle(name="onecycle"),
            lambda o: lr_scheduler.OneCycleLR(o, LEARNING_RATE, total_steps=TOTAL, cycle_momentum=False),
        ),
        (
            OneCycle(name="onecycle", warmup_fraction=0.5),
            lambda o: lr_scheduler.OneCycleLR(o, LEARNING_RATE, total_steps=TOTAL, pct_start=0.5, cycle_momentum=False),
        ),
        (
            Step(name="step", step_epochs=2, gamma=0.5),
            lambda o: lr_scheduler.StepLR(o, 2 * STEPS_PER_EPOCH, gamma=0.5),
        ),
    ],
    ids=lambda part: "torch" if callable(part) else str(part),
)
def test_rates_equal_those_of_torch(
    schedule: Constant | Cosine | OneCycle | Step, make: Callable[[torch.optim.Optimizer], Any]
) -> None:
    rates = [
        LEARNING_RATE * learning_rate_factor(schedule, step, total_steps=TOTAL, steps_per_epoch=STEPS_PER_EPOCH)
        for step in range(TOTAL)
    ]
    assert rates == pytest.approx(rates_of_torch(make), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("total_steps", [1, 2, 3])
@pytest.mark.parametrize("warmup_fraction", [0.01, 0.5, 0.99])
def test_onecycle_of_a_few_steps_stays_between_0_and_1(total_steps: int, warmup_fraction: float) -> None:
    schedule = OneCycle(name="onecycle", warmup_fraction=warmup_fraction)
    factors = [
        learning_rate_factor(schedule, step, total_steps=total_steps, steps_per_epoch=1) for step in range(total_steps)
    ]
    assert all(0 < value <= 1 for value in factors)
