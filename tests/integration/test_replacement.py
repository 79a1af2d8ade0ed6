"""A changed definition takes the place of a study that has no complete trial."""

from typing import Any

import pytest

from tests.integration.events_driver import now
from tests.integration.service_driver import Json, Service, code_of, definition, errors_of, problem_of


def post(service: Service, wanted: Json, **query: Any) -> Any:
    return service.http.post("/v1/studies", json=wanted, params=query)


def test_a_study_without_a_complete_trial_is_replaced(fresh_service: Service) -> None:
    service = fresh_service
    first = definition(n_trials=5, enqueue=[{"learning_rate": 0.01}])
    name = first["name"]
    assert post(service, first).status_code == 201
    service.fail(service.claim_one(name))
    running = service.claim_one(name)
    service.upload(running, "model", b"bytes")
    start = now(service)

    response = post(service, {**first, "n_trials": 7, "enqueue": []}, replace=True)

    assert response.status_code == 201, response.text
    assert (response.json()["state"], response.json()["definition"]["n_trials"]) == ("running", 7)
    assert service.trials(name) == []
    assert [event.type for event in service.events_after(start, study=name)] == ["study_deleted", "study_created"]
    late = service.http.post(f"/v1/leases/{running['lease_id']}/complete", json={"metrics": {}})
    assert code_of(late, 404) == "lease_not_found"
    service.run(name)
    service.restart()
    assert service.study(name)["definition"]["n_trials"] == 7
    assert service.counts(name) == {"COMPLETE": 1}
    assert service.blob_files() == []


def test_a_replacement_may_import_trials_of_a_study_with_constraints(service: Service) -> None:
    limits: Json = {"sampler": {"name": "tpe"}, "constraints": [{"metric": "validation_accuracy", "max": 0.9}]}
    source = service.create(**limits)
    service.run(source)
    wanted = definition(**limits)
    assert post(service, wanted).status_code == 201

    changes = {"warm_start_from": [source], "enqueue": [{"learning_rate": 0.01}]}
    response = post(service, {**wanted, **changes}, replace=True)

    assert response.status_code == 201, response.text
    assert response.json()["n_imported"] == 1


def test_a_study_with_a_complete_trial_is_not_replaced(service: Service) -> None:
    wanted = definition()
    assert post(service, wanted).status_code == 201
    service.run(wanted["name"])
    refused = problem_of(post(service, {**wanted, "n_trials": 9}, replace=True), 409)
    assert refused["code"] == "state_conflict"
    assert "has complete trials (1)" in refused["detail"]
    assert service.counts(wanted["name"]) == {"COMPLETE": 1}


def test_nothing_is_replaced_unasked(service: Service) -> None:
    wanted = definition()
    assert post(service, wanted).status_code == 201
    assert code_of(post(service, {**wanted, "n_trials": 9}), 409) == "study_exists"
    assert code_of(post(service, {**wanted, "n_trials": 9}, replace=False), 409) == "study_exists"


def test_the_same_definition_replaces_nothing(service: Service) -> None:
    wanted = definition()
    assert post(service, wanted, replace=True).status_code == 201
    service.fail(service.claim_one(wanted["name"]))
    assert post(service, wanted, replace=True).status_code == 200
    assert service.counts(wanted["name"]) == {"FAIL": 1}


@pytest.mark.parametrize(
    "wrong", [{"n_trials": 0}, {"warm_start_from": ["no-such-study"]}], ids=["definition", "warm-start"]
)
def test_a_definition_that_is_refused_replaces_nothing(service: Service, wrong: Json) -> None:
    wanted = definition()
    assert post(service, wanted).status_code == 201
    service.fail(service.claim_one(wanted["name"]))
    assert errors_of(post(service, {**wanted, **wrong}, replace=True))
    assert service.counts(wanted["name"]) == {"FAIL": 1}


def test_a_final_evaluation_is_not_replaced(service: Service) -> None:
    name = service.create(n_trials=1)
    service.run(name)
    linked = service.http.post(f"/v1/studies/{name}/final", json={"top_k": 1, "n_seeds": 1}).json()["linked_study"]
    refused = post(service, definition(name=linked), replace=True)
    assert refused.status_code in (409, 422), refused.text
    assert service.study(linked)["final_of"] == name


def test_a_taken_name_is_told_before_what_is_wrong_with_the_definition(service: Service) -> None:
    wanted = definition()
    space = {
        "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
        "momentum": {"type": "float", "low": 0.0, "high": 0.9, "when": {"optimizer": ["sgd"]}},
    }
    wrong = {**wanted, "search_space": space, "enqueue": [{"optimizer": "adam", "momentum": 0.5}]}
    assert list(errors_of(post(service, wrong))) == ["enqueue.0.momentum"]
    assert post(service, wanted).status_code == 201

    assert code_of(post(service, wrong), 409) == "study_exists"
    assert list(errors_of(post(service, wrong, replace=True))) == ["enqueue.0.momentum"]
