"""What the dashboard may change, what it may not, and what our own tables make of it."""

from collections.abc import Iterator
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from tests.integration.service_driver import LEASE_SECONDS, Service, bearer, code_of, errors_of, problem_of

OPERATOR = "correct horse"


@pytest.fixture
def guarded(sqlite_url: str) -> Iterator[Service]:
    with Service(sqlite_url, token=OPERATOR) as service:
        service.http.headers.update(bearer(OPERATOR))
        yield service


def study_id(service: Service, name: str) -> int:
    return service.store.optuna.get_study_id_from_name(name)


def trial_id(service: Service, name: str, number: int) -> int:
    return service.store.optuna.get_trial_id_from_study_id_trial_number(study_id(service, name), number)


def tell(service: Service, name: str, number: int, **body: Any) -> Any:
    return service.http.post(f"/api/trials/{trial_id(service, name, number)}/tell", json=body)


# Studies


def test_a_study_is_deleted_with_all_that_is_ours(fresh_service: Service) -> None:
    name = fresh_service.create()
    fresh_service.run(name, 2)
    deleted = study_id(fresh_service, name)

    response = fresh_service.http.request(
        "DELETE", f"/api/studies/{deleted}", json={"remove_associated_artifacts": True}
    )

    assert (response.status_code, response.json()) == (200, {})
    assert fresh_service.get("/studies")["studies"] == []
    assert name not in fresh_service.http.get("/api/studies").text
    again = fresh_service.create(name=name)
    assert fresh_service.trials(again) == []
    fresh_service.restart()
    assert fresh_service.trials(again) == []


def test_a_study_with_workers_on_it_is_not_deleted(sqlite_service: Service) -> None:
    name = sqlite_service.create()
    lease = sqlite_service.claim_one(name)
    path = f"/api/studies/{study_id(sqlite_service, name)}"

    refused = problem_of(sqlite_service.http.delete(path), 409)

    assert refused["code"] == "trial_leased"
    assert refused["reason"] == refused["detail"] == f"study {name} has trials with workers (1): stop it first"
    assert sqlite_service.report(lease, 0) == "continue"
    sqlite_service.clock.advance(LEASE_SECONDS + 1.0)
    assert sqlite_service.http.delete(path).status_code == 200


def test_a_study_of_another_program_may_be_deleted_too(sqlite_service: Service) -> None:
    other = optuna.create_study(storage=sqlite_service.store.optuna, study_name="of-another-program")

    assert sqlite_service.http.delete(f"/api/studies/{other._study_id}").status_code == 200
    assert code_of(sqlite_service.http.delete(f"/api/studies/{other._study_id}"), 404) == "study_not_found"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/studies"),
        ("POST", "/api/studies/1/rename"),
        ("PUT", "/api/studies/1/preference_feedback_component"),
        ("POST", "/api/studies/1/preference"),
        ("POST", "/api/studies/1/0/skip"),
        ("POST", "/api/artifacts/1/1"),
        ("DELETE", "/api/artifacts/1/1/ab"),
        ("POST", "/api/llm/trial_filter_query"),
        ("PATCH", "/api/studies/1"),
    ],
)
def test_what_would_go_past_the_service_is_refused(service: Service, method: str, path: str) -> None:
    name = service.create()
    before = service.get("/studies")

    response = service.http.request(method, path, json={"study_name": "other", "directions": ["minimize"]})

    assert problem_of(response, 403)["reason"].startswith("not from the dashboard")
    assert service.get("/studies") == before
    assert service.study(name)["state"] == "running"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/dashboard", "/dashboard/studies/1", "/csv/1", "/static/bundle.js"])
def test_pages_and_files_are_only_read(service: Service, method: str, path: str) -> None:
    assert code_of(service.http.request(method, path, json={}), 405) == "method_not_allowed"


# Trials


