"""When the event stream tells of a write, and what it tells a client that comes back."""

import sqlite3
import threading
from collections.abc import Iterator

import pytest

from tests.integration.events_driver import now, told, types
from tests.integration.service_driver import Json, Service, code_of, problem_of
from tests.server_sent_events import parse

CAPACITY = 50


@pytest.fixture
def small(sqlite_url: str) -> Iterator[Service]:
    """A service that keeps the last 50 events."""
    with Service(sqlite_url, capacity=CAPACITY) as service:
        yield service


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
