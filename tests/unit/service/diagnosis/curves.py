"""Curves as networks make them, by formula."""

import math
from collections.abc import Sequence

from service.diagnosis.curve_pair import CurvePair

N_EPOCHS = 20


def pair(train: Sequence[float], validation: Sequence[float]) -> CurvePair:
    return CurvePair(list(range(len(train))), list(train), list(validation))


def rising(start: float, end: float, n: int = N_EPOCHS, *, speed: float = 5.0) -> list[float]:
    """From start towards end, ever more slowly."""
    return [end - (end - start) * math.exp(-speed * epoch / n) for epoch in range(n)]


def peaking(start: float, top: float, end: float, n: int = N_EPOCHS) -> list[float]:
    """Up to the top within the first third, then down in a straight line."""
    n_up = n // 3
    down = [top + (end - top) * (index + 1) / (n - n_up) for index in range(n - n_up)]
    return rising(start, top, n_up, speed=8.0) + down


HEALTHY = pair(rising(0.3, 0.93, speed=8.0), rising(0.3, 0.9, speed=8.0))
FALLING = pair(rising(0.3, 1.0), peaking(0.3, 0.85, 0.75))
STANDING = pair(rising(0.3, 1.0), rising(0.3, 0.7, speed=12.0))
LOW = pair(rising(0.25, 0.5), rising(0.25, 0.48))
WORSE = pair(rising(0.8, 0.2), rising(0.8, 0.2))
SHORT = pair([0.3, 0.5], [0.3, 0.4])
