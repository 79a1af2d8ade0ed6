import logging
from collections.abc import Callable, Mapping

import pytest
import torch

from service.schemas.study.training import Training
from tests.unit.workers.fakes import FakeTime, OutOfMemoryError
from workers.data.trial_data import TrialData
from workers.errors import ModelError
from workers.lanes.fusion_key import fusion_key
from workers.scheduling.lane_choice import LaneChoice, batches_per_second

CPU = torch.device("cpu")
Make = Callable[..., Training]


class Measured:
    """A device with a given rate for each number of lanes. More lanes than listed are out of memory."""

    def __init__(self, rates: Mapping[int, float]) -> None:
        self.rates = rates
        self.asked: list[int] = []

    def __call__(self, _training: Training, _data: TrialData, n_lanes: int) -> float:
        self.asked.append(n_lanes)
        if n_lanes not in self.rates:
            raise OutOfMemoryError("out of memory")
        return self.rates[n_lanes]


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [
        ({1: 100.0, 2: 190.0, 4: 350.0, 8: 360.0, 16: 355.0, 32: 340.0}, 4),
        ({1: 100.0, 2: 90.0, 4: 80.0}, 1),
        ({1: 100.0, 2: 95.0, 4: 150.0, 8: 300.0}, 8),
        ({1: 100.0, 2: 200.0}, 2),
        ({1: 100.0, 2: 0.0}, 1),
    ],
    ids=["smallest within the margin", "one", "a dip on the way", "memory", "not together"],
)
def test_the_fewest_lanes_at_nearly_the_best_rate_are_chosen(
    rates: dict[int, float], chosen: int, make_training: Make, trial_data: TrialData
) -> None:
    assert LaneChoice(CPU, None, Measured(rates)).choose(make_training(), trial_data, None) == chosen


def test_a_fusion_key_is_measured_once(
    make_training: Make, trial_data: TrialData, caplog: pytest.LogCaptureFixture
) -> None:
    measured = Measured({1: 100.0, 2: 190.0, 4: 191.0, 8: 192.0})
    choice = LaneChoice(CPU, None, measured)
    with caplog.at_level(logging.INFO):
        assert [choice.choose(make_training(learning_rate=rate), trial_data, None) for rate in (0.1, 0.2)] == [2, 2]
    assert measured.asked == [1, 2, 4, 8]
    assert caplog.messages == [
        'lanes of {"name":"mlp","hidden":[16]}, batches of 16: 2 (batches/s by lanes: 1: 100, 2: 190, 4: 191, 8: 192)'
    ]
    choice.choose(make_training(batch_size=8), trial_data, None)
    assert len(measured.asked) == 8


def test_a_study_may_allow_fewer_lanes(make_training: Make, trial_data: TrialData) -> None:
    choice = LaneChoice(CPU, None, Measured({1: 100.0, 2: 190.0, 4: 350.0, 8: 600.0}))
    assert [choice.choose(make_training(), trial_data, most) for most in (1, 3, 5, None)] == [1, 2, 4, 8]


def test_no_more_lanes_are_measured_than_may_be_used(make_training: Make, trial_data: TrialData) -> None:
    measured = Measured({1: 100.0, 2: 190.0, 4: 350.0, 8: 600.0, 16: 610.0, 32: 611.0})
    choice = LaneChoice(CPU, None, measured)
    assert choice.choose(make_training(), trial_data, 3) == 2
    assert measured.asked == [1, 2]
    assert choice.choose(make_training(), trial_data, 100) == 8
    assert measured.asked == [1, 2, 4, 8, 16, 32]


def test_measuring_ends_when_it_takes_long(make_training: Make, trial_data: TrialData) -> None:
    time = FakeTime()
    measured = Measured({2**n: 100.0 * 2**n for n in range(11)})

    def slow(training: Training, data: TrialData, n_lanes: int) -> float:
        time.sleep(n_lanes * 0.5)
        return measured(training, data, n_lanes)

    assert LaneChoice(CPU, None, slow, time).choose(make_training(), trial_data, None) == 4
    assert measured.asked == [1, 2, 4]


def test_a_given_number_of_lanes_is_not_measured(make_training: Make, trial_data: TrialData) -> None:
    measured = Measured({})
    assert LaneChoice(CPU, 12, measured).choose(make_training(), trial_data, 3) == 12
    assert measured.asked == []


def test_lanes_that_exceed_the_memory_are_halved_permanently(make_training: Make, trial_data: TrialData) -> None:
    choice, key = LaneChoice(CPU, 12), fusion_key(make_training())
    assert choice.halve(key, 12) == 6
    assert choice.choose(make_training(), trial_data, None) == 6
    assert choice.halve(key, 1) == 1


def test_an_error_of_a_single_lane_is_raised(make_training: Make, trial_data: TrialData) -> None:
    small = make_training(model={"name": "cnn", "blocks": [{"channels": 2, "pool_size": 8}] * 3})
    with pytest.raises(ModelError):
        LaneChoice(CPU, None).choose(small, trial_data, None)


def test_the_device_itself_is_measured(make_training: Make, trial_data: TrialData) -> None:
    assert batches_per_second(make_training(), trial_data, CPU, 2) > 0
    cnn = make_training(model={"name": "cnn", "blocks": [{"channels": 2}]})
    assert batches_per_second(cnn, trial_data, CPU, 2) == 0.0
