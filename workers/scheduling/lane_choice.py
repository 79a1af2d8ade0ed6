"""How many trials train at a time: measured on this device, with this model, for each fusion key."""

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
"""Of so many seconds of training at each number of lanes. The fastest counts: what else a machine does only slows."""
MARGIN = 0.05
"""A doubling that brings less is not worth the memory, nor the trials that a sampler has not seen the end of."""
LONGEST_SECONDS = 3.0
"""A measurement is not begun later: the models of a thousand lanes alone take seconds to make."""
N_SLOW = 2
"""So many doublings in a row without a gain end the search."""

Measure = Callable[[Training, TrialData, int], float]
NewGroup = Callable[[Training, TrialData, torch.device, int], LaneGroup]


class LaneChoice:
    """`n_lanes` fixes the number for all keys; None measures. `measure` gives the batches per second of all lanes."""

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

    def choose(self, training: Training, data: TrialData, most: int | None) -> int:
        """At most `most`. Raises what the measured training of a single lane raises."""
        key = fusion_key(training)
        most = min(most or MAX_LANES, self._limits.get(key, MAX_LANES))
        if self._n_lanes is not None:
            return min(self._n_lanes, self._limits.get(key, MAX_LANES))
        rates = self._rates.setdefault(key, {})
        if self._measure_more(rates, training, data, most):
            self._tell(training, rates)
        return _smallest_good({n: rate for n, rate in rates.items() if n <= most})

    def halve(self, key: str, n_lanes: int) -> int:
        """So many were too many: remember, and say how many are left."""
        self._limits[key] = max(1, n_lanes // 2)
        return self._limits[key]

    def _measure_more(self, rates: dict[int, float], training: Training, data: TrialData, most: int) -> bool:
        """Measure one number of lanes after the other, up to `most`, as far as memory goes and it is worth while.

        Whether there was one to measure. Raises what a single lane raises.
        """
        began, n_before = self._clock(), len(rates)
        while (n := 2 ** len(rates)) <= most and _goes_on(rates) and self._clock() - began < LONGEST_SECONDS:
            try:
                rates[n] = self._measure(training, data, n)
            except Exception as error:
                if n == 1 or not is_out_of_memory(error):
                    raise
                rates[n] = 0.0
        return len(rates) > n_before

    def _tell(self, training: Training, rates: dict[int, float]) -> None:
        n_lanes = _smallest_good(rates)
        shown = ", ".join(f"{n}: {rate:,.0f}" for n, rate in rates.items() if rate)
        model = training.model.model_dump_json(exclude_defaults=True)
        logger.info(
            "lanes of %s, batches of %d: %d (batches/s by lanes: %s)", model, training.batch_size, n_lanes, shown
        )


def batches_per_second(
    training: Training, data: TrialData, device: torch.device, n_lanes: int, new_group: NewGroup = LaneGroup
) -> float:
    """Of all lanes together, in training with whatever belongs to it; 0 for lanes that would not train together."""
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
    started, n_steps = time.perf_counter(), 0
    while True:
        group.step()
        n_steps += 1
        _wait_for(device)
        seconds = time.perf_counter() - started
        if seconds >= MEASURED_SECONDS:
            return n_steps / seconds


def _goes_on(rates: dict[int, float]) -> bool:
    """Whether one of the last doublings was a gain, and the last one possible."""
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
