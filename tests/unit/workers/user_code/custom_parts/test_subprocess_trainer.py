"""Trials with custom models, several in one real process: whatever one does, the others continue."""

import time
from typing import Any

import pytest

from tests.unit.workers.user_code.custom_parts.trainer_harness import (
    CODE,
    TrainerHarness,
    expected_losses,
    leased,
    losses,
)
from tests.waiting import PATIENCE_SECONDS
from workers.errors import CustomTrialError
from workers.saved.files import read_model
from workers.user_code.code_versions import CodeVersions

pytestmark = pytest.mark.processes

CODE_HASH, _ = CodeVersions().note(leased(0).lease, CODE)
DATA = (
    "inputs of float32 [3] in 3 classes; train: 40 (class 0 14, class 1 13, class 2 13); "
    "validation: 20 (class 0 6, class 1 7, class 2 7)"
)


@pytest.mark.parametrize("rates", [[None] * 5, [0.0, 0.5, None, [0.3], 0.9]], ids=["its code's", "searched"])
def test_trials_share_a_process_and_each_ends_as_if_alone(harness: TrainerHarness, rates: list[Any]) -> None:
    slow = {"seconds": 0.02}  # so that none is over before the next has begun
    trials = [leased(number, arguments=slow, dropout=rate) for number, rate in enumerate(rates)]
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, harness.trainer.n_training)

    harness.run(trials, look)
    assert harness.reasons == {}
    for trial in trials:
        events = harness.finished[trial.lease_id]
        assert losses(events) == pytest.approx(expected_losses(trial), rel=1e-4)
        assert events[-1].final is not None
        _, description = read_model(harness.models[trial.lease_id])
        assert description["metrics"]["validation_loss"] == events[-1].final["validation_loss"]
        assert trial.new_user_attrs == {"lanes": "up to 3 at a time", "code_hash": CODE_HASH, "data": DATA}
    assert most > 1
    assert len(set.union(*(harness.pids(number) for number in range(5)))) == 1
    assert harness.trainer.n_training == 0
    harness.trainer.end_idle_process()
    assert harness.trainer.n_lanes == 1


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("abort", {}, "the trial's process was killed by SIGABRT"),
        pytest.param("exit", {}, "the code called sys.exit(3)", marks=pytest.mark.slow),
        pytest.param("cuda", {}, "RuntimeError: CUDA error: device-side assert triggered", marks=pytest.mark.slow),
        pytest.param(
            "hang",
            {"step_timeout_seconds": 15.0},
            "the code reported nothing for 15 s (step_timeout_seconds)",
            marks=pytest.mark.slow,
        ),
        pytest.param("babble", {}, "sent an invalid message", marks=pytest.mark.slow),
    ],
)
def test_trials_of_a_process_that_ends_are_tried_again_one_by_one(
    harness: TrainerHarness, tmp_path_factory: pytest.TempPathFactory, kind: str, fields: dict[str, Any], reason: str
) -> None:
    """Each is tried again alone. A trial that ends its own process too fails: see the next test."""
    armed = tmp_path_factory.mktemp("armed") / "now"
    arguments = {"kind": kind, "armed": str(armed), "seconds": 0.01, "from": 4}
    trials = [leased(number, arguments=arguments, epochs=6, **fields) for number in range(3)]

    def arm() -> None:
        if harness.trainer.n_training == 3 and all(trial.last_step >= 0 for trial in trials):
            armed.touch()

    harness.run(trials, arm)
    assert armed.exists()
    assert harness.reasons == {}
    for trial in trials:
        assert harness.finished[trial.lease_id][-1].final is not None
        assert {event.epoch for event in harness.finished[trial.lease_id]} == set(range(6))
        assert losses(harness.finished[trial.lease_id][-1:]) == pytest.approx(expected_losses(trial)[-1:], rel=1e-4)
        assert trial.new_user_attrs["lanes"].startswith("alone, after a process of several trials: ")
        assert reason in trial.new_user_attrs["lanes"]
        assert "tried again alone" in harness.output(trial.lease.trial_number)
    assert len({pid for number in range(3) for pid in harness.pids(number)}) == 3


def test_a_trial_that_ends_its_own_process_too_fails_with_its_output(
    harness: TrainerHarness, tmp_path_factory: pytest.TempPathFactory
) -> None:
    armed = tmp_path_factory.mktemp("armed") / "now"
    trials = [leased(number, arguments={"kind": "abort", "armed": str(armed), "seconds": 0.01}) for number in range(2)]

    def arm() -> None:
        if harness.trainer.n_training == 2:
            armed.touch()

    harness.run(trials, arm)
    assert list(harness.finished) == [] or all(events[-1].final is None for events in harness.finished.values())
    for trial in trials:
        assert "killed by SIGABRT; the end of its output:" in harness.reasons[trial.lease_id]
        assert "about to abort" in harness.reasons[trial.lease_id]


def test_memory_is_bounded_for_the_whole_process(
    harness: TrainerHarness, tmp_path_factory: pytest.TempPathFactory
) -> None:
    armed = tmp_path_factory.mktemp("armed") / "now"
    armed.touch()
    arguments = {"kind": "blow up", "armed": str(armed), "from": 2}
    harness.run([leased(0, arguments=arguments, memory_limit_mib=2048)])
    assert "MemoryError" in harness.reasons["lease-0"]


