"""Studies: created once, listed in pages, found by name."""

import json
import threading
from typing import Any

import optuna
import pytest

from tests.integration.service_driver import (
    LEARNING_RATE,
    Json,
    Service,
    code_of,
    definition,
    errors_of,
    problem_of,
)


def test_a_study_is_created_with_what_was_written(service: Service) -> None:
    wanted = definition(n_trials=7)

    response = service.http.post("/v1/studies", json=wanted)

    assert response.status_code == 201
    study = response.json()
    assert study["name"] == wanted["name"]
    assert study["state"] == "running"
    assert study["trial_counts"] == {"WAITING": 0, "RUNNING": 0, "COMPLETE": 0, "PRUNED": 0, "FAIL": 0}
    assert study["best"] is None
    assert study["started_at"] is study["finished_at"] is study["trials_per_hour"] is None
    assert study["created_at"].endswith("Z")
    assert study["definition"]["search_space"] == wanted["search_space"]
    assert study["definition"]["n_trials"] == 7
    assert service.study(wanted["name"]) == study


def test_the_same_definition_again_finds_the_study(service: Service) -> None:
    wanted = definition()
    first = service.http.post("/v1/studies", json=wanted)

    again = service.http.post("/v1/studies", json=wanted)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"dataset": {"name": "digits"}, "model": {"name": "mlp"}}},
        {"pruner": {"name": "none"}},
        {"max_attempts": 3},
        {"search_space": {"learning_rate": {**LEARNING_RATE, "when": None, "step": None}}},
    ],
    ids=["shorthand written out", "pruner written out", "default written out", "null written out"],
)
def test_the_same_definition_in_other_words_is_the_same(service: Service, changes: Json) -> None:
    wanted = definition()
    service.http.post("/v1/studies", json=wanted)

    assert service.http.post("/v1/studies", json={**wanted, **changes}).status_code == 200


def test_a_definition_as_it_is_answered_can_be_sent_again(service: Service) -> None:
    name = service.create(
        enqueue=[{"learning_rate": 0.01}],
        objectives=[
            {"metric": "validation_accuracy", "direction": "maximize"},
            {"metric": "validation_loss", "direction": "minimize"},
        ],
    )

    assert service.http.post("/v1/studies", json=service.study(name)["definition"]).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"n_trials": 4},
        {"search_space": {"learning_rate": {**LEARNING_RATE, "high": 0.2}}},
        {"sampler": {"name": "random", "seed": 1}},
        {"enqueue": [{"learning_rate": 0.01}]},
        {"training": {"dataset": "digits", "model": "mlp", "epochs": 3}},
    ],
)
def test_another_definition_of_the_same_name_conflicts_and_changes_nothing(service: Service, changes: Json) -> None:
    wanted = definition()
    service.http.post("/v1/studies", json=wanted)
    before = service.study(wanted["name"])

    response = service.http.post("/v1/studies", json={**wanted, **changes})

    assert code_of(response, 409) == "study_exists"
    assert service.study(wanted["name"]) == before


@pytest.mark.parametrize(
    ("one", "other"),
    [([True, False], [1, 0]), ([0, 0.5], [0.0, 0.5])],
    ids=["true and 1", "0 and 0.0"],
)
def test_choices_of_another_type_are_another_definition(service: Service, one: list[Any], other: list[Any]) -> None:
    key = "nesterov" if one[0] is True else "momentum"
    wanted = definition(search_space={key: {"type": "categorical", "choices": one}})
    assert service.http.post("/v1/studies", json=wanted).status_code == 201

    wanted["search_space"][key]["choices"] = other

    assert service.http.post("/v1/studies", json=wanted).status_code in (409, 422)


def test_many_who_create_the_same_study_at_once_make_one(each_service: Service) -> None:
    wanted = definition(enqueue=[{"learning_rate": 0.01}])
    statuses: list[int] = []

    def create() -> None:
        statuses.append(each_service.http.post("/v1/studies", json=wanted).status_code)

    together(create, 8)

    assert sorted(statuses) == [200] * 7 + [201]
    assert each_service.counts(wanted["name"]) == {"WAITING": 1}


