"""Trials of users' code beside one another, in real processes, with a service that answers from memory."""

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from service.schemas.protocol import Lease
from tests.unit.workers.fakes import ONE_CPU
from tests.unit.workers.user_code.objectives.runner_harness import RunnerHarness, lease_of
from tests.waiting import PATIENCE_SECONDS, until
from workers.fleet.device_group import DeviceGroup
from workers.user_code.device_pool import DevicePool
from workers.user_code.objectives.parallel_trials import EndedTrial, ParallelTrials

pytestmark = pytest.mark.processes

CODE = """import os, resource, time
def wait(context, go):
    while not os.path.exists(go):
        time.sleep(0.01)
    return {"loss": context.trial_number}
def look(context, go):
    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    return {"loss": limit // 2**20, "threads": int(os.environ["OMP_NUM_THREADS"]), "devices": context.n_devices}
"""


class Trials:
    """Parallel trials of the functions in CODE, which wait for the file `go`."""

    def __init__(self, harness: RunnerHarness, devices: DeviceGroup, trials_per_device: int) -> None:
        self.harness = harness
        self.go = harness.scratch.parent / "go"
        (harness.code / "mine.py").write_text(CODE)
        self.news = threading.Event()
        pool = DevicePool(devices, trials_per_device)
        self.parallel = ParallelTrials(harness.objective_runner(harness.code), pool, self.news)

    def start(self, number: int, function: str = "wait", **training: Any) -> Lease:
        wanted = {"entrypoint": f"mine:{function}", "arguments": {"go": str(self.go)}, **training}
        lease = lease_of(wanted, lease_id=f"lease-{number}", trial_number=number)
        self.harness.reporter.follow(lease)
        self.parallel.start(lease)
        return lease

    def ended(self, n: int) -> list[EndedTrial]:
        """Wait for the ends of n trials."""
        ended: list[EndedTrial] = []
        while len(ended) < n:
            assert self.news.wait(PATIENCE_SECONDS)
            self.news.clear()
            ended += self.parallel.take_ended()
        assert self.harness.errands.finish(PATIENCE_SECONDS)
        return ended

    def results(self, number: int) -> Any:
        (body,) = self.harness.service.bodies(f"leases/lease-{number}/complete")
        return body["metrics"]


@pytest.fixture
def two(runner: RunnerHarness) -> Iterator[Trials]:
    trials = Trials(runner, ONE_CPU, 2)
    yield trials
    trials.parallel.close()


def test_a_trial_without_room_waits_until_another_one_has_ended(two: Trials) -> None:
    for number in range(3):
        two.start(number)

    assert (two.parallel.n_running, len(two.parallel), two.parallel.room) == (2, 3, 0.0)
    assert two.parallel.take_ended() == []

    two.go.touch()
    ended = two.ended(3)
    assert {one.lease.trial_number for one in ended} == {0, 1, 2}
    assert [(one.fault, one.error) for one in ended] == [(None, None)] * 3
    assert [two.results(number)["loss"] for number in range(3)] == [0, 1, 2]
    assert (len(two.parallel), two.parallel.room, two.parallel.n_free) == (0, 1.0, 2)


def test_a_trial_that_cannot_start_harms_no_other(two: Trials) -> None:
    two.start(0)
    two.start(1, "no_such_function")

    (failed,) = two.ended(1)
    assert failed.fault is not None
    assert "mine must have a function no_such_function" in failed.fault.reason
    assert two.parallel.n_running == 1

    two.go.touch()
    assert [one.fault for one in two.ended(1)] == [None]


def test_memory_and_threads_are_divided(two: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    two.start(0, "look", memory_limit_mib=3000)
    two.ended(1)
    assert {name: two.results(0)[name] for name in ("loss", "threads", "devices")} == {
        "loss": 1500,
        "threads": 3,
        "devices": 1,
    }

    two.start(1, "look", memory_limit_mib=3000, devices=0.33)
    two.ended(1)
    assert (two.results(1)["loss"], two.results(1)["threads"]) == (1000, 2)


def test_a_trial_that_needs_more_devices_than_there_are_is_for_another_worker(two: Trials) -> None:
    two.start(0, devices=2)

    (ended,) = two.ended(1)
    assert ended.fault is not None
    assert ended.fault.retry
    assert ended.fault.reason.startswith("this worker does not allow trials of 2 devices")


def test_when_the_worker_ends_all_trials_are_given_back(two: Trials) -> None:
    leases = [two.start(number) for number in range(3)]

    assert two.parallel.close() == leases[2:]

    assert two.harness.errands.finish(PATIENCE_SECONDS)
    for lease in leases[:2]:
        assert f"leases/{lease.lease_id}/release" in two.harness.service.paths()
    until(lambda: list(two.harness.scratch.iterdir()) == [], "nothing is left behind")


def test_an_error_of_the_worker_itself_fails_the_trial_and_frees_its_device(
    runner: RunnerHarness, tmp_path: Path
) -> None:
    trials = Trials(runner, ONE_CPU, 1)
    lease = lease_of({"entrypoint": "mine:wait", "arguments": {"go": str(tmp_path)}})
    trials.parallel.start(lease)  # the reporter does not know the lease

    (ended,) = trials.ended(1)
    assert ended.fault is not None
    assert "KeyError('lease-0')" in ended.fault.reason
    assert trials.parallel.room == 1.0


def test_a_share_is_exact() -> None:
    assert DeviceGroup(("cpu",), Fraction(1, 3)).part_of(3000) == 1000
    assert DeviceGroup(("cpu",), Fraction(1, 4)).part_of(3) == 1
