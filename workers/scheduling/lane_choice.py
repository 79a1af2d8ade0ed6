"""How many lanes are fastest: measured on this device for each fusion key."""

import logging
import time
from collections.abc import Callable

import torch

from service.schemas.study.limits import MAX_LANES
from service.schemas.study.training import Training
from workers.data.trial_data import TrialData
from workers.faults import is_out_of_memory
from workers.lanes.fusion_key import fusion_key
from workers.lanes.lane import LaneTrial
from workers.lanes.lane_group import LaneGroup

logger = logging.getLogger("narrows.worker")

MEASURED_SECONDS = 0.03
N_MEASUREMENTS = 5
"""Each lane count is timed N_MEASUREMENTS times for MEASURED_SECONDS; the fastest run is kept, because background load
can only slow a run down."""
MARGIN = 0.05
"""Doubling the lanes must gain more than this: it costs memory, and the sampler then knows fewer finished trials."""
LONGEST_SECONDS = 3.0
"""No measurement starts later than this: just making the models of a thousand lanes takes seconds."""
N_SLOW = 2
"""The search ends after this many doublings in a row without a gain."""

Measure = Callable[[Training, TrialData, int], float]
"""Batches per second of all lanes together, for a training, its data and a number of lanes."""
NewGroup = Callable[[Training, TrialData, torch.device, int], LaneGroup]


class LaneChoice:
    """Chooses the number of lanes for each fusion key.

    `n_lanes` fixes the number for all keys; None measures it with `measure`.
    """

    def __init__(
        self,
        device: torch.device,
        n_lanes: int | None,
        measure: Measure | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clock = clock
        self._n_lanes = n_lanes
        self._measure = measure or (lambda training, data, n: batches_per_second(training, data, device, n))
        self._rates: dict[str, dict[int, float]] = {}
        self._limits: dict[str, int] = {}

    def choose(self, training: Training, data: TrialData, max_lanes: int | None) -> int:
        """The fixed number of lanes if there is one; otherwise the fastest number up to `max_lanes`.

        Raises what training a single lane raises.
        """
        key = fusion_key(training)
        limit = self._limits.get(key, MAX_LANES)
        if self._n_lanes is not None:
            return min(self._n_lanes, limit)
        limit = min(limit, max_lanes or MAX_LANES)
        rates = self._rates.setdefault(key, {})
        if self._measure_more(rates, training, data, limit):
            self._log(training, rates)
        return _smallest_good({n: rate for n, rate in rates.items() if n <= limit})

    def halve(self, key: str, n_lanes: int) -> int:
        """Halve the limit of a fusion key after `n_lanes` were too many. Returns the new limit."""
        self._limits[key] = max(1, n_lanes // 2)
        return self._limits[key]

    def _measure_more(self, rates: dict[int, float], training: Training, data: TrialData, limit: int) -> bool:
        """Measure 1, 2, 4, … lanes up to `limit`, while memory lasts and the rate grows.

        Returns whether anything was measured. Raises what training a single lane raises.
        """
        started_at, n_before = self._clock(), len(rates)
        while (n := 2 ** len(rates)) <= limit and _goes_on(rates) and self._clock() - started_at < LONGEST_SECONDS:
            try:
                rates[n] = self._measure(training, data, n)
            except Exception as error:
                if n == 1 or not is_out_of_memory(error):
                    raise
                rates[n] = 0.0
        return len(rates) > n_before

    def _log(self, training: Training, rates: dict[int, float]) -> None:
        n_lanes = _smallest_good(rates)
        shown = ", ".join(f"{n}: {rate:,.0f}" for n, rate in rates.items() if rate)
        model = training.model.model_dump_json(exclude_defaults=True)
        logger.info(
            "lanes of %s, batches of %d: %d (batches/s by lanes: %s)", model, training.batch_size, n_lanes, shown
        )


def batches_per_second(
    training: Training, data: TrialData, device: torch.device, n_lanes: int, new_group: NewGroup = LaneGroup
) -> float:
    """Batches per second of all lanes together, evaluation included; 0 if the model cannot train in several lanes."""
    endless = training.model_copy(update={"epochs": 100_000, "early_stopping": None})
    group = new_group(endless, data, device, n_lanes)
    if n_lanes > 1 and not group.fuses:
        return 0.0
    for seed in range(n_lanes):
        group.load(LaneTrial(endless, seed))
    group.step()
    _wait_for(device)
    return n_lanes * max(_steps_per_second(group, device) for _ in range(N_MEASUREMENTS))


def _steps_per_second(group: LaneGroup, device: torch.device) -> float:
    started_at, n_steps = time.perf_counter(), 0
    while True:
        group.step()
        n_steps += 1
        _wait_for(device)
        seconds = time.perf_counter() - started_at
        if seconds >= MEASURED_SECONDS:
            return n_steps / seconds


def _goes_on(rates: dict[int, float]) -> bool:
    """Whether to measure twice as many lanes: they fitted into memory so far, and a recent doubling was a gain."""
    measured = list(rates.values())
    if 0.0 in measured:
        return False
    return len(measured) <= N_SLOW or max(measured[-N_SLOW:]) > (1 + MARGIN) * max(measured[:-N_SLOW])


def _smallest_good(rates: dict[int, float]) -> int:
    best = max(rates.values())
    return min(n for n, rate in rates.items() if rate >= (1 - MARGIN) * best)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
