"""The parameters that come with a lease."""

import pytest

from tests.integration.service_driver import (
    LEARNING_RATE,
    Json,
    Service,
    code_of,
    definition,
    errors_of,
)

CONDITIONAL = {
    "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
    "momentum": {"type": "float", "low": 0.0, "high": 0.9, "when": {"optimizer": ["sgd"]}},
    "nesterov": {"type": "categorical", "choices": [True, False], "when": {"optimizer": ["sgd"]}},
    "beta1": {"type": "float", "low": 0.5, "high": 0.99, "when": {"optimizer": ["adam"]}},
}


def test_conditional_parameters_never_appear_while_they_are_inactive(each_service: Service) -> None:
    name = each_service.create(n_trials=16, search_space=CONDITIONAL)
    leases = each_service.claim(name, max_trials=16)

    for lease in leases:
        own = {"sgd": {"momentum", "nesterov"}, "adam": {"beta1"}}[lease["params"]["optimizer"]]
        assert set(lease["params"]) == {"optimizer"} | own
        assert all(lease["training"][key] == value for key, value in lease["params"].items())
    assert {lease["params"]["optimizer"] for lease in leases} == {"sgd", "adam"}
    assert [trial["params"] for trial in each_service.trials(name)] == [lease["params"] for lease in leases]


def test_parameters_stay_in_their_bounds_and_keep_their_types(service: Service) -> None:
    space = {
        "learning_rate": LEARNING_RATE,
        "momentum": {"type": "float", "low": 0.0, "high": 0.9, "step": 0.25},
        "batch_size": {"type": "int", "low": 16, "high": 70, "step": 16},
        "epochs": {"type": "int", "low": 1, "high": 100, "log": True},
        "gradient_clip": {"type": "categorical", "choices": [None, 1.0, 2]},
        "nesterov": {"type": "categorical", "choices": [False, True]},
    }
    name = service.create(n_trials=20, search_space=space)
    for lease in service.claim(name, max_trials=20):
        params = lease["params"]
        assert 1e-5 <= params["learning_rate"] <= 0.1
        assert params["momentum"] in (0.0, 0.25, 0.5, 0.75)
        assert params["batch_size"] in (16, 32, 48, 64)
        assert isinstance(params["batch_size"], int)
        assert params["epochs"] in range(1, 101)
        assert params["gradient_clip"] in (None, 1.0, 2)
        assert params["nesterov"] in (False, True)
        assert isinstance(params["nesterov"], bool)


def test_a_seed_repeats_the_first_suggestions(service: Service) -> None:
    def suggestions(seed: int) -> list[Json]:
        name = service.create(n_trials=5, sampler={"name": "tpe", "seed": seed, "n_startup_trials": 2})
        return [lease["params"] for lease in service.run(name, 5)]

    assert suggestions(3) == suggestions(3)
    assert suggestions(3) != suggestions(4)


def test_enqueued_configurations_come_first_and_in_order(each_service: Service) -> None:
    name = each_service.create(
        n_trials=4, search_space=CONDITIONAL, enqueue=[{"optimizer": "adam", "beta1": 0.6}, {"optimizer": "sgd"}]
    )
    assert each_service.counts(name) == {"WAITING": 2}
    assert each_service.trial(name, 0)["params"] == {"optimizer": "adam", "beta1": 0.6}

    response = each_service.http.post(
        f"/v1/studies/{name}/trials", json={"params": {"optimizer": "sgd", "momentum": 0.125}}
    )

    assert response.status_code == 201
    assert (response.json()["number"], response.json()["state"]) == (2, "WAITING")
    leases = each_service.claim(name, max_trials=9)
    assert [lease["trial_number"] for lease in leases] == [0, 1, 2, 3]
    assert leases[0]["params"] == {"optimizer": "adam", "beta1": 0.6}
    assert leases[1]["params"]["optimizer"] == "sgd"
    assert {"momentum", "nesterov"} <= set(leases[1]["params"])
    assert leases[2]["params"]["momentum"] == 0.125


@pytest.mark.parametrize(
    ("params", "name", "message"),
    [
        ({"momentum": 0.5}, "momentum", "momentum needs a value of optimizer beside it: 'sgd'"),
        ({"optimizer": "adam", "momentum": 0.5}, "momentum", "momentum exists only where optimizer is 'sgd'"),
        ({"optimizer": "sgd", "beta1": 0.6}, "beta1", "beta1 exists only where optimizer is 'adam'"),
    ],
)
def test_a_value_without_effect_is_not_enqueued(service: Service, params: Json, name: str, message: str) -> None:
    wanted = definition(search_space=CONDITIONAL, enqueue=[{}, params])
    found = errors_of(service.http.post("/v1/studies", json=wanted))
    assert list(found) == [f"enqueue.1.{name}"]
    assert message in found[f"enqueue.1.{name}"]
    study = service.create(search_space=CONDITIONAL)
    assert list(errors_of(service.http.post(f"/v1/studies/{study}/trials", json={"params": params}))) == [
        f"params.{name}"
    ]


