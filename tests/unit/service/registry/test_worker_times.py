import pytest

from service.registry.known_workers import WorkerTimes
from service.schemas.worker_info import WorkerInfo
from service.schemas.worker_seconds import WorkerSeconds


def worker(name: str, **seconds: float) -> WorkerInfo:
    return WorkerInfo(id=name, seconds=WorkerSeconds(**seconds))


def test_the_last_claim_of_a_worker_counts_and_totals_only_grow() -> None:
    times = WorkerTimes()
    times.note(worker("a", training=10.0, claims=1.0))
    times.note(worker("b", training=5.0))
    times.note(worker("a", training=30.0, claims=1.5, used_lanes=60.0))
    found = times.of("a")
    assert found is not None
    assert (found.training, found.claims, found.used_lanes) == (30.0, 1.5, 60.0)
    assert {name: seconds for name, seconds in times.totals().items() if seconds} == {
        "training": 35.0,
        "claims": 1.5,
        "used_lanes": 60.0,
    }
    times.note(worker("a", training=1.0))  # another process under the same name
    assert times.totals()["training"] == 35.0


def test_a_worker_that_says_nothing_is_not_known() -> None:
    times = WorkerTimes()
    times.note(WorkerInfo(id="a"))
    assert times.of("a") is None


def test_workers_that_claimed_longest_ago_are_forgotten_but_their_time_counts() -> None:
    times = WorkerTimes(max_workers=2)
    for name in "abc":
        times.note(worker(name, idle=1.0))
    assert [times.of(name) is not None for name in "abc"] == [False, True, True]
    assert times.totals()["idle"] == pytest.approx(3.0)