def test_trials_that_cannot_share_lanes_train_in_separate_processes(harness: TrainerHarness) -> None:
    trials = [leased(number, arguments={"noise": True}) for number in range(2)]
    harness.run(trials, lambda: None)
    for trial in trials:
        assert harness.finished[trial.lease_id][-1].final is not None
        assert trial.new_user_attrs["lanes"].startswith("one at a time: it draws random numbers from torch's generator")
    assert not harness.pids(0) & harness.pids(1)


def test_a_trial_of_another_kind_waits_for_an_empty_process(harness: TrainerHarness) -> None:
    trial, other = leased(0, arguments={"seconds": 0.01}), leased(1, arguments={"seconds": 0.02})
    harness.trainer.start(trial, None)
    harness.trainer.start(other, None)
    assert (harness.trainer.n_training, len(harness.trainer.trials), harness.trainer.n_claimable) == (1, 2, 0)
    harness.run([])
    assert [events[-1].final is not None for events in harness.finished.values()] == [True, True]
    assert not harness.pids(0) & harness.pids(1)


def test_a_trial_stops_at_its_rung_with_its_state_and_continues_from_there(harness: TrainerHarness) -> None:
    trial = leased(0, rung_steps=(1,), epochs=4)
    harness.trainer.start(trial, None)
    while trial.last_step < 1:
        harness.turn()
    harness.trainer.save_state(trial)
    harness.trainer.remove(trial.lease_id)
    assert harness.trainer.trials == []
    assert trial.state is not None
    assert trial.state.n_epochs == 2
    harness.run([trial])
    assert losses(harness.finished[trial.lease_id]) == pytest.approx(expected_losses(trial), rel=1e-4)
    assert "goes on after 2 epochs" in harness.output(0)


def test_a_trial_removed_in_a_step_does_not_affect_the_others(harness: TrainerHarness) -> None:
    """Its process still writes to its folder if a step takes longer than a step of the worker's loop."""
    trials = [leased(number, arguments={"seconds": 0.15}, epochs=5) for number in range(3)]
    dropped: list[str] = []

    def drop_two() -> None:
        for trial in trials[:2]:
            if trial.last_step >= trials.index(trial) and trial.lease_id not in dropped:
                harness.trainer.remove(trial.lease_id)
                dropped.append(trial.lease_id)

    harness.run(trials, drop_two)
    assert len(dropped) == 2
    assert harness.reasons == {}
    assert harness.finished["lease-2"][-1].final is not None
    assert trials[2].new_user_attrs == {"lanes": "up to 3 at a time", "code_hash": CODE_HASH, "data": DATA}
    assert len(harness.pids(2)) == 1


def test_a_trial_that_cannot_start_is_not_held_by_the_trainer(harness: TrainerHarness) -> None:
    with pytest.raises(CustomTrialError, match="must return"):
        harness.trainer.start(leased(0, dataset={"entrypoint": "wild:build"}), None)
    assert harness.trainer.trials == []
    assert harness.trainer.n_claimable == 1
    harness.run([leased(1)])
    assert harness.finished["lease-1"][-1].final is not None


def test_an_error_whose_text_cannot_be_told_is_named(
    harness: TrainerHarness, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The check whether the model trains in lanes meets it, too."""
    armed = tmp_path_factory.mktemp("armed") / "now"
    armed.touch()
    harness.run([leased(0, arguments={"kind": "mute", "armed": str(armed)})])
    assert harness.reasons["lease-0"].startswith("MuteError: its text cannot be told (KeyError)")


@pytest.mark.parametrize("status", [0, 3])
def test_a_process_that_the_code_forks_is_not_the_trainer(harness: TrainerHarness, status: int) -> None:
    dataset = {"entrypoint": "wild:build_data_beside_a_fork", "arguments": {"status": status}}
    harness.run([leased(0, dataset=dataset, epochs=2)])
    assert harness.reasons == {}
    assert harness.finished["lease-0"][-1].final is not None


def test_a_trial_is_held_by_the_trainer_until_its_end_is_returned(harness: TrainerHarness) -> None:
    harness.trainer.start(trial := leased(0, epochs=1), None)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while trial.lease_id not in harness.finished:
        assert time.monotonic() < deadline
        assert harness.trainer.trials == [trial]
        harness.turn()
    assert harness.trainer.trials == []


def test_a_removed_trial_that_hangs_delays_no_other(
    harness: TrainerHarness, tmp_path_factory: pytest.TempPathFactory
) -> None:
    armed = tmp_path_factory.mktemp("armed") / "now"
    arguments = {"kind": "hang", "armed": str(armed), "seconds": 0.01}
    harness.trainer.start(trial := leased(0, arguments=arguments, epochs=1000), None)
    armed.touch()
    harness.turn()
    time.sleep(0.2)
    harness.trainer.remove(trial.lease_id)
    armed.unlink()
    harness.run([leased(1, arguments=arguments)])
    assert harness.finished["lease-1"][-1].final is not None


def test_a_study_whose_entrypoints_are_not_allowed_is_left_to_others(harness: TrainerHarness) -> None:
    trial = leased(0, dataset={"entrypoint": "os:getcwd"})
    with pytest.raises(CustomTrialError, match=r"does not allow the entrypoint os:getcwd"):
        harness.trainer.start(trial, None)
    assert harness.trainer.trials == []
