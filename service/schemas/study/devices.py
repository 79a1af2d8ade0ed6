"""How many devices one trial has, or which share of one, and how its code is started on them."""

import math
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

MAX_DEVICES = 1024
MAX_TRIALS_PER_DEVICE = 64
"""How many trials may share one device, at most."""
PYTHON = "python"
"""The name of a program that stands for the worker's own interpreter."""


def _check_devices(value: Any) -> int | float:
    """Raises one error instead of one for each member of the union."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_DEVICES:
        raise PydanticCustomError("devices", "must be a number above 0 and at most {limit}", {"limit": MAX_DEVICES})
    if value == int(value):
        return int(value)
    share_of(value)
    return value


def share_of(devices: float) -> Fraction:
    """The share of each of its devices that a trial has: exactly 1/k for 0.5, 0.25, 0.33 and the like, else 1.

    Raises ValueError for a number that is neither whole nor 1/k, rounded to two digits or more.
    """
    if devices >= 1 and devices == int(devices):
        return Fraction(1)
    k = round(1 / devices) if devices > 0 else 0
    is_share = 2 <= k <= MAX_TRIALS_PER_DEVICE and any(
        math.isclose(round(1 / k, digits), devices, rel_tol=1e-12) for digits in range(2, 18)
    )
    if not is_share:
        raise ValueError(
            f"devices must be a whole number, or the share 1/k of one device, such as 0.5, 0.33 or 0.25, for at most "
            f"{MAX_TRIALS_PER_DEVICE} trials at a time: {devices}"
        )
    return Fraction(1, k)


def whole(devices: float) -> int:
    """How many devices a trial uses, of which it may have a share only."""
    return max(1, int(devices))


Devices = Annotated[
    int | float,
    BeforeValidator(_check_devices),
    Field(
        gt=0,
        le=MAX_DEVICES,
        description="Devices that a trial has to itself, for workers whose processes have groups of as many; or the "
        "share of one device, such as 0.25, so that a worker process trains four trials at a time.",
        examples=[1],
    ),
]
Launch = Annotated[
    Literal["torchrun"] | None,
    Field(
        description="`torchrun` starts the code once for each of the trial's devices, as processes that talk to one "
        "another; null starts it once.",
        examples=[None],
    ),
]


def check_launch(launch: str | None, devices: float, program: str = PYTHON) -> None:
    """Raises ValueError if code that runs in `program` cannot be started like this on so many devices."""
    if launch is None:
        return
    if devices < 1:
        raise ValueError(f"launch: {launch} needs whole devices, one for each process: devices={devices}")
    if program != PYTHON:
        raise ValueError(f"launch: {launch} starts Python programs: the command must begin with python: {program!r}")
