"""Metrics, request ids and log lines of a service at work."""

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.logs import JsonFormatter
from service.web.metrics import SEEN_SECONDS
from tests.integration.service_driver import LEASE_SECONDS, Json, Service, problem_of

Samples = dict[tuple[Any, ...], float]


def samples(service: Service) -> Samples:
    text = service.http.get("/metrics").text
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# Metrics


def test_commits_are_counted_and_timed(service: Service) -> None:
    name = service.create()
    before = samples(service)
    service.run(name)
    after = samples(service)

    for metric in ("narrows_commit_rows", "narrows_commit_seconds"):
        n_commits = after[f"{metric}_count",] - before[f"{metric}_count",]
        assert 3 <= n_commits <= 20, "a claim, a report, an end, and who asked"
        assert after[f"{metric}_sum",] > before[f"{metric}_sum",]
    assert after["narrows_writer_waiting_rows",] == 0


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid"])
def test_samplers_are_timed_by_name(service: Service, sampler: str) -> None:
    space = {"batch_size": {"type": "int", "low": 16, "high": 48, "step": 16}}
    before = samples(service).get(("narrows_sampler_seconds_count", ("sampler", sampler)), 0)
    name = service.create(sampler=sampler, search_space=space)

    service.run(name, 2)

    after = samples(service)
    n_asked = after["narrows_sampler_seconds_count", ("sampler", sampler)] - before
    assert 2 <= n_asked <= 12, "it is asked again when it repeats itself"
    assert after["narrows_sampler_seconds_sum", ("sampler", sampler)] > 0


def test_workers_are_seen_while_they_ask_or_have_a_lease(sqlite_service: Service) -> None:
    name = sqlite_service.create()
    lease = sqlite_service.claim(name, worker="busy")[0]
    sqlite_service.claim(name, worker="silent", max_trials=2)
    assert samples(sqlite_service)["narrows_workers_seen",] == 2

    for _ in range(3):
        sqlite_service.clock.advance(LEASE_SECONDS - 1)
        sqlite_service.http.post("/v1/leases/renew", json={"lease_ids": [lease["lease_id"]]})
    found = samples(sqlite_service)
    assert 3 * (LEASE_SECONDS - 1) > SEEN_SECONDS
    assert (found["narrows_workers_seen",], found["narrows_workers",]) == (1, 2)

    sqlite_service.release(lease)
    assert samples(sqlite_service)["narrows_workers_seen",] == 0


def test_the_time_of_workers_is_told_apart(sqlite_service: Service) -> None:
    seconds = {"training": 40.0, "claims": 1.5, "used_lanes": 75.0, "empty_lanes": 5.0}
    for number, more in enumerate(({}, {"training": 44.0})):
        worker = {"id": "w", "seconds": seconds | more}
        sqlite_service.http.post("/v1/claims", json={"claim_id": f"c{number}", "worker": worker})
    sqlite_service.http.post("/v1/claims", json={"claim_id": "c9", "worker": {"id": "silent"}})
    found = samples(sqlite_service)
    assert found["narrows_worker_seconds_total", ("activity", "training")] == 44.0
    assert found["narrows_worker_seconds_total", ("activity", "claims")] == 1.5
    assert found["narrows_lane_seconds_total", ("state", "used")] == 75.0
    assert found["narrows_lane_seconds_total", ("state", "empty")] == 5.0
    by_id = {worker["id"]: worker["seconds"] for worker in sqlite_service.get("/workers")["workers"]}
    assert by_id["w"]["training"] == 44.0
    assert by_id["silent"] is None


@pytest.mark.parametrize("seconds", [-1, "1", None, 1e11])
def test_the_time_of_a_worker_must_be_seconds(sqlite_service: Service, seconds: Any) -> None:
    claim = {"claim_id": "c", "worker": {"id": "w", "seconds": {"training": seconds}}}
    answer = sqlite_service.http.post("/v1/claims", json=claim)
    assert problem_of(answer, 422)["errors"][0]["field"] == "worker.seconds.training"


def test_published_events_are_counted(service: Service) -> None:
    name = service.create()
    lease = service.claim_one(name)
    before = samples(service)
    service.report(lease, 0)
    after = samples(service)

    assert after["narrows_events_total",] == before["narrows_events_total",] + 1
    assert after["narrows_event_readers",] == 0


def test_labels_are_bounded_whatever_is_asked_for(service: Service) -> None:
    for number in range(20):
        service.http.request(f"MADEUP{number}", f"/v1/madeup/{number}")
        service.http.get(f"/v1/studies/madeup-{number}")

    labels = [dict(labels) for name, *labels in samples(service) if name.startswith("narrows_request")]
    assert "madeup" not in str(labels).lower()
    assert {one["method"] for one in labels if "method" in one} <= {"GET", "POST", "PATCH", "DELETE", "HEAD", "other"}


def test_streams_are_counted_and_not_timed(service: Service) -> None:
    service.http.get("/v1/events", params={"follow": False})

    found = samples(service)
    assert found["narrows_requests_total", ("method", "GET"), ("route", "/v1/events"), ("status", "200")] >= 1
    assert ("narrows_request_seconds_count", ("route", "/v1/events")) not in found


# Request ids


