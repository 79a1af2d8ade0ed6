import pytest

from service.schemas.study.models import Mlp
from service.schemas.study.training import Training
from tests.unit.workers.fakes import OutOfMemoryError
from tests.unit.workers.scheduling.scheduler_harness import Trouble, assert_as_alone, finals, train, trial
from workers.data.trial_data import TrialData
from workers.errors import ModelError
from workers.saved.files import read_model
from workers.scheduling.lane_scheduler import FailedTrial, FinishedEpoch, LaneScheduler


def test_trials_of_one_fusion_key_train_together_with_the_results_of_trials_alone(
    scheduler: LaneScheduler, trial_data: TrialData
) -> None:
    trials = [trial(number, learning_rate=0.01 * (number + 1)) for number in range(4)]
    for one in trials:
        scheduler.start(one, None)
    events = train(scheduler)
    assert [event.epoch for event in events if isinstance(event, FinishedEpoch) and event.trial is trials[0]] == [
        0,
        1,
        2,
    ]
    assert_as_alone(finals(events), trials, trial_data)


def test_trials_of_several_fusion_keys_train_side_by_side(scheduler: LaneScheduler, trial_data: TrialData) -> None:
    trials = [trial(0), trial(1, batch_size=8), trial(2, optimizer="sgd", momentum=0.9)]
    for one in trials:
        scheduler.start(one, None)
    assert_as_alone(finals(train(scheduler)), trials, trial_data)


def test_room_grows_while_trials_share_a_fusion_key(scheduler: LaneScheduler) -> None:
    n_claimable = []
    for number in range(4):
        n_claimable.append(scheduler.n_claimable)
        scheduler.start(trial(number), None)
    assert n_claimable == [1, 1, 2, 1]
    assert scheduler.n_claimable == 0


def test_room_stays_small_while_every_trial_has_another_fusion_key(scheduler: LaneScheduler) -> None:
    for number in range(3):
        scheduler.start(trial(number, model={"name": "mlp", "hidden": [8] * (1 + number)}), None)
    assert scheduler.n_claimable == 0


def test_trials_beyond_the_lanes_wait_for_a_free_lane(scheduler: LaneScheduler, trial_data: TrialData) -> None:
    trials = [trial(number) for number in range(7)]
    for one in trials:
        scheduler.start(one, None)
    assert (scheduler.n_training, len(scheduler.trials), scheduler.n_claimable) == (4, 7, 0)
    assert_as_alone(finals(train(scheduler)), trials, trial_data)


def test_a_removed_trial_has_no_further_events(scheduler: LaneScheduler) -> None:
    trials = [trial(number) for number in range(6)]
    for one in trials:
        scheduler.start(one, None)
    assert scheduler.remove("lease-1") is trials[1]
    assert scheduler.remove("lease-5") is trials[5]
    assert sorted(finals(train(scheduler))) == [0, 2, 3, 4]


def test_a_diverged_trial_fails_and_harms_no_other(scheduler: LaneScheduler, trial_data: TrialData) -> None:
    good, bad = trial(0), trial(1, optimizer="sgd", learning_rate=1000.0, momentum=0.99, epochs=50)
    twin = trial(2, optimizer="sgd", learning_rate=0.1)
    for one in (good, bad, twin):
        scheduler.start(one, None)
    events = train(scheduler)
    (broken,) = [event for event in events if isinstance(event, FailedTrial)]
    assert broken.trial is bad
    assert_as_alone(finals(events), [good, twin], trial_data)


def test_a_trial_that_does_not_fit_its_data_is_not_added(scheduler: LaneScheduler) -> None:
    with pytest.raises(ModelError):
        scheduler.start(trial(0, model={"name": "cnn", "blocks": [{"channels": 2, "pool_size": 8}] * 3}), None)
    assert scheduler.trials == []
    scheduler.start(trial(1), None)
    assert sorted(finals(train(scheduler))) == [1]


def test_out_of_memory_halves_the_lanes_and_loses_no_trial(
    scheduler: LaneScheduler, trial_data: TrialData, trouble: Trouble
) -> None:
    trouble.error = lambda group: OutOfMemoryError("out of memory") if len(group.lanes) > 2 else None
    trials = [trial(number) for number in range(4)]
    for one in trials:
        scheduler.start(one, None)
    events = train(scheduler)
    assert_as_alone(finals(events), trials, trial_data)
    scheduler.start(trial(9), None)
    assert scheduler.n_lanes == 2


def test_after_out_of_memory_trials_continue_from_their_saved_states(
    scheduler: LaneScheduler, trial_data: TrialData, trouble: Trouble
) -> None:
    trials = [trial(number, epochs=5) for number in range(2)]
    for one in trials:
        scheduler.start(one, None)
    early = [event for _ in range(12) for event in scheduler.step()]
    for one in trials:
        scheduler.save_state(one)
    errors = [OutOfMemoryError("out of memory")]
    trouble.error = lambda group: errors.pop() if errors and len(group.lanes) > 1 else None
    events = train(scheduler)
    assert {event.epoch for event in early if isinstance(event, FinishedEpoch)} == {0, 1}
    assert min(event.epoch for event in events if isinstance(event, FinishedEpoch)) == 2
    assert_as_alone(finals(events), trials, trial_data)


def test_a_trial_that_is_too_large_for_the_device_fails(scheduler: LaneScheduler, trouble: Trouble) -> None:
    trouble.error = lambda _group: OutOfMemoryError("out of memory")
    for number in range(3):
        scheduler.start(trial(number), None)
    events = train(scheduler)
    assert [type(event) for event in events] == [FailedTrial] * 3
    assert sorted(event.trial.lease.trial_number for event in events) == [0, 1, 2]


def test_the_trial_that_cannot_be_trained_is_found_among_its_neighbours(
    scheduler: LaneScheduler, trial_data: TrialData, trouble: Trouble
) -> None:
    trials = [trial(number) for number in range(6)]
    guilty = trials[2]
    trouble.error = lambda group: (
        ZeroDivisionError("bad") if any(lane.trial.tag is guilty for lane in group.lanes) else None
    )
    for one in trials:
        scheduler.start(one, None)
    events = train(scheduler)
    assert [event.trial for event in events if isinstance(event, FailedTrial)] == [guilty]
    assert_as_alone(finals(events), [one for one in trials if one is not guilty], trial_data)


def test_a_broken_device_fails_all_its_trials(scheduler: LaneScheduler, trouble: Trouble) -> None:
    trouble.error = lambda _group: RuntimeError("CUDA error: device-side assert triggered")
    for number in range(3):
        scheduler.start(trial(number), None)
    assert [type(event) for event in scheduler.step()] == [FailedTrial] * 3
    assert scheduler.trials == []


def test_the_model_of_a_finished_trial_has_its_weights_and_its_description(
    scheduler: LaneScheduler, trial_data: TrialData
) -> None:
    scheduler.start(trial(3, model={"name": "mlp", "hidden": [8], "batch_norm": True}), None)
    (content,) = [
        event.model for event in train(scheduler) if isinstance(event, FinishedEpoch) and event.model is not None
    ]
    weights, description = read_model(content())
    assert description["trial"] == 3
    assert isinstance(Training.model_validate(description["training"]).model, Mlp)
    assert any("running_mean" in name for name in weights)


def test_lanes_are_soon_free_in_the_last_epoch(scheduler: LaneScheduler) -> None:
    scheduler.start(trial(0, epochs=2), None)
    for _ in range(6):
        scheduler.step()
    assert scheduler.n_free_within(3600.0) == 1
    assert scheduler.n_free_within(0.0) == 0
