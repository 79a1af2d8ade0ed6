"""What the event stream tells of each call, and what it tells a client that comes back."""

import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.service_driver import LEASE_SECONDS, Json, Service, code_of, definition, problem_of
from tests.server_sent_events import ServerSentEvent, parse

CAPACITY = 50


@pytest.fixture
def small(sqlite_url: str) -> Iterator[Service]:
    """A service that keeps the last 50 events."""
    with Service(sqlite_url, capacity=CAPACITY) as service:
        yield service


def now(service: Service) -> str:
    """The id that a client gets when it connects."""
    response = service.http.get("/v1/events", params={"follow": False})
    *_, last = parse(response.text)
    assert last.id is not None
    return last.id


def told(events: list[ServerSentEvent]) -> list[tuple[str | None, int | None]]:
    return [(event.type, event.data.get("trial")) for event in events]


def types(events: list[ServerSentEvent]) -> list[str | None]:
    return [event.type for event in events]


# What is told


def test_a_trial_is_told_from_its_creation_to_its_end(each_service: Service) -> None:
    start = now(each_service)
    name = each_service.create(n_trials=1)
    lease = each_service.claim_one(name)
    each_service.report(lease, 0, 0.25, train_loss="inf")
    each_service.complete(lease, 0.75)

    events = each_service.events_after(start, study=name)

    assert types(events) == [
        "study_created",
        "trial_created",
        "trial_started",
        "trial_reported",
        "trial_completed",
        "study_finished",
    ]
    assert all(event.data["type"] == event.type and event.data["study"] == name for event in events)
    assert all(event.data["at"] == each_service.clock.now().isoformat().replace("+00:00", "Z") for event in events)
    _, created, started, reported, completed, finished = [event.data for event in events]
    assert created["trial"] == started["trial"] == reported["trial"] == completed["trial"] == 0
    assert (started["params"], started["worker"], started["attempt"]) == (lease["params"], "worker", 1)
    assert (reported["step"], reported["metrics"]) == (0, {"validation_accuracy": 0.25, "train_loss": "inf"})
    assert (completed["values"], completed["metrics"]) == ([0.75], {"validation_accuracy": 0.75})
    assert finished["reason"] == "all 1 trials are finished"
    assert "trial" not in finished


def test_a_report_that_comes_again_is_told_once(service: Service) -> None:
    name = service.create()
    lease = service.claim_one(name)
    start = now(service)

    service.report(lease, 0)
    service.report(lease, 0)

    assert told(service.events_after(start, study=name)) == [("trial_reported", 0)]


def test_a_pruned_trial_is_told_after_its_report(service: Service) -> None:
    name = service.create(pruner={"name": "threshold", "lower": 0.3})
    lease = service.claim_one(name)
    start = now(service)

    assert service.report(lease, 0, 0.1) == "prune"

    assert told(service.events_after(start, study=name)) == [("trial_reported", 0), ("trial_pruned", 0)]


def test_failures_retries_and_releases_are_told_with_their_reasons(service: Service) -> None:
    name = service.create(n_trials=1)
    start = now(service)

    service.release(service.claim_one(name))
    service.fail(service.claim_one(name), "x" * 3000, retry=True)
    service.fail(service.claim_one(name), "still broken")

    events = [event.data for event in service.events_after(start, study=name)]
    assert [(event["type"], event.get("reason"), event.get("attempt")) for event in events] == [
        ("trial_created", None, None),
        ("trial_started", None, 1),
        ("trial_released", None, 1),
        ("trial_started", None, 1),
        ("trial_requeued", "x" * 500, 1),
        ("trial_started", None, 2),
        ("trial_failed", "still broken", 2),
        ("study_finished", "all 1 trials are finished", None),
    ]


def test_a_lease_that_expires_is_told(sqlite_service: Service) -> None:
    name = sqlite_service.create(max_attempts=2)
    sqlite_service.claim_one(name)
    start = now(sqlite_service)

    sqlite_service.clock.advance(LEASE_SECONDS + 1)
    sqlite_service.study(name)

    (event,) = sqlite_service.events_after(start)
    assert event.type == "trial_requeued"
    assert event.data["reason"] == "worker worker was not heard of for 60 s"


def test_changes_of_a_study_are_told(service: Service) -> None:
    name = service.create(n_trials=2, enqueue=[{"learning_rate": 0.01}])
    start = now(service)

    service.change(name, state="paused")
    service.change(name, state="running", n_trials=3)
    service.http.post(f"/v1/studies/{name}/trials", json={"params": {"learning_rate": 0.02}})
    service.change(name, state="stopped")
    service.http.delete(f"/v1/studies/{name}")

    events = [event.data for event in service.events_after(start)]
    assert [event["type"] for event in events] == [
        "study_paused",
        "study_extended",
        "study_resumed",
        "trial_created",
        "study_stopped",
        "study_deleted",
    ]
    assert events[1]["n_trials"] == 3
    assert (events[3]["trial"], events[3]["params"]) == (1, {"learning_rate": 0.02})
    assert {event["study"] for event in events} == {name}


def test_a_study_that_is_there_already_is_not_told_again(service: Service) -> None:
    wanted = definition()
    service.http.post("/v1/studies", json=wanted)
    start = now(service)

    assert service.http.post("/v1/studies", json=wanted).status_code == 200

    assert service.events_after(start) == []


