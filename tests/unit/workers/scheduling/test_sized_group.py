"""The number of lanes of a scheduler's groups: chosen in training, and allocated as trials come."""

import logging
import math

import pytest

from tests.unit.workers.fakes import OutOfMemoryError
from tests.unit.workers.scheduling.scheduler_harness import (
    CPU,
    Trouble,
    assert_as_alone,
    finals,
    prepared,
    train,
    trial,
    untested,
)
from workers.data.trial_data import TrialData
from workers.scheduling.lane_choice import LaneChoice
from workers.scheduling.lane_scheduler import LaneScheduler
from workers.scheduling.lane_times import LaneTimes


def test_lanes_are_chosen_while_trials_train_with_the_results_of_trials_alone(
    trial_data: TrialData, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    choice = LaneChoice(None, LaneTimes(CPU), measured_seconds=0.0)
    scheduler = LaneScheduler(prepared(trial_data), CPU, choice, untested, trouble.new_group)
    trials = [trial(number, learning_rate=0.01 * (number + 1), epochs=12) for number in range(4)]
    with caplog.at_level(logging.INFO):
        for one in trials:
            scheduler.start(one, 4)
        events = train(scheduler)
        scheduler.start(trial(4), 4)
        train(scheduler)
    assert {(4, 4), (2, 4)} <= set(trouble.n_together)
    assert_as_alone(finals(events), trials, trial_data)
    (line,) = caplog.messages
    assert line.startswith('digits: lanes of {"name":"mlp","hidden":[8]}, batches of 16: ')
    assert line.endswith("; at most 4 of this study)")


def test_every_step_of_auto_lanes_belongs_to_a_trial(trial_data: TrialData, trouble: Trouble) -> None:
    choice = LaneChoice(None, LaneTimes(CPU))
    scheduler = LaneScheduler(prepared(trial_data), CPU, choice, untested, trouble.new_group)
    for number in range(3):
        scheduler.start(trial(number, batch_size=10 + number), None)
        assert trouble.n_together == []
    train(scheduler)
    n_batches = sum(n_loaded for _, n_loaded in trouble.n_together)
    assert n_batches == sum(3 * math.ceil(80 / (10 + number)) for number in range(3))


def test_a_group_grows_as_trials_come(scheduler: LaneScheduler, trouble: Trouble) -> None:
    for number in range(3):
        scheduler.start(trial(number), None)
        (group,) = trouble.groups
        assert (group.n_lanes, len(group.lanes)) == (1 if number == 0 else 4, number + 1)


def test_lanes_for_which_there_is_no_memory_wait(
    scheduler: LaneScheduler, trial_data: TrialData, trouble: Trouble
) -> None:
    trouble.grow_error = lambda n_lanes: OutOfMemoryError("out of memory") if n_lanes > 2 else None
    trials = [trial(number) for number in range(4)]
    for one in trials:
        scheduler.start(one, None)
    assert (scheduler.n_training, scheduler.n_lanes) == (2, 2)
    assert_as_alone(finals(train(scheduler)), trials, trial_data)


def test_models_that_gain_nothing_from_lanes_have_one(trial_data: TrialData) -> None:
    scheduler = LaneScheduler(prepared(trial_data), CPU, LaneChoice(None, LaneTimes(CPU)), untested)
    for number in range(2):
        scheduler.start(trial(number, model={"name": "cnn", "blocks": [{"channels": 2}]}), None)
    assert (scheduler.n_training, scheduler.n_lanes) == (1, 1)
    assert sorted(finals(train(scheduler))) == [0, 1]
