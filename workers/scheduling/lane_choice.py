"""How many lanes are fastest, found out while trials train: every step that is timed is a step of theirs."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.schemas.study.limits import MAX_LANES
from workers.scheduling.lane_times import LaneTimes
from workers.scheduling.step_cost import Shape

MEASURED_SECONDS = 0.03
N_MEASUREMENTS = 5
"""Each number of lanes is timed N_MEASUREMENTS times for MEASURED_SECONDS. The fastest time is kept, because background
load can only slow a step down."""
MARGIN = 0.05
"""More lanes must gain more than this: they cost memory, and the sampler then knows fewer finished trials."""
PADDING_MARGIN = 0.15
"""Padded lanes must gain more than this. Without them such trials train one after another, so that the sampler and the
pruner know more results: two at a time in each of two processes trained 10 to 20 % more epochs of digits.yaml."""
FIRST_LANES = 4
"""The most lanes of a kind of which nothing was measured yet. Later twice as many as were measured."""
N_SLOW = 2
"""No more doublings, or halvings, of the lanes are tried after this many in a row without a gain."""


@dataclass
class Timing:
    """Batches of all lanes that are being timed together, and how many times that was done."""

    seconds: float = 0.0
    n_batches: int = 0
    n_done: int = 0


class LaneChoice:
    """Chooses the number of lanes of each shape, and how many of them take a step together.

    `n_lanes` fixes the number of lanes; None finds the best one by `times`.
    """

    def __init__(self, n_lanes: int | None, times: LaneTimes, *, measured_seconds: float = MEASURED_SECONDS) -> None:
        self._measured_seconds = measured_seconds
        self._n_lanes = n_lanes
        self._times = times
        self._timings: dict[tuple[Shape, int], Timing] = {}
        self._to_try: dict[Shape, list[int]] = {}
        """Numbers of lanes that are still to be tried, the largest first."""
        self._limits: dict[str, int] = {}
        self._chosen: dict[tuple[Shape, int, bool], int] = {}

    @property
    def is_fixed(self) -> bool:
        """Whether the number of lanes was given."""
        return self._n_lanes is not None

    def n_lanes(self, key: str, shape: Shape, max_lanes: int | None, *, is_padded: bool = False) -> int:
        """The number of lanes for a shape: the fixed one, or the smallest one at nearly the best rate.

        At most `max_lanes`, unless it is fixed, and the limit of the shape's key. A group that is padded changes its
        shape with its trials, so that few of its shapes are timed often enough: what is expected decides.
        """
        limit = self._limits.get(key, MAX_LANES)
        if self._n_lanes is not None:
            return min(self._n_lanes, limit)
        limit = min(limit, max_lanes or MAX_LANES)
        if (shape, limit, is_padded) not in self._chosen:
            self._chosen[shape, limit, is_padded] = self._best(shape, limit, is_padded)
        return self._chosen[shape, limit, is_padded]

    def _best(self, shape: Shape, limit: int, is_padded: bool) -> int:
        measured = {} if is_padded else self._times.measured(shape)
        known = list(measured.values())
        is_slow = len(known) > N_SLOW and max(known[-N_SLOW:]) <= (1 + MARGIN) * max(known[:-N_SLOW])
        if measured and (is_slow or not self.is_settled(shape, max(measured))):
            limit = min(limit, max(measured))
        limit = min(limit, max(FIRST_LANES, 2 * self._times.most_lanes(shape.family)))
        rate = self._times.expected if is_padded else self._times.rate
        rates = {n: rate(shape, n) for n in _doublings(limit)}
        best = max(rates.values())
        return min(n for n, found in rates.items() if found >= (1 - MARGIN) * best)

    def limit(self, key: str, n_lanes: int) -> int:
        """Train no more than this at a time of a fusion key from now on, at least 1. Returns the limit."""
        self._limits[key] = max(1, min(n_lanes, self._limits.get(key, MAX_LANES)))
        return self._limits[key]

    def is_faster(
        self, key: str, joined: Shape, n_lanes: int, apart: Sequence[tuple[Shape, int]], max_lanes: int | None
    ) -> bool:
        """Whether `n_lanes` lanes that are padded to one shape should train together rather than apart.

        `key` and `joined` are those of the shape, and `apart` are groups by shape and number of lanes. A batch of one
        lane must be expected to take less time when the group has as many lanes as the shape is worth.
        """
        n_wanted = self.n_lanes(key, joined, max_lanes, is_padded=True)
        if not self.is_fixed and n_lanes > n_wanted:
            return False
        n_wanted = max(n_lanes, n_wanted)
        seconds_apart = sum(self.seconds(shape, n) for shape, n in apart) / sum(n for _, n in apart)
        return self.seconds(joined, n_wanted) / n_wanted < (1 - PADDING_MARGIN) * seconds_apart

    def seconds(self, shape: Shape, n_lanes: int) -> float:
        """Expected seconds of a step of `n_lanes` lanes."""
        return n_lanes / self._times.expected(shape, n_lanes)

    def n_together(self, shape: Shape, n_loaded: int) -> int:
        """How many of the loaded lanes take the next step together: all, a number to be tried, or the fastest number.

        Numbers below `n_loaded` are tried for a shape that is unlike those of which several numbers were measured.
        """
        if self.is_fixed or n_loaded == 1 or not self.is_timed(shape, n_loaded):
            return n_loaded
        tried = next((n for n in self._to_try.get(shape, []) if n < n_loaded and n_loaded % n == 0), None)
        if tried is not None:
            return tried
        rates = {n: rate for n, rate in self._times.measured(shape).items() if n_loaded % n == 0}
        best = max(rates, key=lambda n: rates[n])
        return best if rates[best] > (1 + MARGIN) * rates[n_loaded] else n_loaded

    def is_timed(self, shape: Shape, n_together: int) -> bool:
        """Whether steps of so many lanes were timed often enough in this process."""
        timing = self._timings.get((shape, n_together))
        return timing is not None and timing.n_done >= N_MEASUREMENTS

    def is_settled(self, shape: Shape, n_loaded: int) -> bool:
        """Whether nothing more will be tried with so many lanes."""
        return self.is_timed(shape, n_loaded) and not self._to_try.get(shape)

    def note(self, shape: Shape, n_together: int, n_loaded: int, seconds: float) -> None:
        """Take note of the seconds that one step of all loaded lanes took, `n_together` at a time."""
        timing = self._timings.setdefault((shape, n_together), Timing())
        timing.seconds += seconds
        timing.n_batches += n_loaded
        if timing.seconds < self._measured_seconds:
            return
        self._chosen.clear()
        self._times.note(shape, n_together, timing.seconds / timing.n_batches * n_together)
        self._timings[shape, n_together] = Timing(n_done=timing.n_done + 1)
        if shape not in self._to_try and n_together == n_loaded > 1 and self.is_timed(shape, n_together):
            is_explored = self._times.is_explored(shape)
            self._to_try[shape] = [] if is_explored else _doublings(n_loaded - 1)[::-1]
        left = self._to_try.get(shape, [])
        if n_together in left and self.is_timed(shape, n_together):
            left.remove(n_together)
            rates = list(self._times.measured(shape).values())
            if len(rates) > N_SLOW and max(rates[:N_SLOW]) <= max(rates[N_SLOW:]):
                left.clear()

    def text(self, key: str, shape: Shape, max_lanes: int | None) -> str:
        """The decision for a fusion key and its reasons, for the log."""
        measured = self._times.measured(shape)
        rates = [f"{n}: {rate:,.0f}" for n, rate in measured.items()]
        n_lanes = self.n_lanes(key, shape, max_lanes)
        if n_lanes not in measured:
            rates.append(f"{n_lanes}: {self._times.rate(shape, n_lanes):,.0f} expected")
        limit = f"; at most {max_lanes} of this study" if max_lanes is not None else ""
        return f"{n_lanes} (batches/s by lanes: {', '.join(rates)}{limit})"

    def save(self) -> None:
        """Keep what was measured for later workers."""
        self._times.save()


def _doublings(most: int) -> list[int]:
    """1, 2, 4, … up to `most`."""
    return [2**power for power in range(most.bit_length())]
