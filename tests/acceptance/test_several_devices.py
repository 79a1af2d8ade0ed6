"""Real workers with groups of devices, and with several trials on one device."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.user_code_service import UserCodeService, open_service
from tests.waiting import PATIENCE_SECONDS, until

ALLOW = ("--allow", "tuned", "--processes", "1")
PAIRS = (*ALLOW, "--devices-per-trial", "2", "--allow-command", "python")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCodeService]:
    """With leases that are renewed every five seconds, and no worker."""
    with open_service(tmp_path_factory.mktemp("service"), "--lease-seconds", "15") as service:
        yield service


def test_a_study_of_several_devices_waits_for_a_group_and_says_so(service: UserCodeService) -> None:
    service.create("pair", "tuned.beside:look", training={"devices": 2}, n_trials=2)
    says = "no worker allows tuned.beside:look and trials of 2 devices: start one with --allow tuned --devices-per-"
    with service.worker(*ALLOW) as worker:
        assert worker.stdout is not None
        line = next(line for line in worker.stdout if b"studies wait for a worker with" in line)
        assert b"--allow tuned --devices-per-trial 2" in line
        assert service.client.study("pair").waits_for == f"{says}trial 2"

    with service.worker(*PAIRS):
        trials = service.finished("pair")

    assert [trial.values for trial in trials] == [[2.0], [2.0]]
    assert service.output("pair") == "sees 2 cpu ''\n"
    assert "cpu+cpu" in {worker.device for worker in service.client.workers().workers}


def test_a_group_trains_trials_of_one_device_beside_one_another_and_built_in_ones(
    service: UserCodeService, tmp_path: Path
) -> None:
    arguments = {"folder": str(tmp_path), "n": 2, "fates": {}}
    service.create("single", "tuned.beside:meet", training={"arguments": arguments}, n_trials=4)
    space = {"learning_rate": {"type": "float", "low": 1e-3, "high": 1e-2}}
    training = {"dataset": "digits", "model": {"name": "mlp", "hidden": [8]}, "epochs": 1}
    service.client.create_study({"name": "built-in", "search_space": space, "training": training, "n_trials": 2})
    with service.worker(*PAIRS):
        trials = service.finished("single")
        built_in = service.finished("built-in")

    assert [trial.values for trial in trials] == [[1.0]] * 4
    assert {trial.state for trial in built_in} <= {"COMPLETE", "PRUNED"}


def test_a_command_is_told_its_devices(service: UserCodeService) -> None:
    code = "import os, sys; print(sys.argv[1:], os.environ['CUDA_VISIBLE_DEVICES']); print('score=' + sys.argv[1])"
    training = {
        "command": ["python", "-c", code, "{n_devices}", "{device}", "{args}"],
        "metrics": {"score": "score=(?P<value>[0-9]+)"},
        "devices": 2,
    }
    objectives = [{"metric": "score", "direction": "maximize"}]
    space = {"x": {"type": "int", "low": 1, "high": 9}}
    definition = {"name": "command", "search_space": space, "training": training, "objectives": objectives}
    service.client.create_study({**definition, "n_trials": 1, "pruner": "none"})
    with service.worker(*PAIRS):
        (trial,) = service.finished("command")

    assert trial.values == [2.0], trial.reason
    assert service.output("command").startswith(f"['2', 'cpu', '--x={trial.params['x']}'] \n")


def test_of_four_trials_at_a_time_one_is_killed_and_one_hangs_and_the_others_go_on(
    service: UserCodeService, tmp_path: Path
) -> None:
    fates = {"1": "die", "2": "hang"}
    training = {"arguments": {"folder": str(tmp_path), "n": 4, "fates": fates}, "memory_limit_mib": 4096}
    service.create("four", "tuned.beside:meet", training=training, n_trials=8, max_attempts=1)

    def n_running() -> int:
        return service.client.study("four").trial_counts.RUNNING

    def says_what_it_has_done(worker_id: str | None) -> bool:
        (worker,) = [one for one in service.client.workers().workers if one.id == worker_id]
        return worker.n_lanes == 4 and worker.seconds is not None and worker.seconds.used_lanes > 0

    with service.worker(*ALLOW, "--trials-per-device", "4"):
        until(lambda: service.client.study("four").trial_counts.COMPLETE == 6, "all others have ended")
        assert service.client.trial("four", 2).state == "RUNNING"
        assert n_running() == 1
        until(lambda: says_what_it_has_done(service.client.trial("four", 2).worker), "it has claimed once more")
        service.client.change("four", state="stopped")
        until(lambda: n_running() == 0, "the trial that hangs has ended with its study")
        trials = list(service.client.trials("four"))

    others = [trial for trial in trials if trial.number not in (1, 2)]
    assert [trial.state for trial in others] == ["COMPLETE"] * 6
    assert "killed by SIGKILL" in (trials[1].reason or "")
    if sys.platform == "linux":
        assert {trial.metrics["limit_mib"] for trial in others} == {1024.0}


def test_studies_with_different_shares_run_beside_one_another(service: UserCodeService, tmp_path: Path) -> None:
    """A half and two quarters, all of which wait for one another."""
    arguments = {"folder": str(tmp_path), "n": 3, "fates": {}}
    for name, devices, n_trials in (("half", 0.5, 1), ("quarter", 0.25, 2)):
        service.create(
            name, "tuned.beside:meet", training={"devices": devices, "arguments": arguments}, n_trials=n_trials
        )
    with service.worker(*ALLOW):
        trials = service.finished("half") + service.finished("quarter")

    assert [trial.state for trial in trials] == ["COMPLETE"] * 3


def test_a_worker_with_several_trials_gives_all_of_them_back(service: UserCodeService, tmp_path: Path) -> None:
    fates = {str(number): "hang" for number in range(3)}
    arguments = {"folder": str(tmp_path), "n": 3, "fates": fates}
    service.create("back", "tuned.beside:meet", training={"arguments": arguments}, n_trials=3, enqueue=[{}, {}, {}])
    with service.worker(*ALLOW, "--trials-per-device", "3") as worker:
        until(lambda: len(list(tmp_path.iterdir())) == 3, "three trials train")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_SECONDS) == 0

    trials = list(service.client.trials("back"))
    assert [(trial.state, trial.attempts[-1].outcome) for trial in trials] == [("WAITING", "release")] * 3
