"""The rule by which a range closes in on the values of the best trials, in log space for log parameters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.schemas.rounds import RangeVerdict
from service.schemas.study.search_space import FloatParameter

EDGE_SHARE = 0.02
"""A value as near to an end of its range, as a share of the range's width, lies at its edge."""

ROUNDING = 1e-9


@dataclass(frozen=True)
class Narrowed:
    """A range of the next round: what became of the present one, and why if it was not just shrunk."""

    low: float
    high: float
    verdict: RangeVerdict
    note: str | None = None


def narrow(first: FloatParameter, now: FloatParameter, values: Sequence[float], margin: float) -> Narrowed:
    """The next range of a parameter: around `values`, those of the kept trials in the first range, best first.

    `margin` is a share of the present range's width, on either side. A range grows only when the best value lies at
    its edge or kept values lie outside of it, and never beyond the first one.
    """
    if not values:
        return Narrowed(now.low, now.high, "kept", "no kept trial has a value of it")
    width = _scaled(now, now.last) - _scaled(now, now.low)
    best = _scaled(now, values[0])
    if best - _scaled(now, now.low) <= EDGE_SHARE * width:
        return _at_edge(first, now, values, "low", now.low <= first.low, (margin * width, 0.0))
    if _scaled(now, now.last) - best <= EDGE_SHARE * width:
        return _at_edge(first, now, values, "high", now.last >= first.last, (0.0, margin * width))
    return _around(first, now, values, margin * width)


def _around(first: FloatParameter, now: FloatParameter, values: Sequence[float], margin: float) -> Narrowed:
    smallest, largest = min(values), max(values)
    # It grows nowhere, unless a kept value lies outside of it.
    low = max(_moved(first, smallest, -margin), min(now.low, smallest))
    high = min(_moved(first, largest, margin), max(now.last, largest))
    low, high = _snapped(first, low, high)
    if not low < high:
        return Narrowed(now.low, now.high, "kept", "the kept trials have but one value of it, and margin adds nothing")
    if low <= now.low and high >= now.last:
        return _unshrunk(now, low, high, "the kept trials lie all over it")
    if low >= now.low and high <= now.last:
        return Narrowed(low, high, "shrunk")
    before, after = _scaled(now, now.last) - _scaled(now, now.low), _scaled(now, high) - _scaled(now, low)
    smaller = after < before * (1 - ROUNDING)
    note = f"kept trials lie outside of it: it goes on from {low:.4g} to {high:.4g}"
    return Narrowed(low, high, "shrunk" if smaller else "widened", note)


def _at_edge(
    first: FloatParameter,
    now: FloatParameter,
    values: Sequence[float],
    end: str,
    is_first: bool,
    margins: tuple[float, float],
) -> Narrowed:
    """A range that is not shrunk, as the best may lie beyond its end: it goes on there if the first range does."""
    below, above = margins
    low = _moved(first, min(now.low, *values), -below)
    high = _moved(first, max(now.last, *values), above)
    note = f"the best trial lies at its {end} end, {values[0]:.4g}"
    if is_first:
        note = f"{note}: it should be widened, by a new study's {end}er {end}"
    return _unshrunk(now, *_snapped(first, low, high), note)


def _unshrunk(now: FloatParameter, low: float, high: float, note: str) -> Narrowed:
    if low >= now.low and high <= now.last:
        return Narrowed(now.low, now.high, "kept", note)
    return Narrowed(low, high, "widened", f"{note}: it goes on from {low:.4g} to {high:.4g}")


def _snapped(first: FloatParameter, low: float, high: float) -> tuple[float, float]:
    """Bounds within the first range; with a step outwards onto its grid."""
    low, high = max(first.low, low), min(first.last, high)
    if first.step is None:
        return low, high
    from_step = math.floor(round((low - first.low) / first.step, 6))
    to_step = math.ceil(round((high - first.low) / first.step, 6))
    return max(first.low, first.at(from_step)), min(first.last, first.at(to_step))


def _scaled(parameter: FloatParameter, value: float) -> float:
    return math.log(value) if parameter.log else value


def _moved(first: FloatParameter, value: float, distance: float) -> float:
    """A value that lies so far away on the parameter's own scale, no further than the first range goes."""
    if distance == 0:
        return value
    moved = _scaled(first, value) + distance
    if moved <= _scaled(first, first.low):  # a bound is reached as it was written: exp(log(0.001)) is not 0.001
        return first.low
    if moved >= _scaled(first, first.last):
        return first.last
    unscaled = math.exp(moved) if first.log else moved
    return min(value, unscaled) if distance < 0 else max(value, unscaled)


def share(first: FloatParameter, low: float, high: float) -> float:
    """How much of the first range another one is, on the parameter's own scale."""
    whole = _scaled(first, first.last) - _scaled(first, first.low)
    return 1.0 if whole == 0 else (_scaled(first, high) - _scaled(first, low)) / whole