def test_a_waiting_trial_is_ended_by_hand(each_service: Service) -> None:
    name = each_service.create(n_trials=2, enqueue=[{"learning_rate": 0.01}, {"learning_rate": 0.02}])

    assert tell(each_service, name, 0, state="Complete", values=[0.75]).status_code == 200
    assert tell(each_service, name, 1, state="Fail").status_code == 200

    first, second = each_service.trials(name)
    assert (first["state"], first["values"], first["reason"]) == ("COMPLETE", [0.75], None)
    assert (second["state"], second["reason"]) == ("FAIL", "ended in the dashboard")
    assert each_service.study(name)["state"] == "finished"
    assert each_service.claim(name) == []


def test_a_value_by_hand_may_reach_the_target(sqlite_service: Service) -> None:
    name = sqlite_service.create(enqueue=[{}], target_value=0.9)

    tell(sqlite_service, name, 0, state="Complete", values=[0.95])

    assert sqlite_service.study(name)["state"] == "finished"


def test_a_trial_that_a_worker_has_is_left_alone(each_service: Service) -> None:
    name = each_service.create(enqueue=[{}])
    lease = each_service.claim_one(name)
    trial = trial_id(each_service, name, 0)
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", f"/api/trials/{trial}/tell", {"state": "Fail"}),
        ("POST", f"/api/trials/{trial}/tell", {"state": "Complete", "values": [1.0]}),
        ("POST", f"/api/trials/{trial}/user-attrs", {"user_attrs": {"a": 1}}),
        ("PUT", f"/api/studies/{study_id(each_service, name)}/{trial}/note", {"version": 1, "body": "hm"}),
    ]
    for method, path, body in calls:
        refused = problem_of(each_service.http.request(method, path, json=body), 409)
        assert refused["code"] == "trial_leased"
        assert refused["reason"].startswith(f"trial 0 of study {name} is leased to worker worker")

    stored = each_service.store.optuna.get_trial(trial)
    assert (stored.state, stored.user_attrs) == (TrialState.RUNNING, {})
    assert each_service.complete(lease) == "COMPLETE"


def test_a_lease_that_has_expired_leaves_its_trial_free(sqlite_service: Service) -> None:
    name = sqlite_service.create(n_trials=1)
    lease = sqlite_service.claim_one(name)
    sqlite_service.clock.advance(LEASE_SECONDS + 1.0)

    assert tell(sqlite_service, name, 0, state="Fail").status_code == 200

    response = sqlite_service.http.post(f"/v1/leases/{lease['lease_id']}/complete", json={"values": [1.0]})
    assert code_of(response, 409) == "lease_lost"
    assert sqlite_service.trial(name, 0)["state"] == "FAIL"
    assert sqlite_service.claim(name) == []
    assert sqlite_service.study(name)["state"] == "finished"


def test_a_trial_that_has_ended_stays_as_it_is(service: Service) -> None:
    name = service.create()
    service.run(name)
    for body in ({"state": "Fail"}, {"state": "Complete", "values": [9.0]}):
        assert code_of(tell(service, name, 0, **body), 409) == "state_conflict"
    attrs = service.http.post(f"/api/trials/{trial_id(service, name, 0)}/user-attrs", json={"user_attrs": {"a": 1}})
    assert code_of(attrs, 409) == "state_conflict"
    assert service.trial(name, 0)["values"] == [0.5]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "state"),
        ({"state": "Running"}, "state"),
        ({"state": 1}, "state"),
        ({"state": "Complete"}, "values"),
        ({"state": "Complete", "values": [1.0, 2.0]}, "values"),
        ({"state": "Complete", "values": ["x"]}, "values.0"),
        ({"state": "Complete", "values": ["nan"]}, "values.0"),
    ],
)
def test_a_wrong_end_names_the_field(service: Service, body: dict[str, Any], field: str) -> None:
    name = service.create(enqueue=[{}])
    assert field in errors_of(tell(service, name, 0, **body))
    assert service.trial(name, 0)["state"] == "WAITING"