@pytest.mark.parametrize("path", ["/v1/studies", "/no/such/path", "/v1/studies/no-such", "/dashboard", "/healthz"])
def test_every_answer_has_an_id_of_its_own(service: Service, path: str) -> None:
    first, second = (service.http.get(path).headers["x-request-id"] for _ in range(2))

    assert re.fullmatch("[0-9a-f]{16}", first)
    assert first != second


@pytest.mark.parametrize("given", ["a", "7d2e-11", "4bf92f3577b34da6a3ce929d0e0e4736", "a" * 64, "x.y_z:1/2+3=="])
def test_a_clients_id_is_taken_over(service: Service, given: str) -> None:
    assert service.http.get("/healthz", headers={"X-Request-ID": given}).headers.get_list("x-request-id") == [given]


@pytest.mark.parametrize("given", ["", "a" * 65, "a b", "a\tb", 'a"b', "é", "a;b", "<a>", "a\x7fb"])
def test_an_id_that_is_not_sane_is_replaced(service: Service, given: str) -> None:
    response = service.http.get("/healthz", headers={b"X-Request-ID": given.encode()})

    assert re.fullmatch("[0-9a-f]{16}", response.headers["x-request-id"])


def test_an_error_of_the_service_names_the_request(sqlite_service: Service) -> None:
    sqlite_service.store.close()

    response = sqlite_service.http.post("/v1/studies", json={}, headers={"X-Request-ID": "mine"})
    assert response.status_code == 422
    assert "request_id" not in response.json()
    response = sqlite_service.http.get("/readyz", headers={"X-Request-ID": "mine"})
    assert problem_of(response, 503)["request_id"] == "mine"
    assert response.headers["retry-after"] == "2"


def test_an_unexpected_error_names_the_request_in_answer_and_log(
    sqlite_service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    @sqlite_service.app.get("/v1/studies/{name}/broken")
    def broken(name: str) -> None:
        raise ZeroDivisionError(name)

    caplog.handler.setFormatter(JsonFormatter())
    response = sqlite_service.http.get("/v1/studies/mine/broken", headers={"X-Request-ID": "r-7"})

    assert problem_of(response, 500)["request_id"] == "r-7"
    assert response.headers.get_list("x-request-id") == ["r-7"]
    (entry,) = entries(caplog, "unexpected error")
    assert (entry["request_id"], entry["study"], entry["level"]) == ("r-7", "mine", "error")
    assert "ZeroDivisionError: mine" in entry["exception"]


# The log


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.handler.setFormatter(JsonFormatter())
    with caplog.at_level(logging.INFO, logger="service"):
        yield caplog


def entries(caplog: pytest.LogCaptureFixture, words: str) -> list[Json]:
    found = [json.loads(line) for line in caplog.text.splitlines()]
    return [entry for entry in found if words in entry["message"]]


def test_the_life_of_a_study_is_logged_with_its_names(service: Service, logged: pytest.LogCaptureFixture) -> None:
    name = service.create(n_trials=1)
    lease = service.claim_one(name)
    headers = {"X-Request-ID": "the-end"}
    body = {"reason": "it broke"}
    service.http.post(f"/v1/leases/{lease['lease_id']}/fail", json=body, headers=headers)

    (created,) = entries(logged, "is created")
    (failed,) = entries(logged, "has failed")
    (finished,) = entries(logged, "is finished")
    assert (created["level"], created["study"], created["message"]) == (
        "info",
        name,
        f"study {name} is created: 1 trials",
    )
    assert failed["message"] == f"trial 0 of study {name} has failed: it broke"
    assert (failed["study"], failed["trial"], failed["lease"]) == (name, 0, lease["lease_id"])
    assert failed["request_id"] == finished["request_id"] == "the-end"
    assert (finished["study"], finished["message"]) == (name, f"study {name} is finished: all 1 trials are finished")


def test_a_lease_that_expires_is_logged_without_a_request(
    sqlite_service: Service, logged: pytest.LogCaptureFixture
) -> None:
    name = sqlite_service.create()
    lease = sqlite_service.claim_one(name)

    sqlite_service.clock.advance(LEASE_SECONDS + 1)
    sqlite_service.app.state.registry.tick()

    (expired,) = entries(logged, "has expired")
    assert (expired["study"], expired["trial"], expired["lease"]) == (name, 0, lease["lease_id"])
    assert "worker worker was not heard of for 60 s" in expired["message"]
    assert "request_id" not in expired


def test_changes_of_a_study_are_logged(service: Service, logged: pytest.LogCaptureFixture) -> None:
    name = service.create()
    service.change(name, state="paused")
    service.change(name, state="running", n_trials=7)
    service.http.delete(f"/v1/studies/{name}")

    messages = [entry["message"] for entry in entries(logged, name)]
    assert messages[1:] == [
        f"study {name} is paused",
        f"study {name} is extended to 7 trials",
        f"study {name} is running",
        f"study {name} is deleted",
    ]


# Readiness; a database that is away or refuses for good is in the tests of outages and events


def test_a_service_that_is_ending_is_alive_and_not_ready(sqlite_service: Service) -> None:
    assert sqlite_service.http.get("/readyz").status_code == 200

    sqlite_service.app.state.registry.waiting_claims.close()

    assert problem_of(sqlite_service.http.get("/readyz"), 503)["code"] == "shutting_down"
    assert sqlite_service.http.get("/healthz").status_code == 200
