"""What a page of all studies and workers asks for again and again: histories, versions, and who trains what."""

from typing import Any

import pytest

from tests.integration.service_driver import Json, Service, errors_of


def histories(service: Service, **query: Any) -> dict[str, list[float] | None]:
    return {study["name"]: study["history"] for study in service.get("/studies", **query)["studies"]}


def test_studies_have_a_history_when_it_is_asked_for(sqlite_service: Service) -> None:
    best = sqlite_service.create(n_trials=9)
    for value in (0.1, 0.3, 0.2, 0.5, 0.4):
        sqlite_service.run(best, value=value)
    least = sqlite_service.create(objectives=[{"metric": "validation_accuracy", "direction": "minimize"}])
    sqlite_service.fail(sqlite_service.claim_one(least))
    sqlite_service.run(least, value=0.5)
    none = sqlite_service.create()
    assert histories(sqlite_service) == {best: None, least: None, none: None}
    assert sqlite_service.study(best)["history"] is None
    assert histories(sqlite_service, history=10) == {best: [0.1, 0.3, 0.3, 0.5, 0.5], least: [0.5], none: []}
    assert histories(sqlite_service, history=3)[best] == [0.1, 0.3, 0.5]
    assert histories(sqlite_service, history=2)[best] == [0.1, 0.5]
    sqlite_service.run(best, value=0.9)
    assert histories(sqlite_service, history=10)[best] == [0.1, 0.3, 0.3, 0.5, 0.5, 0.9]


@pytest.mark.parametrize("history", [1, 201, "x"])
def test_a_wrong_length_of_a_history_is_refused(service: Service, history: Any) -> None:
    assert "history" in errors_of(service.http.get("/v1/studies", params={"history": history}))


@pytest.mark.parametrize("path", ["/v1/studies", "/v1/studies/{name}", "/v1/workers"])
def test_an_answer_that_has_not_changed_is_not_sent_again(sqlite_service: Service, path: str) -> None:
    url = path.format(name=sqlite_service.create())
    first = sqlite_service.http.get(url)
    tag = first.headers["etag"]
    again = sqlite_service.http.get(url, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert first.headers["cache-control"] == again.headers["cache-control"] == "no-store"
    sqlite_service.claim()
    changed = sqlite_service.http.get(url, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.headers["etag"] == tag) == (200, False)


def test_a_worker_has_the_trials_that_it_trains(service: Service) -> None:
    first, second = service.create(), service.create()
    service.claim(first, max_trials=2, worker="mine")
    service.claim(second, worker="mine")
    workers: list[Json] = service.get("/workers")["workers"]
    (mine,) = [worker for worker in workers if worker["id"] == "mine"]
    expected = [{"study": first, "number": 0}, {"study": first, "number": 1}, {"study": second, "number": 0}]
    assert mine["trials"] == expected
    assert mine["trials_running"] == 3
