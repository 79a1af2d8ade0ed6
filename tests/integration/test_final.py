"""The final evaluation over HTTP: confirmations with fresh seeds, one look at the test split, one record."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from service.registry.registry import Registry
from service.schemas.study.definition import Definition
from storage import FinalRecord
from tests.integration.final_driver import SCORE, begin, complete, confirm, evaluated, final_of, post, searched
from tests.integration.service_driver import Json, Service, bearer, code_of, definition, errors_of, problem_of


def test_the_winner_is_confirmed_and_then_tested_once(each_service: Service) -> None:
    name = searched(each_service)

    record = evaluated(each_service, name)

    assert record["state"] == "complete"
    assert record["linked_study"] == f"{name}.final"
    assert [one["trial_number"] for one in record["candidates"]] == [2, 1]
    assert record["winner"] == 2
    first = record["candidates"][0]
    assert first["validation_said"] == 0.8
    assert first["confirmed_values"] == [0.91, 0.93]
    assert first["confirmed_mean"] == pytest.approx(0.92)
    assert first["standard_error"] == pytest.approx(0.01)
    assert record["test_said"]["accuracy"] == 0.95
    assert record["test_said"]["accuracy_low"] == pytest.approx(0.9347, abs=1e-4)
    assert record["test_said"]["accuracy_high"] == pytest.approx(0.9619, abs=1e-4)
    assert record["test_said"]["n_images"] == 1000
    assert (record["trials_done"], record["trials_total"], record["tested_trial"]) == (5, 5, 4)
    assert [attempt["outcome"] for attempt in record["test_attempts"]] == ["complete"]
    assert record["requested_by"] == "anonymous"
    assert record["forced"] is False
    assert record["earlier"] == []
    assert each_service.study(record["linked_study"])["state"] == "finished"


def test_asking_again_tells_how_far_it_is_and_then_the_record(service: Service) -> None:
    name = searched(service)
    assert post(service, name, top_k=1, n_seeds=1).status_code == 201
    assert post(service, name, top_k=3, n_seeds=3).status_code == 202
    under_way = final_of(service, name)
    assert (under_way["state"], under_way["trials_done"], under_way["trials_total"]) == ("running", 0, 2)
    assert under_way["test_said"] is None
    confirm(service, name, {1: [0.9]})
    assert complete(service, service.claim_one(f"{name}.final"), **SCORE).status_code == 200

    again = post(service, name)

    assert again.status_code == 200
    assert again.json() == final_of(service, name)
    assert service.study(f"{name}.final")["trial_counts"]["COMPLETE"] == 2


def test_the_body_may_be_left_out(service: Service) -> None:
    name = searched(service)
    assert service.http.post(f"/v1/studies/{name}/final").status_code == 201
    assert final_of(service, name)["trials_total"] == 3 * 3 + 1


def test_confirmations_have_the_params_of_the_originals_and_seeds_of_their_own(service: Service) -> None:
    space = {
        "learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
        "batch_size": {"type": "int", "low": 16, "high": 500, "log": True},
        "dropout": {"type": "float", "low": 0.0, "high": 0.7, "step": 0.1},
        "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
        "momentum": {"type": "float", "low": 0.0, "high": 0.99, "when": {"optimizer": ["sgd"]}},
    }
    name = searched(service, (0.1, 0.2, 0.3, 0.4), search_space=space, pruner="median", sampler="tpe")
    originals = service.trials(name)
    search_seeds = seeds_of_the_search(service, name)
    begin(service, name, top_k=4, n_seeds=2)

    leases = service.claim(f"{name}.final", max_trials=20)

    leases.sort(key=lambda lease: lease["trial_number"])  # those that train together are granted together
    assert [lease["params"] for lease in leases] == [
        original["params"] for original in reversed(originals) for _ in range(2)
    ]
    assert len(search_seeds) == 4
    assert len({lease["seed"] for lease in leases} - search_seeds) == 8
    assert service.study(f"{name}.final")["definition"]["pruner"] == {"name": "none"}


def seeds_of_the_search(service: Service, name: str) -> set[int]:
    """The seeds that its trials had: those of the same study made again."""
    other = service.create(**{**service.study(name)["definition"], "name": definition()["name"]})
    return {lease["seed"] for lease in service.claim(other, max_trials=1000)}


def test_a_worker_that_asks_for_the_study_gets_its_final_evaluation_too(service: Service) -> None:
    name = searched(service)
    begin(service, name, top_k=1, n_seeds=1)

    lease = service.claim_one(name)

    assert lease["study"] == f"{name}.final"


@pytest.mark.parametrize("state", ["running", "paused"])
def test_it_waits_for_the_end_of_the_search(service: Service, state: str) -> None:
    name = service.create(n_trials=2)
    service.run(name)
    if state == "paused":
        service.change(name, state="paused")

    problem = problem_of(post(service, name), 409)

    assert problem["code"] == "state_conflict"
    assert state in problem["detail"]
    assert code_of(service.http.get(f"/v1/studies/{name}/final"), 404) == "final_not_found"


def test_of_a_stopped_study_it_waits_for_the_workers(service: Service) -> None:
    name = service.create(n_trials=3)
    service.run(name)
    lease = service.claim_one(name)
    service.change(name, state="stopped")
    assert "workers still have" in problem_of(post(service, name), 409)["detail"]
    assert service.report(lease, 0) == "stop"
    assert post(service, name).status_code == 201


@pytest.mark.parametrize("ending", [".final", ".final-2", ".final-17"])
def test_users_studies_cannot_have_its_names(service: Service, ending: str) -> None:
    response = service.http.post("/v1/studies", json=definition(name=f"mine{ending}"))
    assert "must not end as those of final evaluations do" in errors_of(response)["name"]


def test_a_name_as_long_as_may_be_gets_one_too(service: Service) -> None:
    name = searched(service, name="x" * 128)
    linked = begin(service, name)["linked_study"]
    assert len(linked) == 128
    assert linked.endswith(".final")
    assert service.study(linked)["final_of"] == name


def test_the_linked_study_is_changed_by_its_evaluation_alone(service: Service) -> None:
    name = searched(service)
    linked = begin(service, name)["linked_study"]
    path = f"/v1/studies/{linked}"

    assert service.study(linked)["final_of"] == name
    assert service.study(name)["final_of"] is None
    assert code_of(service.http.patch(path, json={"n_trials": 100}), 409) == "state_conflict"
    assert code_of(service.http.patch(path, json={"state": "stopped"}), 409) == "state_conflict"
    assert code_of(service.http.post(f"{path}/trials", json={"params": {}}), 409) == "state_conflict"
    assert name in problem_of(service.http.delete(path), 409)["detail"]
    assert code_of(post(service, linked), 409) == "state_conflict"
    assert service.change(linked, state="paused")["state"] == "paused"
    assert service.claim(name) == []
    service.change(linked, state="running")
    assert len(service.claim(name)) == 1


def test_it_goes_with_its_study(each_service: Service) -> None:
    name = searched(each_service)
    linked = evaluated(each_service, name)["linked_study"]

    assert each_service.http.delete(f"/v1/studies/{name}").status_code == 204

    for gone in (name, linked):
        assert code_of(each_service.http.get(f"/v1/studies/{gone}"), 404) == "study_not_found"
    assert searched(each_service, name=name) == name
    assert code_of(each_service.http.get(f"/v1/studies/{name}/final"), 404) == "final_not_found"


def test_many_who_ask_at_once_begin_it_once(each_service: Service) -> None:
    name = searched(each_service)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: post(each_service, name, top_k=1, n_seeds=1).status_code, range(8)))
    assert sorted(statuses) == [201, *[202] * 7]
    assert final_of(each_service, name)["earlier"] == []
    assert len(each_service.claim(name, max_trials=9)) == 1


def test_an_evaluation_that_is_only_about_to_begin_is_not_there_yet(service: Service) -> None:
    name = searched(service)
    registry: Registry = service.app.state.registry
    with registry.committed_change():
        linked = registry.write_study(Definition.model_validate(definition(name=f"{name}.final")))
        study_id, now = registry.get(name).record.study_id, registry.clock.now()
        registry.store.finals.add(FinalRecord(study_id, 1, linked.study_id, "running", {}, now, "me"))

    assert service.claim(name) == []
    assert code_of(service.http.get(f"/v1/studies/{name}/final"), 404) == "final_not_found"


def test_a_definition_may_ask_for_it(service: Service) -> None:
    name = service.create(n_trials=2, confirmation={"top_k": 1, "n_seeds": 2})
    service.run(name)
    service.tick()
    assert code_of(service.http.get(f"/v1/studies/{name}/final"), 404) == "final_not_found"
    service.run(name)

    for _ in range(2):
        service.tick()

    final = final_of(service, name)
    assert (final["number"], final["requested_by"], final["trials_total"]) == (1, "confirmation", 3)
    assert len(service.claim(name, max_trials=9)) == 2


def test_what_the_definition_says_holds_where_a_call_says_nothing(service: Service) -> None:
    name = service.create(n_trials=2, confirmation={"top_k": 1, "n_seeds": 4})
    service.run(name)
    service.change(name, state="stopped")
    service.tick()  # a stopped study has not finished
    assert begin(service, name, top_k=2)["trials_total"] == 5


@pytest.mark.parametrize("wanted", [{"top_k": 0}, {"top_k": 31}, {"n_seeds": 0}, {"n_seeds": "3"}, {"unknown": 1}])
def test_wrong_wishes_are_named(service: Service, wanted: Json) -> None:
    name = searched(service)
    (field,) = wanted
    assert list(errors_of(post(service, name, **wanted))) == [field]
    assert list(errors_of(service.http.post("/v1/studies", json=definition(confirmation=wanted)))) == [
        f"confirmation.{field}"
    ]


def test_the_definition_of_the_linked_study_is_one() -> None:
    written = definition(confirmation={})
    assert Definition.model_validate(written).confirmation is not None


def test_the_token_that_asked_is_named(sqlite_url: str) -> None:
    with Service(sqlite_url, token="the operator's") as service:
        secret = service.create_token("lab", ["submit"])
        service.http.headers.update(bearer("the operator's"))
        name = searched(service)
        response = service.http.post(f"/v1/studies/{name}/final", json={}, headers=bearer(secret))
        assert response.json()["requested_by"] == "lab"


def test_what_the_test_split_said_is_on_record_without_an_objective_value(service: Service) -> None:
    name = searched(service)
    begin(service, name, top_k=1, n_seeds=1)
    confirm(service, name, {1: [0.9]})

    lease = service.claim_one(f"{name}.final")
    body = {"metrics": {"validation_accuracy": "nan", **SCORE}}
    assert service.http.post(f"/v1/leases/{lease['lease_id']}/complete", json=body).json()["state"] == "FAIL"

    record = final_of(service, name)
    assert (record["state"], record["test_said"]["accuracy"]) == ("complete", 0.95)
    assert post(service, name).status_code == 200
    assert final_of(service, name)["number"] == 1


def test_one_study_that_fails_holds_up_no_other(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken, name = (service.create(n_trials=1, confirmation={"top_k": 1, "n_seeds": 1}) for _ in range(2))
    for one in (broken, name):
        service.run(one)
    registry: Registry = service.app.state.registry
    monkeypatch.setattr(registry.get(broken).definition, "confirmation", "no confirmation")

    service.tick()

    assert final_of(service, name)["state"] == "running"
    assert code_of(service.http.get(f"/v1/studies/{broken}/final"), 404) == "final_not_found"
    assert f"study {broken} could not be brought up to date" in caplog.text
