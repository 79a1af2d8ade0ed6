"""DistributedDataParallel in two ranks on a real worker: pruned, killed in the middle, and resumed."""

import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.user_code_service import UserCodeService, gone, kill_all, open_service
from tests.waiting import until

TWO = ("--allow", "tuned", "--processes", "1", "--devices-per-trial", "2", "--checkpoint-seconds", "1")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCodeService]:
    """With short leases, and no worker."""
    with open_service(tmp_path_factory.mktemp("service"), "--lease-seconds", "2") as service:
        yield service


def create(service: UserCodeService, name: str, folder: Path, **changes: object) -> None:
    training = {"arguments": {"folder": str(folder)}, "devices": 2, "launch": "torchrun"}
    service.create(name, "tuned.ranks:train", training=training, enqueue=[{}], **changes)


def wait_for_a_checkpoint(service: UserCodeService, name: str) -> None:
    until(lambda: "checkpoint" in [one.name for one in service.client.artifacts(name, 0)], f"{name} has a checkpoint")


def pids(folder: Path) -> list[int]:
    return [int((folder / f"pid-{rank}").read_text()) for rank in range(2)]


def test_two_ranks_have_the_same_numbers_and_are_pruned_together(service: UserCodeService, tmp_path: Path) -> None:
    # Below the threshold from its fourth epoch on, whatever it is.
    create(service, "pruned", tmp_path, pruner={"name": "threshold", "lower": 1e9, "n_warmup_steps": 3})
    with service.worker(*TWO):
        (trial,) = service.finished("pruned")

    assert trial.state == "PRUNED", trial.reason
    assert gone(pids(tmp_path))
    lines = defaultdict(list)
    for line in service.output("pruned").splitlines():
        rank, _, text = line.partition("] ")
        lines[rank].append(text)
    assert lines["[rank 0"] == lines["[rank 1"]
    curve = service.client.curves("pruned", 0)
    assert [f"step {step}: {value:.9f}" for step, value in zip(curve.steps, curve.metrics["score"], strict=True)] == (
        lines["[rank 0"][:-1]
    )


@pytest.mark.slow
def test_a_rank_that_is_killed_ends_all_and_the_trial_resumes(service: UserCodeService, tmp_path: Path) -> None:
    create(service, "rank-killed", tmp_path)
    with service.worker(*TWO):
        wait_for_a_checkpoint(service, "rank-killed")
        before = pids(tmp_path)
        os.kill(before[1], signal.SIGKILL)
        assert gone(before)
        until(lambda: len(service.client.trial("rank-killed", 0).attempts) == 2, "another attempt has begun")
        (tmp_path / "go").touch()
        (trial,) = service.finished("rank-killed")

    assert trial.state == "COMPLETE", trial.reason
    assert "rank 1: the trial's process was killed by SIGKILL" in str(trial.attempts[0].reason)
    began_at = service.client.curves("rank-killed", 0).metrics["began_at"]
    assert (began_at[-1] or 0) > 0


@pytest.mark.slow
def test_ranks_die_with_their_worker_and_go_on_with_the_next_one(service: UserCodeService, tmp_path: Path) -> None:
    create(service, "worker-killed", tmp_path)
    with service.worker(*TWO) as worker:
        wait_for_a_checkpoint(service, "worker-killed")
        before = pids(tmp_path)
        kill_all(worker.pid)
        assert gone(before), "no rank outlives the worker"
    (tmp_path / "go").touch()
    with service.worker(*TWO):
        (trial,) = service.finished("worker-killed")

    assert trial.state == "COMPLETE", trial.reason
    assert [attempt.outcome for attempt in trial.attempts] == ["expire", "complete"]
    began_at = service.client.curves("worker-killed", 0).metrics["began_at"]
    assert (began_at[-1] or 0) > 0
