"""Which trials a final evaluation confirms and ranks: equal ones, infinite values, several objectives, constraints."""

from typing import Any

from tests.integration.final_driver import SCORE, begin, complete, final_of, post, searched
from tests.integration.service_driver import Json, Service, problem_of


def test_equal_configurations_are_confirmed_once(service: Service) -> None:
    space = {"optimizer": {"type": "categorical", "choices": ["sgd", "adam"]}}
    name = searched(service, (0.1, 0.2, 0.3, 0.4), search_space=space)

    final = begin(service, name, top_k=4, n_seeds=1)

    assert sorted(one["params"]["optimizer"] for one in final["candidates"]) == ["adam", "sgd"]
    assert final["candidates"][0]["trial_number"] == 3


def test_without_a_complete_trial_there_is_nothing_to_evaluate(service: Service) -> None:
    name = service.create(n_trials=1)
    service.fail(service.claim_one(name))
    assert "no complete trial" in problem_of(post(service, name), 409)["detail"]


def test_several_objectives_are_ranked_by_the_first(service: Service) -> None:
    objectives = [
        {"metric": "validation_loss", "direction": "minimize"},
        {"metric": "training_seconds", "direction": "minimize"},
    ]
    name = service.create(n_trials=3, objectives=objectives)
    for loss in (0.3, 0.1, 0.2):
        service.complete(service.claim_one(name), values=[loss, 1 - loss])

    final = begin(service, name, top_k=2, n_seeds=1)

    assert final["metric"] == "validation_loss"
    assert [one["trial_number"] for one in final["candidates"]] == [1, 2]


def test_an_infinite_objective_is_no_candidate(each_service: Service) -> None:
    name = each_service.create(n_trials=2, objectives=[{"metric": "validation_loss", "direction": "minimize"}])
    for value in (1.0, "-inf"):
        body = {"metrics": {"validation_loss": value}}
        lease = each_service.claim_one(name)
        assert each_service.http.post(f"/v1/leases/{lease['lease_id']}/complete", json=body).status_code == 200

    assert [one["trial_number"] for one in begin(each_service, name, top_k=2)["candidates"]] == [0]


def test_without_a_finite_objective_there_is_nothing_to_evaluate(service: Service) -> None:
    name = service.create(n_trials=1)
    service.complete(service.claim_one(name), "inf")

    refused = problem_of(post(service, name), 409)

    assert refused["detail"] == (
        f"study {name} has no trial whose validation_accuracy is finite: there is nothing to evaluate"
    )
    assert f"{name}.final" not in [one["name"] for one in service.get("/studies")["studies"]]


BOUNDED: Json = {"constraints": [{"metric": "validation_loss", "max": 0.5}]}


def bounded(service: Service, losses: list[list[float]], **changes: Any) -> str:
    """A study with a constraint, and an evaluation of its two trials whose confirmations have these losses."""
    name = service.create(n_trials=2, **BOUNDED, **changes)
    for value in (0.9, 0.8):
        assert complete(service, service.claim_one(name), value, validation_loss=0.1).status_code == 200
    begin(service, name, top_k=2, n_seeds=2)
    for value, seeds in zip((0.9, 0.8), losses, strict=True):
        for loss in seeds:
            assert complete(service, service.claim_one(f"{name}.final"), value, validation_loss=loss).status_code == 200
    return name


def test_a_candidate_that_violates_a_constraint_with_fresh_seeds_cannot_win(service: Service) -> None:
    name = bounded(service, [[0.4, 0.7], [0.4, 0.55]])
    tested = service.claim_one(f"{name}.final")
    assert complete(service, tested, validation_loss=0.6, **SCORE).status_code == 200

    record = final_of(service, name)

    assert (record["state"], record["winner"], record["distinguishable"]) == ("complete", 1, None)
    assert service.trial(f"{name}.final", tested["trial_number"])["violated"] == ["validation_loss <= 0.5"], (
        "told, not judged"
    )
    violated = {one["trial_number"]: one["violated"] for one in record["candidates"]}
    assert violated == {1: [], 0: ["validation_loss <= 0.5"]}


def test_without_a_candidate_that_keeps_its_constraints_the_test_split_is_not_read(service: Service) -> None:
    name = bounded(service, [[0.7, 0.7], [0.5, 0.6]])

    record = final_of(service, name)

    assert (record["state"], record["winner"], record["test_said"]) == ("failed", None, None)
    assert [one["confirmed_values"] for one in record["candidates"]] == [[0.9, 0.9], [0.8, 0.8]]
    assert [one["violated"] for one in record["candidates"]] == [["validation_loss <= 0.5"]] * 2
    assert record["failure"] == (
        "no configuration keeps its constraints when it is trained again: trial 0 violates validation_loss <= 0.5; "
        "trial 1 violates validation_loss <= 0.5"
    )
    assert service.claim(f"{name}.final") == []


def test_an_infinite_seed_counts_neither_in_the_ranking_nor_in_the_tested_trial(service: Service) -> None:
    name = searched(service)
    begin(service, name, top_k=1, n_seeds=2, train_on_validation=True)
    for value in (0.9, "inf"):
        service.complete(service.claim_one(f"{name}.final"), value)
    tested = service.claim_one(f"{name}.final")
    body = {"metrics": SCORE}
    assert service.http.post(f"/v1/leases/{tested['lease_id']}/complete", json=body).status_code == 200

    assert final_of(service, name)["candidates"][0]["confirmed_mean"] == 0.9
    assert service.trial(f"{name}.final", tested["trial_number"])["values"] == [0.9]


def test_one_configuration_of_a_stepped_range_counts_once(service: Service) -> None:
    space = {"dropout": {"type": "float", "low": 0.05, "high": 0.85, "step": 0.1}}
    values = (0.45, 0.44999999999999996, 0.35)
    name = service.create(n_trials=3, search_space=space, enqueue=[{"dropout": value} for value in values])
    service.run(name, 3)

    found = begin(service, name, top_k=3)["candidates"]

    assert sorted(one["params"]["dropout"] for one in found) == [0.35, 0.45]