def together(call: Any, n: int) -> None:
    threads = [threading.Thread(target=call) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_study_is_created_from_yaml(service: Service) -> None:
    name = definition()["name"]
    text = f"""
name: {name}
search_space:
  learning_rate: {{type: float, low: 1e-6, high: 1e-2, log: true}}
training: {{dataset: digits, model: mlp}}
n_trials: 3
"""
    response = service.http.post("/v1/studies", content=text, headers={"content-type": "application/yaml"})

    assert response.status_code == 201, response.text
    assert response.json()["definition"]["search_space"]["learning_rate"]["low"] == 1e-6


def test_a_study_of_stock_optuna_keeps_its_name(each_service: Service) -> None:
    name = definition()["name"]
    each_service.store.optuna.create_new_study([optuna.study.StudyDirection.MINIMIZE], name)

    response = each_service.http.post("/v1/studies", json=definition(name=name))

    assert code_of(response, 409) == "study_exists"
    assert each_service.http.get(f"/v1/studies/{name}").status_code == 404
    assert optuna.load_study(study_name=name, storage=each_service.store.optuna).direction.name == "MINIMIZE"


def test_studies_are_listed_in_pages_oldest_first(fresh_service: Service) -> None:
    names = [fresh_service.create() for _ in range(5)]
    found: list[str] = []
    cursor: str | None = None
    pages = 0
    while pages == 0 or cursor is not None:
        query = {"limit": 2} if cursor is None else {"limit": 2, "cursor": cursor}
        page = fresh_service.get("/studies", **query)
        found += [study["name"] for study in page["studies"]]
        cursor = page["next_cursor"]
        pages += 1

    assert found == names
    assert pages == 3
    assert fresh_service.get("/studies", limit=5)["next_cursor"] is None


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "é", "%00", "AAAA", "W10", "bnVsbA", "WzEsMWU5OTld", "W3t9LFtdXQ", "W05hTiwwXQ", "[0,0]", "W" * 500],
)
def test_a_cursor_that_is_none_of_ours_is_refused_or_empty(service: Service, cursor: str) -> None:
    name = service.create(enqueue=[{}])
    for path in ("/v1/studies", f"/v1/studies/{name}/trials"):
        response = service.http.get(path, params={"cursor": cursor})
        assert response.status_code == 200 or "cursor" in errors_of(response)


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"limit": -1}, {"cursor": "x" * 501}])
def test_limits_of_pages_are_checked(service: Service, query: Json) -> None:
    assert set(errors_of(service.http.get("/v1/studies", params=query))) == set(query)


def test_stock_optuna_reads_the_same_trials(fresh_service: Service) -> None:
    name = fresh_service.create(n_trials=4)
    for value in (0.5, 0.7):
        fresh_service.run(name, 1, value)
    fresh_service.fail(fresh_service.claim_one(name))
    fresh_service.report(fresh_service.claim_one(name), 0, 0.25)

    url = fresh_service.url.replace("postgresql://", "postgresql+psycopg://")
    study = optuna.load_study(study_name=name, storage=url)

    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "FAIL", "RUNNING"]
    assert [trial.params for trial in study.trials] == [trial["params"] for trial in fresh_service.trials(name)]
    assert study.best_value == 0.7
    assert study.trials[3].intermediate_values == {0: 0.25}
    study._storage.remove_session()
    study._storage._backend.engine.dispose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["no-such-study", "x" * 128])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("GET", "/trials"),
        ("POST", "/trials"),
        ("GET", "/trials/0"),
        ("GET", "/trials/0/curves"),
        ("GET", "/best"),
        ("GET", "/pareto"),
        ("GET", "/importance"),
        ("GET", "/export"),
    ],
)
def test_a_study_that_is_not_there_is_not_found(service: Service, method: str, path: str, name: str) -> None:
    body = {"PATCH": {"state": "paused"}, "POST": {"params": {}}}.get(method)

    response = service.http.request(method, f"/v1/studies/{name}{path}", json=body)

    problem = problem_of(response, 404)
    assert problem["code"] == "study_not_found"
    assert name in problem["detail"]


def test_answers_are_json_to_the_letter(each_service: Service) -> None:
    name = each_service.create()
    lease = each_service.claim_one(name)
    each_service.report(lease, 0, "nan", train_loss="-inf")

    text = each_service.http.get(f"/v1/studies/{name}/trials").text

    assert json.loads(text, parse_constant=pytest.fail)["trials"][0]["metrics"] == {
        "validation_accuracy": "nan",
        "train_loss": "-inf",
    }
