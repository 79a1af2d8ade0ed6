"""The rule by which a range closes in on the values of the best trials, in log space for log parameters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.schemas.rounds import RangeVerdict
from service.schemas.study.search_space import FloatParameter

EDGE_SHARE = 0.02
"""A value lies at the edge of a range if its distance to an end is at most this share of the range's width."""

ROUNDING = 1e-9


@dataclass(frozen=True)
class NarrowedRange:
    """A range of the next round, how it differs from the present one, and a note if it was not just shrunk."""

    low: float
    high: float
    verdict: RangeVerdict
    note: str | None = None


def narrow_range(first: FloatParameter, now: FloatParameter, values: Sequence[float], margin: float) -> NarrowedRange:
    """The next range of a parameter whose first range is `first` and whose present range is `now`.

    It encloses `values`, which are the values of the kept trials, best first, plus `margin` on both sides, a share of
    the present range's width. A range grows only if the best value lies at its edge or kept values lie outside of it,
    and never beyond the first range.
    """
    if not values:
        return NarrowedRange(now.low, now.high, "kept", "no kept trial has this parameter")
    width = _scaled(now, now.last) - _scaled(now, now.low)
    best = _scaled(now, values[0])
    if best - _scaled(now, now.low) <= EDGE_SHARE * width:
        return _at_edge(first, now, values, "low", now.low <= first.low, (margin * width, 0.0))
    if _scaled(now, now.last) - best <= EDGE_SHARE * width:
        return _at_edge(first, now, values, "high", now.last >= first.last, (0.0, margin * width))
    return _around(first, now, values, margin * width)


def _around(first: FloatParameter, now: FloatParameter, values: Sequence[float], margin: float) -> NarrowedRange:
    smallest, largest = min(values), max(values)
    # Neither end moves outwards, unless a kept value lies outside of the present range.
    low = max(_moved(first, smallest, -margin), min(now.low, smallest))
    high = min(_moved(first, largest, margin), max(now.last, largest))
    low, high = _snapped(first, low, high)
    if not low < high:
        return NarrowedRange(
            now.low, now.high, "kept", "all kept trials have the same value, and margin does not widen it"
        )
    if low <= now.low and high >= now.last:
        return _unshrunk(now, low, high, "the kept trials lie all over the range")
    if low >= now.low and high <= now.last:
        return NarrowedRange(low, high, "shrunk")
    before, after = _scaled(now, now.last) - _scaled(now, now.low), _scaled(now, high) - _scaled(now, low)
    smaller = after < before * (1 - ROUNDING)
    note = f"kept trials lie outside of the range: it becomes {low:.4g} to {high:.4g}"
    return NarrowedRange(low, high, "shrunk" if smaller else "widened", note)


def _at_edge(
    first: FloatParameter,
    now: FloatParameter,
    values: Sequence[float],
    end: str,
    is_first: bool,
    margins: tuple[float, float],
) -> NarrowedRange:
    """The range is not shrunk, as better values may lie beyond its `end`. It grows there, within the first range."""
    below, above = margins
    low = _moved(first, min(now.low, *values), -below)
    high = _moved(first, max(now.last, *values), above)
    note = f"the best trial lies at the {end} end of the range, {values[0]:.4g}"
    if is_first:
        note = f"{note}: it should be widened by a new study with a {end}er {end}"
    return _unshrunk(now, *_snapped(first, low, high), note)


def _unshrunk(now: FloatParameter, low: float, high: float, note: str) -> NarrowedRange:
    if low >= now.low and high <= now.last:
        return NarrowedRange(now.low, now.high, "kept", note)
    return NarrowedRange(low, high, "widened", f"{note}: it becomes {low:.4g} to {high:.4g}")


def _snapped(first: FloatParameter, low: float, high: float) -> tuple[float, float]:
    """The bounds cut to the first range. With a step they are moved outwards to its grid."""
    low, high = max(first.low, low), min(first.last, high)
    if first.step is None:
        return low, high
    from_step = math.floor(round((low - first.low) / first.step, 6))
    to_step = math.ceil(round((high - first.low) / first.step, 6))
    return max(first.low, first.at(from_step)), min(first.last, first.at(to_step))


def _scaled(parameter: FloatParameter, value: float) -> float:
    return math.log(value) if parameter.log else value


def _moved(first: FloatParameter, value: float, distance: float) -> float:
    """The value moved by a distance on the parameter's own scale, and at most to an end of the first range."""
    if distance == 0:
        return value
    moved = _scaled(first, value) + distance
    if moved <= _scaled(first, first.low):  # a bound is reached as it was written: exp(log(0.001)) is not 0.001
        return first.low
    if moved >= _scaled(first, first.last):
        return first.last
    unscaled = math.exp(moved) if first.log else moved
    return min(value, unscaled) if distance < 0 else max(value, unscaled)


def share_of_first(first: FloatParameter, low: float, high: float) -> float:
    """The width of a range as a share of the first range's width, on the parameter's own scale."""
    whole = _scaled(first, first.last) - _scaled(first, first.low)
    return 1.0 if whole == 0 else (_scaled(first, high) - _scaled(first, low)) / whole
