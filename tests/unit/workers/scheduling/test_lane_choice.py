from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch

from workers.scheduling.lane_choice import N_MEASUREMENTS, LaneChoice
from workers.scheduling.lane_times import LaneTimes
from workers.scheduling.step_cost import Shape, StepCost, padded

CPU = torch.device("cpu")
SHAPE = Shape("mlp", 10_000, 32)
KEY = "key"


class Device:
    """A device with a given number of batches per second for each number of lanes that take a step together."""

    def __init__(self, choice: LaneChoice, rate: Callable[[int], float], shape: Shape = SHAPE) -> None:
        self.choice = choice
        self.rate = rate
        self.shape = shape
        self.seen: list[tuple[int, int]] = []
        """Each way in which a step was computed: how many lanes at a time, of how many."""

    def step(self, n_loaded: int) -> None:
        n_together = self.choice.n_together(self.shape, n_loaded)
        if (n_together, n_loaded) not in self.seen:
            self.seen.append((n_together, n_loaded))
        self.choice.note(self.shape, n_together, n_loaded, n_loaded / self.rate(n_together))

    def train(self, max_lanes: int | None = None, n_steps: int = 1000) -> int:
        """Train trials that come as lanes are there for them. Returns the number of lanes at the end."""
        n_loaded = 1
        for _ in range(n_steps):
            self.step(n_loaded)
            n_loaded = max(n_loaded, self.choice.n_lanes(KEY, self.shape, max_lanes))
        return self.choice.n_lanes(KEY, self.shape, max_lanes)


def listed(rates: Mapping[int, float]) -> Callable[[int], float]:
    """Rates by number of lanes; more lanes than listed are as fast as the last ones."""
    return lambda n: rates[min(n, max(rates))]


def falling(factor: float) -> Callable[[int], float]:
    """Rates of a step with a fixed cost and one for each lane."""
    return lambda n: n / (0.01 + 0.001 * factor * n)


@pytest.fixture
def choice() -> LaneChoice:
    return LaneChoice(None, LaneTimes(CPU))


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [
        ({1: 100.0, 2: 190.0, 4: 350.0, 8: 360.0, 16: 355.0, 32: 340.0}, 4),
        ({1: 100.0, 2: 90.0, 4: 80.0, 8: 70.0, 16: 60.0}, 1),
        ({1: 100.0, 2: 95.0, 4: 150.0, 8: 300.0, 16: 301.0, 32: 302.0, 64: 303.0}, 8),
    ],
    ids=["smallest within the margin", "one", "a dip on the way"],
)
def test_the_fewest_lanes_at_nearly_the_best_rate_are_found_in_training(
    choice: LaneChoice, rates: dict[int, float], chosen: int
) -> None:
    device = Device(choice, listed(rates))
    assert device.train() == chosen
    assert max(n for _, n in device.seen) <= 4 * chosen


def test_loaded_lanes_take_steps_in_the_number_that_is_fastest(choice: LaneChoice) -> None:
    device = Device(choice, listed({1: 100.0, 2: 190.0, 4: 150.0, 8: 120.0}))
    for _ in range(1000):
        device.step(8)
    assert device.seen == [(8, 8), (4, 8), (2, 8), (1, 8)]
    assert choice.n_together(SHAPE, 8) == 2
    assert choice.n_together(SHAPE, 3) == 3
    assert choice.n_lanes(KEY, SHAPE, None) == 2


def test_fewer_lanes_are_no_longer_tried_when_that_is_slower(choice: LaneChoice) -> None:
    device = Device(choice, lambda n: 100.0 * n)
    for _ in range(1000):
        device.step(16)
    assert device.seen == [(16, 16), (8, 16), (4, 16)]


def test_shapes_that_are_alike_begin_with_what_was_found_and_try_nothing(choice: LaneChoice) -> None:
    def rate(n: int) -> float:
        return n / (0.01 + 0.002 * n)

    n_lanes = Device(choice, rate).train()
    alike = replace(SHAPE, n_parameters=15_000, batch_size=20)
    assert choice.n_lanes("another", alike, None) == pytest.approx(n_lanes, abs=n_lanes / 2)
    device = Device(choice, rate, alike)
    for _ in range(100):
        device.step(8)
    assert device.seen == [(8, 8)]


def test_larger_models_get_fewer_lanes_by_what_smaller_ones_cost(choice: LaneChoice) -> None:
    for factor in (1, 4, 16):
        shape = replace(SHAPE, n_parameters=factor * 10_000)
        Device(choice, falling(factor), shape).train()
    expected = [choice.n_lanes(KEY, replace(SHAPE, n_parameters=n), None) for n in (20_000, 80_000, 1_000_000)]
    assert expected == sorted(expected, reverse=True)
    assert expected[0] > expected[-1]


def test_nothing_is_known_of_other_kinds_of_models(choice: LaneChoice) -> None:
    Device(choice, lambda n: 100.0 * n).train(max_lanes=64)
    assert choice.n_lanes(KEY, SHAPE, None) > 4
    assert choice.n_lanes(KEY, Shape("cnn", 10_000, 32), None) <= 4


def test_a_study_may_allow_fewer_lanes(choice: LaneChoice) -> None:
    device = Device(choice, lambda n: 100.0 * n)
    assert [device.train(most, n_steps=100) for most in (1, 3, 5, 100)] == [1, 2, 4, 64]
    assert device.seen[0] == (1, 1)


def test_a_given_number_of_lanes_is_kept_and_nothing_is_tried() -> None:
    choice = LaneChoice(12, LaneTimes(CPU))
    assert choice.is_fixed
    assert choice.n_lanes(KEY, SHAPE, 3) == 12
    assert choice.n_together(SHAPE, 12) == 12


