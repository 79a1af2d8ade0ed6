"""What the event stream tells of each call, and how it is answered."""

from typing import Any

import pytest

from tests.integration.events_driver import now, told, types
from tests.integration.service_driver import LEASE_SECONDS, Service, code_of, definition
from tests.server_sent_events import parse

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
