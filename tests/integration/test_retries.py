"""A failed trial is tried again as a new trial with its parameters."""

from typing import Any

import pytest

from tests.integration.service_driver import Json, Service, code_of, problem_of

GRID = {"optimizer": {"type": "categorical", "choices": ["sgd", "adam", "adamw"]}}


def post_retry(service: Service, name: str, number: int) -> Any:
    return service.http.post(f"/v1/studies/{name}/trials/{number}/retry")


def retry(service: Service, name: str, number: int) -> Json:
    response = post_retry(service, name, number)
    assert response.status_code == 201, response.text
    trial: Json = response.json()
    return trial


def finish_with_a_failure(service: Service, **changes: Any) -> str:
    """A study of three trials that is finished; trial 1 has failed."""
    name = service.create(n_trials=3, **changes)
    for number in range(3):
        lease = service.claim_one(name)
        if number == 1:
            service.fail(lease, "no file labels.csv")
        else:
            service.complete(lease)
    assert service.study(name)["state"] == "finished"
    return name


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"search_space": GRID, "sampler": "grid"},
        {"search_space": GRID, "sampler": "brute_force"},
        {"search_space": GRID, "sampler": {"name": "tpe", "seed": 0}},
    ],
    ids=["random", "grid", "brute_force", "tpe"],
)
def test_a_failed_trial_of_a_finished_study_is_tried_again(service: Service, changes: Json) -> None:
    name = finish_with_a_failure(service, **changes)
    failed = service.trial(name, 1)

    again = retry(service, name, 1)

    assert (again["number"], again["state"], again["retry_of"]) == (3, "WAITING", 1)
    assert again["params"] == failed["params"]
    study = service.study(name)
    assert (study["state"], study["finished_at"], study["definition"]["n_trials"]) == ("running", None, 4)
    service.restart()
    (lease,) = service.claim(name, max_trials=10)
    assert (lease["trial_number"], lease["params"]) == (3, failed["params"])
    service.complete(lease)
    assert service.study(name)["state"] == "finished"
    assert service.counts(name) == {"COMPLETE": 3, "FAIL": 1}
    assert service.trial(name, 1) == failed
    assert service.trial(name, 3)["retry_of"] == 1
    assert service.trial(name, 0)["retry_of"] is None


def test_no_other_trial_is_lost_to_a_retry_while_a_grid_is_searched(service: Service) -> None:
    name = service.create(n_trials=3, search_space=GRID, sampler="grid")
    service.fail(service.claim_one(name))
    retry(service, name, 0)
    tried = [lease["params"]["optimizer"] for lease in service.run(name, 3)]
    assert sorted(tried) == ["adam", "adamw", "sgd"]
    assert tried[0] == service.trial(name, 0)["params"]["optimizer"]
    assert service.study(name)["state"] == "finished"


@pytest.mark.parametrize("state", ["WAITING", "RUNNING", "COMPLETE", "PRUNED"])
def test_only_a_failed_trial_is_tried_again(service: Service, state: str) -> None:
    name = service.create()
    lease = service.claim_one(name)
    if state == "WAITING":
        service.release(lease)
    elif state == "COMPLETE":
        service.complete(lease)
    elif state == "PRUNED":
        service._end(lease, "prune", None)
    refused = problem_of(post_retry(service, name, 0), 409)
    assert refused["code"] == "state_conflict"
    assert f"trial 0 of study {name} is {state}" in refused["detail"]
    assert service.study(name)["definition"]["n_trials"] == 3


def test_a_trial_is_tried_again_once_and_its_retry_too(service: Service) -> None:
    name = finish_with_a_failure(service)
    assert retry(service, name, 1)["number"] == 3
    refused = problem_of(post_retry(service, name, 1), 409)
    assert refused["detail"].endswith("is tried again already, as trial 3")
    assert code_of(post_retry(service, name, 3), 409) == "state_conflict"
    service.fail(service.claim_one(name))
    assert retry(service, name, 3)["retry_of"] == 3
    assert service.study(name)["definition"]["n_trials"] == 5


def test_a_retry_in_a_paused_study_waits_until_it_is_resumed(service: Service) -> None:
    name = service.create(n_trials=30, max_failures_in_a_row=1)
    service.fail(service.claim_one(name))
    reason = service.study(name)["state_reason"]
    retry(service, name, 0)
    study = service.study(name)
    assert (study["state"], study["state_reason"]) == ("paused", reason)
    assert service.claim(name) == []
    service.change(name, state="running")
    assert service.claim_one(name)["trial_number"] == 1


def test_a_study_that_has_ended_early_tries_nothing_again(service: Service) -> None:
    name = service.create(target_value=0.9)
    service.fail(service.claim_one(name))
    service.complete(service.claim_one(name), 0.95)
    assert service.study(name)["state"] == "finished"
    assert code_of(post_retry(service, name, 0), 409) == "state_conflict"
    assert service.study(name)["definition"]["n_trials"] == 3


def test_what_code_asked_for_as_it_ran_is_tried_again(service: Service) -> None:
    name = service.create(search_space={}, training={"entrypoint": "mypkg:objective"}, pruner="none")
    (lease,) = service.claim(name, allow=["mypkg"])
    asked = {"name": "x", "distribution": {"type": "float", "low": 0.0, "high": 1.0}}
    suggested = service.http.post(f"/v1/leases/{lease['lease_id']}/suggest", json=asked).json()["value"]
    service.fail(lease)
    retry(service, name, 0)
    (again,) = service.claim(name, allow=["mypkg"])
    assert service.http.post(f"/v1/leases/{again['lease_id']}/suggest", json=asked).json()["value"] == suggested


def test_a_trial_that_does_not_exist_is_not_tried_again(service: Service) -> None:
    assert code_of(post_retry(service, service.create(), 7), 404) == "trial_not_found"


def test_a_finished_grid_says_how_many_configurations_have_no_result(service: Service) -> None:
    name = service.create(n_trials=9, search_space=GRID, sampler="grid")
    service.fail(service.claim_one(name))
    service.run(name, 2)
    tried = "all 3 configurations of the search space are tried"
    hint = f", 1 of them without a result: narrows retry {name} tries them again"
    assert service.study(name)["finished_reason"] == f"{tried}{hint}"
    retry(service, name, 0)
    service.run(name)
    assert service.study(name)["finished_reason"] == tried
    whole = finish_with_a_failure(service, search_space=GRID, sampler="brute_force")
    hint = f", 1 of them without a result: narrows retry {whole} tries them again"
    assert service.study(whole)["finished_reason"] == f"all 3 trials are finished{hint}"


def test_a_study_that_cannot_go_on_says_what_can_be_done(service: Service) -> None:
    name = finish_with_a_failure(service)
    resumed = service.http.patch(f"/v1/studies/{name}", json={"state": "running"})
    assert problem_of(resumed, 409)["detail"].endswith(
        "is finished: it cannot become running; narrows retry tries failed trials again, narrows extend adds trials"
    )
    grid = finish_with_a_failure(service, search_space=GRID, sampler="grid")
    extended = service.http.patch(f"/v1/studies/{grid}", json={"n_trials": 5})
    assert code_of(extended, 409) == "nothing_left"
    left = f"all points of its search space are tried, narrows retry {grid} tries those without a result again"
    assert extended.json()["detail"] == f"study {grid} has no more points: {left}"
    enqueued = service.http.post(f"/v1/studies/{grid}/trials", json={"params": {"optimizer": "sgd"}})
    assert problem_of(enqueued, 409)["detail"] == f"all 3 trials of study {grid} exist: {left}"
    assert service.study(grid)["definition"]["n_trials"] == 3
