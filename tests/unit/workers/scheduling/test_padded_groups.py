"""Trials of several sizes: when they share a group that is padded, and what becomes of them there."""

import logging
import math
from typing import Any

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
from workers.scheduling.leased_trial import LeasedTrial

WIDTHS = [8, 3, 12, 5, 8, 1, 9]
BATCH_SIZES = [16, 10, 7, 24, 16, 20, 5]


def mlp(number: int, *hidden: int, **fields: Any) -> LeasedTrial:
    return trial(number, model={"name": "mlp", "hidden": list(hidden)}, **fields)


def several() -> list[LeasedTrial]:
    return [
        mlp(number, width, batch_size=size)
        for number, (width, size) in enumerate(zip(WIDTHS, BATCH_SIZES, strict=True))
    ]


@pytest.fixture
def untimed(trial_data: TrialData, trouble: Trouble) -> LaneScheduler:
    """With `--lanes auto`, of which no step is ever timed: the default costs of a CPU decide."""
    choice = LaneChoice(None, LaneTimes(CPU), measured_seconds=math.inf)
    return LaneScheduler(prepared(trial_data), CPU, choice, untested, trouble.new_group)


def test_a_lane_is_refilled_by_a_trial_of_any_size(
    scheduler: LaneScheduler, trial_data: TrialData, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for one in several():
            scheduler.start(one, None)
        assert (scheduler.n_training, len(scheduler.trials)) == (4, 7)
        events = train(scheduler)
    assert_as_alone(finals(events), several(), trial_data)
    assert len(trouble.groups) == 1
    assert caplog.messages == [
        'digits: trials of several sizes train together, padded to {"name":"mlp","hidden":[8]}, batches of 16'
    ]


def test_more_trials_are_claimed_while_they_share_a_padded_group(scheduler: LaneScheduler) -> None:
    n_claimable = []
    for one in several()[:4]:
        n_claimable.append(scheduler.n_claimable)
        scheduler.start(one, None)
    assert n_claimable == [1, 1, 2, 1]


def test_a_removed_trial_continues_beside_others_from_its_state(
    scheduler: LaneScheduler, trial_data: TrialData
) -> None:
    some = several()[:3]
    for one in some:
        scheduler.start(one, None)
    for _ in range(7):
        scheduler.step()
    scheduler.save_state(some[1])
    scheduler.remove(some[1].lease_id)
    for _ in range(3):
        scheduler.step()
    scheduler.start(some[1], None)
    assert scheduler.n_training == 3
    assert_as_alone(finals(train(scheduler)), some, trial_data)


def test_small_trials_share_a_group_where_the_costs_of_a_step_prevail(
    untimed: LaneScheduler, trial_data: TrialData, trouble: Trouble
) -> None:
    some = several()[:4]
    for one in some:
        untimed.start(one, 4)
    assert len(trouble.groups) == 1
    assert untimed.n_training == 4
    assert_as_alone(finals(train(untimed)), some, trial_data)


def test_a_large_trial_has_a_group_of_its_own_where_padding_costs_more(
    untimed: LaneScheduler, trial_data: TrialData, trouble: Trouble
) -> None:
    some = [mlp(0, 8), mlp(1, 3000, batch_size=80, epochs=1), mlp(2, 5, batch_size=7)]
    for one in some:
        untimed.start(one, 4)
    assert [[lane.trial.tag for lane in group.lanes] for group in trouble.groups] == [[some[0], some[2]], [some[1]]]
    assert_as_alone(finals(train(untimed)), some, trial_data)


def test_a_study_may_allow_fewer_lanes_than_padding_would_fill(untimed: LaneScheduler, trouble: Trouble) -> None:
    for one in several()[:3]:
        untimed.start(one, 2)
    assert [len(group.lanes) for group in trouble.groups] == [2, 1]


def test_only_trials_with_as_many_layers_share_a_group(scheduler: LaneScheduler, trouble: Trouble) -> None:
    for number, hidden in enumerate([(8,), (8, 8), (9, 7), (5,), ()]):
        scheduler.start(mlp(number, *hidden), None)
    assert [len(group.lanes) for group in trouble.groups] == [2, 2, 1]


def test_a_model_that_is_not_padded_has_a_group_for_each_size(scheduler: LaneScheduler, trouble: Trouble) -> None:
    for number, size in enumerate([16, 8, 16]):
        scheduler.start(mlp(number, 8, batch_size=size, precision="bf16"), None)
    assert [len(group.lanes) for group in trouble.groups] == [2, 1]


def test_a_trial_for_which_there_is_no_memory_waits_until_the_others_are_over(
    scheduler: LaneScheduler, trial_data: TrialData, trouble: Trouble
) -> None:
    trouble.fit_error = lambda group: OutOfMemoryError("out of memory") if group.lanes else None
    some = [mlp(0, 4), mlp(1, 4), mlp(2, 9)]
    for one in some:
        scheduler.start(one, None)
    assert (scheduler.n_training, len(scheduler.trials)) == (2, 3)
    assert_as_alone(finals(train(scheduler)), some, trial_data)


def test_a_trial_that_spoils_a_padded_group_is_found(
    scheduler: LaneScheduler, trial_data: TrialData, trouble: Trouble
) -> None:
    some = several()[:4]
    trouble.error = lambda group: (
        ZeroDivisionError("bad") if any(lane.trial.tag is some[2] for lane in group.lanes) else None
    )
    for one in some:
        scheduler.start(one, None)
    assert_as_alone(finals(train(scheduler)), [one for one in some if one is not some[2]], trial_data)