@pytest.mark.parametrize("params", [{"learning_rate": 0.01}, {}])
def test_a_configuration_that_exists_is_enqueued_once_if_so_wished(service: Service, params: Json) -> None:
    name = service.create(n_trials=9)
    path = f"/v1/studies/{name}/trials"
    once = {"params": params, "skip_if_exists": True}
    answers = [service.http.post(path, json=once) for _ in range(2)]
    service.run(name)
    answers.append(service.http.post(path, json=once))
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert [answer.json()["number"] for answer in answers] == [0, 0, 0]
    assert service.http.post(path, json={"params": params}).json()["number"] == 1
    assert service.http.post(path, json={"params": {"learning_rate": 0.02}, "skip_if_exists": True}).status_code == 201


def test_a_trial_without_parameters_so_far_has_not_none_of_them(service: Service) -> None:
    name = service.create(n_trials=9)
    path = f"/v1/studies/{name}/trials"
    service.http.post(path, json={"params": {"learning_rate": 0.01}})
    answer = service.http.post(path, json={"params": {}, "skip_if_exists": True})
    assert (answer.status_code, answer.json()["number"]) == (201, 1)


def test_a_grid_is_asked_for_the_given_values_alone(service: Service) -> None:
    space = {
        "batch_size": {"type": "int", "low": 16, "high": 18},
        "nesterov": {"type": "categorical", "choices": [True]},
    }
    name = service.create(n_trials=3, search_space=space, sampler="grid")
    path = f"/v1/studies/{name}/trials"
    once = {"params": {"batch_size": 17}, "skip_if_exists": True}
    assert [service.http.post(path, json=once).status_code for _ in range(2)] == [201, 200]


def test_an_enqueued_whole_number_is_a_value_of_a_float_parameter(service: Service) -> None:
    name = service.create(
        search_space={"weight_decay": {"type": "float", "low": 0, "high": 2}}, enqueue=[{"weight_decay": 1}]
    )

    assert service.claim_one(name)["params"] == {"weight_decay": 1.0}


def test_enqueued_trials_count_towards_n_trials(service: Service) -> None:
    name = service.create(n_trials=2, enqueue=[{"learning_rate": 0.01}])
    path = f"/v1/studies/{name}/trials"
    assert service.http.post(path, json={"params": {}}).status_code == 201

    assert code_of(service.http.post(path, json={"params": {}}), 409) == "budget_exhausted"

    assert len(service.claim(name, max_trials=9)) == 2
    assert service.claim(name) == []


def test_a_study_that_is_extended_takes_enqueued_trials_again(service: Service) -> None:
    name = service.create(n_trials=1)
    service.run(name)
    path = f"/v1/studies/{name}/trials"
    assert code_of(service.http.post(path, json={"params": {}}), 409) == "budget_exhausted"

    service.change(name, n_trials=2)

    assert service.http.post(path, json={"params": {"learning_rate": 0.05}}).status_code == 201
    assert service.claim_one(name)["params"] == {"learning_rate": 0.05}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "params"),
        ({"params": None}, "params"),
        ({"params": []}, "params"),
        ({"params": {"dropout": 0.1}}, "params.dropout"),
        ({"params": {"learning_rate": 1}}, "params.learning_rate"),
        ({"params": {"learning_rate": "0.01"}}, "params.learning_rate"),
        ({"params": {"learning_rate": None}}, "params.learning_rate"),
        ({"params": {"learning_rate": True}}, "params.learning_rate"),
        ({"params": {"learning_rate": [0.01]}}, "params.learning_rate"),
        ({"params": {"learning_rate": 10**400}}, "params.learning_rate"),
        ({"params": {"\0": 1}}, "params.\0"),
        ({"params": {"x" * 129: 1}}, "params." + "x" * 129),
        ({"params": {}, "number": 3}, "number"),
    ],
)
def test_a_bad_configuration_is_not_enqueued(service: Service, body: Json, field: str) -> None:
    name = service.create()

    assert field in errors_of(service.http.post(f"/v1/studies/{name}/trials", json=body))
    assert service.counts(name) == {}
