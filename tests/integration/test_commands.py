"""Studies of commands over HTTP: who gets their trials, and what a lease says."""

from typing import Any

import pytest

from tests.integration.service_driver import Json, Service, code_of

RATE: Json = {"type": "float", "low": 1e-5, "high": 1e-1, "log": True}


def create(service: Service, *command: str, **changes: Any) -> str:
    training = {"command": list(command) or ["python", "train.py", "{args}"], **changes.pop("training", {})}
    return service.create(**{"search_space": {"lr": RATE}, "training": training, **changes})


def test_only_a_worker_that_allows_the_command_gets_a_trial(service: Service) -> None:
    name = create(service)

    assert service.claim(name) == []
    assert service.claim(name, allow=["train"]) == []
    assert service.claim(name, allow_commands=["python other.py", "sh"]) == []
    (lease,) = service.claim(name, max_trials=5, allow_commands=["sh", "python train.py"])

    assert lease["training"]["command"] == ["python", "train.py", "{args}"]
    assert set(lease["params"]) == {"lr"}
    assert lease["objectives"] == [{"metric": "validation_accuracy", "direction": "maximize"}]


def test_a_guarded_variable_is_allowed_by_name(service: Service) -> None:
    name = create(service, training={"environment": {"PYTHONPATH": "lib", "MODE": "fast"}})
    allow: Json = {"allow_commands": ["python train.py"]}

    assert service.claim(name, **allow) == []
    assert len(service.claim(name, **allow, allow_environment=["PYTHONPATH"])) == 1


def test_a_study_that_no_worker_allows_says_so(service: Service) -> None:
    name = create(service, training={"environment": {"PATH": "/opt/bin"}})

    waits_for = service.study(name)["waits_for"]
    assert waits_for == (
        "no worker allows the command python train.py and the variable PATH: start one with "
        "--allow-command 'python train.py' --allow-environment PATH"
    )

    service.claim(name, allow_commands=["python"], allow_environment=["PATH"], wait_seconds=0.0)
    assert service.study(name)["waits_for"] is None


@pytest.mark.parametrize("words", [[""], ["python 'a"], ["a\0"]])
def test_a_bad_allowed_command_is_refused(service: Service, words: list[str]) -> None:
    body = {"claim_id": "a", "worker": {"id": "w"}, "allow_commands": words}

    assert code_of(service.http.post("/v1/claims", json=body), 422) == "invalid"


def test_a_trial_of_a_command_is_pruned_and_completes(service: Service) -> None:
    name = create(service, pruner={"name": "threshold", "lower": 0.5}, n_trials=2)
    allow: Json = {"allow_commands": ["python"]}
    first, second = (service.claim(name, **allow)[0] for _ in range(2))

    assert service.report(first, 0, 0.1) == "prune"
    assert service.report(second, 0, 0.9) == "continue"
    service.complete(second, 0.9)

    counts = service.study(name)["trial_counts"]
    assert (counts["PRUNED"], counts["COMPLETE"]) == (1, 1)


def test_the_code_of_a_command_cannot_ask_for_parameters(service: Service) -> None:
    name = create(service)
    (lease,) = service.claim(name, allow_commands=["python"])
    body = {"name": "other", "distribution": RATE}

    response = service.http.post(f"/v1/leases/{lease['lease_id']}/suggest", json=body)

    assert code_of(response, 409) == "state_conflict"


def test_a_command_has_no_final_evaluation(service: Service) -> None:
    name = create(service, n_trials=1)
    service.complete(service.claim(name, allow_commands=["python"])[0], 0.9)

    response = service.http.post(f"/v1/studies/{name}/final")

    assert code_of(response, 409) == "state_conflict"
    assert "trains with a command" in response.json()["detail"]


def test_a_claim_in_vain_hears_which_flags_its_worker_lacks(service: Service) -> None:
    name = create(service, n_trials=1)
    body: Json = {"claim_id": "lacking-1", "worker": {"id": "w"}, "study": name}

    assert service.http.post("/v1/claims", json=body).json()["not_allowed"] == ["--allow-command 'python train.py'"]
    assert service.claim(name, allow_commands=["python"]) != []
    again = service.http.post("/v1/claims", json={**body, "claim_id": "lacking-2"}).json()
    assert again == {"leases": [], "not_allowed": []}