# When it is told


def test_a_report_is_told_once_it_is_committed_and_not_before(small: Service) -> None:
    name = small.create()
    lease = small.claim_one(name)
    start = now(small)
    other = sqlite3.connect(small.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # from here on our writer waits

    reporting = threading.Thread(target=small.report, args=(lease, 0))
    reporting.start()
    while small.store.n_waiting_rows == 0:
        threading.Event().wait(0.01)
    before = small.events_after(start)
    other.execute("COMMIT")
    other.close()
    reporting.join()

    assert before == []
    assert told(small.events_after(start)) == [("trial_reported", 0)]


def test_a_write_that_is_refused_for_good_is_never_told_and_the_service_says_that_it_is_not_ready(
    small: Service,
) -> None:
    name = small.create()
    lease = small.claim_one(name)
    start = now(small)
    other = sqlite3.connect(small.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("CREATE TRIGGER no BEFORE INSERT ON narrows_epochs BEGIN SELECT RAISE(ABORT, 'no more'); END")
    other.close()
    assert small.http.get("/readyz").status_code == 200

    item = {"lease_id": lease["lease_id"], "step": 0, "metrics": {"validation_accuracy": 0.5}}
    refused = small.http.post("/v1/reports", json={"reports": [item]})

    assert code_of(refused, 503) == "database_unavailable"
    assert small.events_after(start) == []
    assert "refused a write for good" in problem_of(small.http.get("/readyz"), 503)["detail"]
    assert small.http.get("/healthz").status_code == 200


# Coming back


def test_ids_go_up_by_one_and_resume_where_the_client_was(small: Service) -> None:
    start = now(small)
    name = small.create()
    small.run(name, 2)
    events = small.events_after(start)
    numbers = [int(str(event.id).rpartition("-")[2]) for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(events)))
    assert len({str(event.id).rpartition("-")[0] for event in events}) == 1

    for at, event in enumerate(events):
        assert small.events_after(str(event.id)) == events[at + 1 :]


def test_the_header_wins_over_the_query(small: Service) -> None:
    start = now(small)
    name = small.create()
    last = now(small)
    small.claim_one(name)

    query: Json = {"last_event_id": start, "follow": False}
    response = small.http.get("/v1/events", params=query, headers={"Last-Event-ID": last})

    assert types([event for event in parse(response.text) if event.type]) == ["trial_created", "trial_started"]


@pytest.mark.parametrize(
    "asked", ["", "7", "x-7", "-", "0", "RUN-999999", "RUN-", "RUN--1", "RUN-²", "RUN-" + "9" * 60]
)
def test_an_id_that_is_not_of_this_run_gets_a_reset_and_what_comes_after_it(small: Service, asked: str) -> None:
    run = now(small).rpartition("-")[0]
    (event,) = small.events_after(asked.replace("RUN", run))

    assert event.type == "reset"
    assert "load the state again" in event.data["reason"]
    name = small.create()
    assert [(later.type, later.data["study"]) for later in small.events_after(str(event.id))] == [
        ("study_created", name)
    ]


def test_a_client_that_was_away_for_long_gets_a_reset(small: Service) -> None:
    name = small.create()
    lease = small.claim_one(name)
    start = now(small)
    for step in range(CAPACITY):
        small.report(lease, step)
    assert len(small.events_after(start)) == CAPACITY

    small.report(lease, CAPACITY)

    (event,) = small.events_after(start)
    assert event.type == "reset"
    assert event.id == now(small)


def test_after_a_restart_a_client_gets_a_reset(fresh_service: Service) -> None:
    name = fresh_service.create()
    fresh_service.run(name)
    last = now(fresh_service)
    fresh_service.restart()

    (event,) = fresh_service.events_after(last)

    assert event.type == "reset"
    fresh_service.claim_one(name)
    assert types(fresh_service.events_after(str(event.id))) == ["trial_created", "trial_started"]


def test_a_client_of_one_study_is_not_sent_back_by_the_events_of_others(small: Service) -> None:
    quiet, busy = small.create(), small.create()
    last = now(small)
    lease = small.claim_one(busy)
    for step in range(3 * CAPACITY):
        small.report(lease, step)
        if step % 20 == 0:  # it comes for events, as a follower gets heartbeats
            response = small.http.get("/v1/events", params={"study": quiet, "last_event_id": last, "follow": False})
            *_, end = parse(response.text)
            last = str(end.id)

    small.claim_one(quiet)

    assert types(small.events_after(last, study=quiet)) == ["trial_created", "trial_started"]


# How it is answered


def test_the_answer_is_an_event_stream_that_no_proxy_keeps(service: Service) -> None:
    response = service.http.get("/v1/events", params={"follow": False})

    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"
    first, *_ = parse(response.text)
    assert first.retry == 2000
    assert first.id is not None


@pytest.mark.parametrize("query", [{"study": "no-such"}, {"study": "no such"}, {"follow": "perhaps"}])
def test_a_wrong_query_is_refused(service: Service, query: dict[str, Any]) -> None:
    response = service.http.get("/v1/events", params=query)

    assert code_of(response, 404 if query.get("study") == "no-such" else 422)
