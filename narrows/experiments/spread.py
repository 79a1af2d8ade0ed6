"""Figures of several seeds in one cell of a table."""

import math
import statistics
from collections.abc import Sequence

from service.client.text import number


def spread(values: Sequence[float]) -> str:
    """Return the median, followed by the lowest and the highest value if they differ."""
    middle = written(statistics.median(values))
    return middle if min(values) == max(values) else f"{middle} ({written(min(values))} to {written(max(values))})"


def mean_and_error(values: Sequence[float]) -> str:
    """Return the mean, followed by its standard error if there are several values."""
    mean = written(statistics.fmean(values))
    return mean if len(values) == 1 else f"{mean} ± {number(statistics.stdev(values) / len(values) ** 0.5, 2)}"


def written(value: float) -> str:
    """Return a figure as text: `never` for infinity, whole numbers from 1000 on."""
    if math.isinf(value):
        return "never"
    return str(round(value)) if abs(value) >= 1000 else number(float(value))
