"""Trials of users' own code whose worker is killed, or asked to end: another one goes on."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.user_code_service import UserCodeService, gone, kill_all, open_service
from tests.waiting import PATIENCE_SECONDS, until

pytestmark = pytest.mark.slow

ONE = ("--allow", "tuned", "--processes", "1")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCodeService]:
    """With short leases, and no worker."""
    with open_service(tmp_path_factory.mktemp("service"), "--lease-seconds", "2") as service:
        yield service


def test_a_killed_workers_branches_are_the_same_for_the_next_one(service: UserCodeService, tmp_path: Path) -> None:
    go = tmp_path / "go"
    service.create("branch", "tuned.steps:wait_in_a_branch", training={"arguments": {"go": str(go)}}, enqueue=[{}])
    with service.worker(*ONE) as worker:
        until(lambda: "seen" in service.client.trial("branch", 0).user_attrs, "the trial is in a branch")
        before = service.client.trial("branch", 0).params
        users = kill_all(worker.pid)
        assert users, "the code's process runs"
        assert gone(users), "the code's process does not outlive its worker"
    left_behind = list(service.folder.glob("narrows-trial-*"))
    assert len(left_behind) == 1, "a killed worker cannot remove its folder"
    go.touch()
    with service.worker(*ONE):
        (trial,) = service.finished("branch")
    assert not left_behind[0].exists(), "the next worker has removed it"

    assert trial.state == "COMPLETE", trial.reason
    assert [attempt.outcome for attempt in trial.attempts] == ["expire", "complete"]
    assert len(before) == 2
    assert {name: trial.params[name] for name in before} == before
    assert len(trial.params) == 3
    depth, rate = (float(str(value)) for name, value in trial.params.items() if name != "kind")
    assert pytest.approx(depth * rate) == (trial.values or [])[0]


def test_what_is_in_checkpoint_dir_goes_to_the_next_worker(service: UserCodeService) -> None:
    n_steps = 40
    arguments = {"arguments": {"n_steps": n_steps, "seconds": 0.2}}
    objectives = [{"metric": "count", "direction": "maximize"}]
    service.create("counted", "tuned.steps:train", training=arguments, objectives=objectives, enqueue=[{}])
    with service.worker(*ONE) as worker:
        until(lambda: (service.client.trial("counted", 0).step or 0) >= 3, "some steps are done")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_SECONDS) == 0
    waiting = service.client.trial("counted", 0)
    assert [attempt.outcome for attempt in waiting.attempts] == ["release"]
    (kept,) = [one for one in service.client.artifacts("counted", 0) if one.name == "checkpoint"]
    assert kept.step == waiting.step
    with service.worker(*ONE):
        (trial,) = service.finished("counted")

    curves = service.client.curves("counted", 0)
    assert trial.state == "COMPLETE", trial.reason
    assert trial.values == [n_steps]
    assert curves.metrics["count"] == [float(step + 1) for step in range(n_steps)]
    assert kept.step is not None
    assert curves.metrics["began_at"] == [0.0] * (kept.step + 1) + [kept.step + 1.0] * (n_steps - kept.step - 1)
    assert [one.name for one in service.client.artifacts("counted", 0)] == []


def test_trials_beside_one_another_die_with_their_worker_and_go_on_with_the_next_one(service: UserCodeService) -> None:
    n_steps = 20
    arguments = {"arguments": {"n_steps": n_steps, "seconds": 0.2}}
    objectives = [{"metric": "count", "direction": "maximize"}]
    service.create("three", "tuned.steps:train", training=arguments, objectives=objectives, n_trials=3)
    flags = (*ONE, "--trials-per-device", "3", "--checkpoint-seconds", "1")
    with service.worker(*flags) as worker:

        def have_checkpoints() -> bool:
            trials = list(service.client.trials("three"))
            kept = [one.name for trial in trials for one in service.client.artifacts("three", trial.number)]
            return kept.count("checkpoint") == 3

        until(have_checkpoints, "all three trials train and have checkpoints")
        users = kill_all(worker.pid)
        assert len(users) >= 3, "each trial has its process"
        assert gone(users), "no process outlives the worker"
    with service.worker(*flags):
        trials = service.finished("three")

    assert [(trial.state, trial.values) for trial in trials] == [("COMPLETE", [n_steps])] * 3
    assert [[attempt.outcome for attempt in trial.attempts] for trial in trials] == [["expire", "complete"]] * 3
    for trial in trials:
        began_at = service.client.curves("three", trial.number).metrics["began_at"]
        assert 0 < (began_at[-1] or 0) < n_steps


def test_a_worker_without_files_to_keep_ends_at_once(service: UserCodeService) -> None:
    service.create("endless", "tuned.misbehaving:forever", enqueue=[{}])
    before = set(service.folder.glob("narrows-trial-*"))
    with service.worker(*ONE) as worker:
        until(lambda: service.client.trial("endless", 0).step, "the trial has reported")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_SECONDS) == 0
    trial = service.client.trial("endless", 0)
    assert (trial.state, [attempt.outcome for attempt in trial.attempts]) == ("WAITING", ["release"])
    assert "my process is" in service.output("endless")
    assert set(service.folder.glob("narrows-trial-*")) == before, "nothing is left behind"