def test_attributes_are_kept_with_a_waiting_trial(each_service: Service) -> None:
    name = each_service.create(enqueue=[{}])
    trial = trial_id(each_service, name, 0)

    response = each_service.http.post(f"/api/trials/{trial}/user-attrs", json={"user_attrs": {"who": "me", "n": 3}})

    assert response.status_code == 200
    assert each_service.store.optuna.get_trial(trial).user_attrs == {"who": "me", "n": 3}


@pytest.mark.parametrize("body", [{}, {"user_attrs": {}}, {"user_attrs": {"\0": 1}}, {"user_attrs": {"a": {}}}])
def test_attributes_that_cannot_be_kept_are_a_problem(service: Service, body: dict[str, Any]) -> None:
    name = service.create(enqueue=[{}])
    response = service.http.post(f"/api/trials/{trial_id(service, name, 0)}/user-attrs", json=body)
    assert any(field.startswith("user_attrs") for field in errors_of(response))


@pytest.mark.parametrize("number", [10**9, 10**30])
def test_what_is_not_there_is_not_found(service: Service, number: int) -> None:
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("DELETE", f"/api/studies/{number}", {}),
        ("POST", f"/api/trials/{number}/tell", {"state": "Fail"}),
        ("POST", f"/api/trials/{number}/user-attrs", {"user_attrs": {"a": 1}}),
        ("PUT", f"/api/studies/{number}/note", {"version": 1, "body": ""}),
        ("PUT", f"/api/studies/{number}/{number}/note", {"version": 1, "body": ""}),
    ]
    for method, path, body in calls:
        response = service.http.request(method, path, json=body)
        assert problem_of(response, 404 if number < 2**31 else 422)


# Notes


def test_notes_are_kept_and_shown(each_service: Service) -> None:
    name = each_service.create()
    each_service.run(name)
    study, trial = study_id(each_service, name), trial_id(each_service, name, 0)

    for path, body in ((f"{study}", "of the *study*"), (f"{study}/{trial}", "of the trial, long: " + "x" * 5000)):
        response = each_service.http.put(f"/api/studies/{path}/note", json={"version": 1, "body": body})
        assert response.status_code == 200

    shown = each_service.http.get(f"/api/studies/{study}", params={"after": 0}).json()
    assert shown["note"] == {"version": 1, "body": "of the *study*"}
    assert shown["trials"][0]["note"]["body"].startswith("of the trial, long: xxx")


def test_a_note_that_somebody_else_has_changed_is_not_overwritten(service: Service) -> None:
    path = f"/api/studies/{study_id(service, service.create())}/note"
    assert service.http.put(path, json={"version": 1, "body": "first"}).status_code == 200

    response = service.http.put(path, json={"version": 1, "body": "second"})

    assert response.status_code == 409
    assert response.json()["note"] == {"version": 1, "body": "first"}
    assert response.json()["reason"]


def test_a_note_goes_to_a_trial_of_its_study_alone(service: Service) -> None:
    name, other = service.create(), service.create()
    service.run(name)
    path = f"/api/studies/{study_id(service, other)}/{trial_id(service, name, 0)}/note"
    assert code_of(service.http.put(path, json={"version": 1, "body": "x"}), 404) == "trial_not_found"


@pytest.mark.parametrize("body", [None, {}, {"version": 0, "body": "x"}, {"version": 1}, {"version": "a", "body": "x"}])
def test_a_note_that_is_none_is_a_problem(service: Service, body: Any) -> None:
    path = f"/api/studies/{study_id(service, service.create())}/note"
    assert errors_of(service.http.put(path, json=body))


# Who may


def test_changes_need_an_admin(guarded: Service) -> None:
    name = guarded.create(enqueue=[{}])
    for scopes in (["read"], ["submit"], ["work"], ["read", "submit", "work"]):
        secret = guarded.create_token("-".join(("some", *scopes)), scopes)
        response = guarded.http.delete(f"/api/studies/{study_id(guarded, name)}", headers=bearer(secret))
        problem = problem_of(response, 403)
        assert problem["code"] == "insufficient_scope"
        assert "needs a token with the scope admin" in problem["reason"]
    assert guarded.http.delete(f"/api/studies/{study_id(guarded, name)}").status_code == 200
