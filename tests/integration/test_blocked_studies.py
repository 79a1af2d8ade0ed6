"""A study that a thread works on for long holds up no call of other studies."""

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from threading import Event, Thread
from typing import Any

import pytest

from service.study.study_lock import StudyLock
from service.web.long_calls import MAX_LONG_CALLS
from tests.integration.service_driver import LEASE_SECONDS, Json, Service
from tests.waiting import until

N_THREADS = 40
"""Threads that all calls without a limit of their own share."""
MANY = 65
"""So many leases do not fit one turn of the event loop."""


class CountingLock(StudyLock):
    """Counts the attempts to take it."""

    n_attempts = 0

    def acquire(self, blocking: bool = True) -> bool:
        self.n_attempts += 1
        return super().acquire(blocking)

    @property
    def is_free(self) -> bool:
        self.n_attempts += 1
        return super().is_free


@contextmanager
def blocked(service: Service, name: str) -> Iterator[CountingLock]:
    """Another thread works on a study for the length of the block."""
    live = service.app.state.registry.get(name)
    lock = live.lock = CountingLock()
    begun, end = Event(), Event()

    def work() -> None:
        with lock:
            begun.set()
            end.wait()

    thread = Thread(target=work)
    thread.start()
    begun.wait()
    try:
        yield lock
    finally:
        end.set()
        thread.join()


@contextmanager
def locked_database(service: Service) -> Iterator[None]:
    """Another program holds the right to write for the length of the block."""
    with closing(sqlite3.connect(service.url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@pytest.fixture
def start() -> Iterator[Callable[..., Future[Any]]]:
    """Make a call in a thread."""
    with ThreadPoolExecutor(2 * N_THREADS) as threads:
        yield threads.submit


def reports(leases: list[Json]) -> Json:
    metrics = {"validation_accuracy": 0.5}
    return {"reports": [{"lease_id": one["lease_id"], "step": 0, "metrics": metrics} for one in leases]}


def post(service: Service, path: str, body: Json) -> int:
    return service.http.post(f"/v1{path}", json=body).status_code


def test_calls_of_a_blocked_study_hold_no_thread(service: Service, start: Callable[..., Future[Any]]) -> None:
    name, other = service.create(), service.create()
    lease = service.claim_one(name)
    service.complete(lease)
    path, again = f"/leases/{lease['lease_id']}/complete", {"metrics": {"validation_accuracy": 0.5}}

    with blocked(service, name) as lock:
        calls = [start(post, service, path, again) for _ in range(N_THREADS + 20)]
        until(lambda: lock.n_attempts >= N_THREADS - 2)
        until(start(service.study, other).done, "another study is read")
        assert not any(call.done() for call in calls)

    assert [call.result() for call in calls] == [200] * len(calls)


def test_a_blocked_study_is_read(service: Service, start: Callable[..., Future[Any]]) -> None:
    """As it is: the thread that works on it lets time take effect."""
    name = service.create(narrowing={"rounds": 2, "trials_per_round": 1, "keep_top": 1})
    paths = ["", "/rounds", "/trials", "/best", "/imports", "/diagnosis", "/export"]

    with blocked(service, name):
        reads = [start(service.http.get, f"/v1/studies/{name}{path}") for path in paths]
        until(lambda: all(read.done() for read in reads))

    assert [read.result().status_code for read in reads] == [200] * len(paths)


def test_no_lease_ends_while_the_database_is_locked(sqlite_service: Service, start: Callable[..., Future[Any]]) -> None:
    name = sqlite_service.create()
    lease = sqlite_service.claim_one(name)
    registry = sqlite_service.app.state.registry
    registry.stalls.max_gap = 0.1  # a quarter of a lease's term would be 15 s

    with locked_database(sqlite_service):
        write = start(post, sqlite_service, "/reports", reports([lease]))
        until(lambda: registry.store.writing_seconds > registry.stalls.max_gap, "the service has noticed it")
        sqlite_service.clock.advance(2 * LEASE_SECONDS)
        assert registry.get(name).leases.expired() == []

    assert write.result() == 200
    sqlite_service.tick()
    assert sqlite_service.report(lease, 1, 0.5) == "continue"


def test_changes_of_a_blocked_study_hold_no_thread(service: Service, start: Callable[..., Future[Any]]) -> None:
    name, other = service.create(n_trials=10_000), service.create()
    study_id = service.app.state.registry.get(name).record.study_id
    calls: list[tuple[str, str, Json]] = [
        ("PATCH", f"/v1/studies/{name}", {"state": "paused"}),
        ("POST", f"/v1/studies/{name}/trials", {"params": {}}),
        ("PUT", f"/api/studies/{study_id}/note", {"version": 1, "body": "a note"}),
        ("POST", f"/v1/studies/{name}/narrow", {"keep_top": 1}),
        ("POST", f"/v1/studies/{name}/final", {}),
        ("DELETE", f"/v1/studies/{name}", {}),
    ]

    with blocked(service, name) as lock:
        changes = [
            start(service.http.request, method, path, json=body) for method, path, body in calls for _ in range(10)
        ]
        until(lambda: lock.n_attempts >= N_THREADS)
        until(start(service.study, other).done, "another study is read")
        assert not any(change.done() for change in changes)

    assert {change.result().status_code for change in changes} <= {200, 201, 204, 404, 409}


def test_long_calls_of_a_blocked_study_hold_up_no_long_call_of_others(
    service: Service, start: Callable[..., Future[Any]]
) -> None:
    name, other = service.create(n_trials=MANY), service.create(n_trials=MANY)
    leases, others = service.claim(name, MANY), service.claim(other, MANY)

    with blocked(service, name) as lock:
        calls = [start(post, service, "/reports", reports(leases)) for _ in range(2 * MAX_LONG_CALLS)]
        until(lambda: lock.n_attempts >= MAX_LONG_CALLS)
        until(start(post, service, "/reports", reports(others)).done, "reports of another study")

    assert [call.result() for call in calls] == [200] * len(calls)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_claim_of_any_study_is_answered_from_one_that_is_not_blocked(
    fresh_service: Service, start: Callable[..., Future[Any]], sampler: str
) -> None:
    name, other = fresh_service.create(sampler=sampler), fresh_service.create(sampler=sampler)
    fresh_service.claim_one(other)  # so that the other one would be next

    with blocked(fresh_service, name):
        claim = start(fresh_service.claim)
        until(claim.done, "a claim of any study")
        assert [lease["study"] for lease in claim.result()] == [other]


def test_claims_of_a_blocked_study_hold_no_thread(service: Service, start: Callable[..., Future[Any]]) -> None:
    name, other = service.create(sampler="tpe", n_trials=2 * N_THREADS), service.create(sampler="tpe")

    with blocked(service, name) as lock:
        calls = [start(service.claim, name, worker=secrets.token_hex(4)) for _ in range(N_THREADS + 20)]
        until(lambda: lock.n_attempts >= N_THREADS // 2)
        until(start(service.claim, other).done, "a claim of another study")

    assert [len(call.result()) for call in calls] == [1] * len(calls)


def test_time_goes_on_in_others(service: Service, start: Callable[..., Future[Any]]) -> None:
    name, other = service.create(), service.create(max_attempts=1)
    service.claim_one(other)
    service.clock.advance(2 * LEASE_SECONDS)

    with blocked(service, name):
        until(start(service.app.state.registry.tick).done, "a tick")
        registry = service.app.state.registry
        assert len(registry.get(other).leases) == 0
