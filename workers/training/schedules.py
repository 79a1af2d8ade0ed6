"""Learning rate schedules: the factor of the learning rate at each step. Steps are batches, counted from 0."""

import math

from service.schemas.study.training import Constant, Cosine, OneCycle, Step

START_DIVISOR = 25.0
END_DIVISOR = 1e4
"""torch.optim.lr_scheduler.OneCycleLR's defaults."""


def learning_rate_factor(
    schedule: Constant | Cosine | OneCycle | Step, step: int, *, total_steps: int, steps_per_epoch: int
) -> float:
    """Return what the learning rate is multiplied by at a step."""
    match schedule:
        case Constant():
            return 1.0
        case Cosine():
            return cosine_factor(step, total_steps, schedule.final_fraction)
        case OneCycle():
            return onecycle_factor(step, total_steps, schedule.warmup_fraction)
        case Step():
            return step_factor(step, steps_per_epoch, schedule.step_epochs, schedule.gamma)


def cosine_factor(step: int, total_steps: int, final_fraction: float) -> float:
    """Fall from 1 at step 0 to `final_fraction` after the last step.

    Equation 5 of Loshchilov and Hutter, arXiv 1608.03983, without restarts.
    """
    return _between(1.0, final_fraction, step / total_steps)


def onecycle_factor(step: int, total_steps: int, warmup_fraction: float) -> float:
    """Rise from 1/25 to 1, then fall to 1/250,000 at the last step (Smith and Topin, arXiv 1708.07120)."""
    start = 1 / START_DIVISOR
    peak = max(warmup_fraction * total_steps - 1, 0.0)
    if step < peak:
        return _between(start, 1.0, step / peak)
    return _between(1.0, start / END_DIVISOR, (step - peak) / max(total_steps - 1 - peak, 1.0))


def step_factor(step: int, steps_per_epoch: int, step_epochs: int, gamma: float) -> float:
    """Multiply by `gamma` after every `step_epochs` epochs."""
    return float(gamma ** (step // steps_per_epoch // step_epochs))


def _between(first: float, last: float, share: float) -> float:
    """Half a cosine wave from `first` at share 0 to `last` at share 1."""
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2