def test_the_limit_of_a_fusion_key_stays(choice: LaneChoice) -> None:
    Device(choice, lambda n: 100.0 * n).train(max_lanes=16)
    assert choice.limit(KEY, 6) == 6
    assert choice.limit(KEY, 8) == 6
    assert choice.n_lanes(KEY, SHAPE, None) == 4
    assert choice.limit(KEY, 0) == 1
    assert choice.n_lanes(KEY, SHAPE, None) == 1
    assert choice.n_lanes("another", SHAPE, 16) == 16


def test_the_decision_is_explained(choice: LaneChoice) -> None:
    device = Device(choice, listed({1: 1000.0, 2: 1900.0}))
    for _ in range(100):
        device.step(1)
    assert choice.text(KEY, SHAPE, 1) == "1 (batches/s by lanes: 1: 1,000; at most 1 of this study)"
    for _ in range(100):
        device.step(2)
    assert choice.text(KEY, SHAPE, 2) == "2 (batches/s by lanes: 1: 1,000, 2: 1,900; at most 2 of this study)"


def test_a_number_of_lanes_is_timed_several_times(choice: LaneChoice) -> None:
    for _ in range(N_MEASUREMENTS):
        assert not choice.is_timed(SHAPE, 1)
        choice.note(SHAPE, 1, 1, 0.05)
    assert choice.is_timed(SHAPE, 1)
    assert choice.is_settled(SHAPE, 1)
    assert not choice.is_settled(SHAPE, 2)


def of_cost(cost: StepCost) -> LaneChoice:
    """A choice that has seen steps of this cost on a device."""
    times = LaneTimes(CPU)
    for n_parameters in (1_000, 10_000, 100_000):
        for batch_size in (16, 128):
            shape = Shape("mlp", n_parameters, batch_size)
            for n_lanes in (1, 4, 8):
                times.note(shape, n_lanes, cost.seconds(shape, n_lanes))
    return LaneChoice(None, times)


NARROW, WIDE = Shape("mlp", 2_000, 32), Shape("mlp", 20_000, 128)
JOINED = padded(WIDE)
PER_STEP = StepCost(per_step=1e-3, per_lane=1e-5, per_parameter=1e-10, per_product=1e-11)
PER_PRODUCT = StepCost(per_step=1e-5, per_lane=1e-5, per_parameter=1e-10, per_product=1e-9)


@pytest.mark.parametrize(("cost", "expected"), [(PER_STEP, True), (PER_PRODUCT, False)])
def test_padding_is_chosen_where_a_step_costs_more_than_the_products_that_it_adds(
    cost: StepCost, expected: bool
) -> None:
    choice = of_cost(cost)
    assert choice.is_faster(KEY, JOINED, 2, [(NARROW, 1), (WIDE, 1)], None) is expected
    assert choice.is_faster(KEY, JOINED, 4, [(NARROW, 3), (WIDE, 1)], 4) is expected


def test_padding_must_gain_as_much_as_more_trials_at_a_time_cost_a_study() -> None:
    """Two lanes save a seventh of the time here, and four a fifth."""
    choice = of_cost(StepCost(per_step=4e-4, per_lane=1e-3, per_parameter=0.0, per_product=0.0))
    assert not choice.is_faster(KEY, JOINED, 2, [(NARROW, 1), (NARROW, 1)], 2)
    assert choice.is_faster(KEY, JOINED, 2, [(NARROW, 1), (NARROW, 1)], 8)


def test_padding_adds_no_lane_beyond_what_the_shape_is_worth_or_allowed() -> None:
    choice, apart = of_cost(PER_STEP), [(NARROW, 1), (NARROW, 1), (WIDE, 1)]
    assert choice.is_faster(KEY, JOINED, 3, apart, 4)
    assert not choice.is_faster(KEY, JOINED, 3, apart, 2)
    choice.limit(KEY, 2)
    assert not choice.is_faster(KEY, JOINED, 3, apart, None)
    assert choice.is_faster("another", JOINED, 3, apart, 4)


def test_a_given_number_of_lanes_is_filled_by_padding_where_that_is_faster() -> None:
    """By the default costs of a CPU, whatever the study allows."""
    choice, apart = LaneChoice(4, LaneTimes(CPU)), [(NARROW, 1)] * 4
    assert choice.is_faster(KEY, padded(replace(NARROW, batch_size=40)), 4, apart, 2)
    assert not choice.is_faster(KEY, padded(replace(WIDE, batch_size=1000)), 4, apart, None)


def test_what_padded_lanes_were_seen_to_cost_counts_for_padded_lanes_alone() -> None:
    choice, apart = of_cost(PER_STEP), [(NARROW, 1), (WIDE, 1)]
    before = choice.seconds(WIDE, 2)
    for batch_size in (64, 128):
        for n_lanes in (2, 4, 8):
            for _ in range(N_MEASUREMENTS):
                choice.note(replace(JOINED, batch_size=batch_size), n_lanes, n_lanes, 0.005 * n_lanes)
    choice.note(JOINED, 2, 2, 0.05)
    assert not choice.is_faster(KEY, JOINED, 2, apart, None)
    assert choice.seconds(WIDE, 2) == pytest.approx(before, rel=0.05)


def test_lanes_of_a_padded_shape_do_not_wait_for_its_own_measurements() -> None:
    choice = of_cost(PER_STEP)
    choice.note(WIDE, 2, 2, 0.05)
    assert choice.n_lanes(KEY, WIDE, None) == 2
    assert choice.n_lanes(KEY, WIDE, None, is_padded=True) == 16
