"""Studies with a custom model or data set over HTTP: what is accepted, and which workers get their trials."""

from typing import Any

import pytest

from tests.integration.service_driver import Json, Service, definition, errors_of

MODEL: Json = {"entrypoint": "mypkg.nets:build_model", "arguments": {"depth": 2}}
DATASET: Json = {"entrypoint": "mydata.sets:build_dataset"}
WIDTH: Json = {"model.arguments.width": {"type": "int", "low": 4, "high": 8}}
RATE: Json = {"learning_rate": {"type": "float", "low": 1e-3, "high": 1e-2}}


def create(service: Service, **training: Any) -> str:
    return service.create(
        search_space=RATE | WIDTH, training={"model": MODEL, "dataset": DATASET, "epochs": 2, **training}
    )


@pytest.mark.parametrize("allow", [["mypkg", "mydata"], ["mydata.sets", "other", "mypkg.nets"]])
def test_a_worker_that_allows_both_gets_one_trial(service: Service, allow: list[str]) -> None:
    (lease,) = service.claim(create(service), allow=allow, max_trials=4)

    training = lease["training"]
    assert training["model"]["entrypoint"] == "mypkg.nets:build_model"
    assert training["model"]["arguments"] == {"depth": 2, "width": lease["params"]["model.arguments.width"]}
    assert training["dataset"] == {**DATASET, "arguments": {}, "augment": "none"}


def test_the_dropout_rates_of_a_custom_model_are_searched(service: Service) -> None:
    rates = {f"model.dropout.{place}": {"type": "float", "low": 0.0, "high": 0.5} for place in range(2)}
    name = service.create(search_space=RATE | rates, training={"model": MODEL, "dataset": DATASET, "epochs": 2})
    (lease,) = service.claim(name, allow=["mypkg", "mydata"])
    assert lease["training"]["model"]["dropout"] == [lease["params"][rate] for rate in rates]


@pytest.mark.parametrize("allow", [[], ["mypkg"], ["mydata"], ["mypkg2", "mydata"]])
def test_another_worker_gets_none(service: Service, allow: list[str]) -> None:
    assert service.claim(create(service), allow=allow) == []


def test_a_study_that_waits_for_a_worker_says_what_it_must_allow(service: Service) -> None:
    name = create(service, model={"entrypoint": "others.nets:build"})
    service.claim(name, allow=["mydata"], worker="one")
    service.claim(name, allow=["others"], worker="another")
    assert service.study(name)["waits_for"] == (
        "no worker allows mydata.sets:build_dataset and others.nets:build: start one with --allow mydata --allow others"
    )


def test_a_built_in_model_on_custom_data_needs_a_worker_that_allows_only_the_data(service: Service) -> None:
    training = {"model": "mlp", "dataset": DATASET, "epochs": 2}
    name = service.create(search_space=RATE, training=training)
    assert service.claim(name, allow=[]) == []
    assert len(service.claim(name, allow=["mydata"])) == 1


def test_a_study_says_what_its_newest_trial_trains_on(service: Service) -> None:
    name = service.create(n_trials=2)
    assert service.study(name)["data"] is None
    for text in ("images of 3x8x8", "images of 3x9x9"):
        lease = service.claim_one(name)
        path = f"/v1/leases/{lease['lease_id']}/user-attrs"
        assert service.http.post(path, json={"user_attrs": {"data": text}}).status_code == 200
        assert service.study(name)["data"] == service.trial(name, lease["trial_number"])["user_attrs"]["data"] == text
    service.restart()
    assert service.study(name)["data"] == "images of 3x9x9"


def test_a_stopped_study_ends_a_trial_that_never_reports(service: Service) -> None:
    name = create(service)
    (lease,) = service.claim(name, allow=["mypkg", "mydata"])
    service.http.patch(f"/v1/studies/{name}", json={"state": "stopped"})
    renewed = service.http.post("/v1/leases/renew", json={"lease_ids": [lease["lease_id"]]}).json()
    assert [one["alive"] for one in renewed["leases"]] == [False]


@pytest.mark.parametrize(
    ("training", "space", "field", "message"),
    [
        (
            {"model": {"entrypoint": "nets"}},
            {},
            "training.model.entrypoint",
            "entrypoint must be package.module:function",
        ),
        ({"model": {**MODEL, "name": "mlp"}}, {}, "training.model.name", "unknown field"),
        ({"dataset": {**DATASET, "n_train": 5}}, {}, "training.dataset.n_train", "unknown field"),
        ({"dropout": 0.1}, {}, "training.dropout", "dropout is for the built-in models: give it to a custom model by"),
        (
            {},
            {"hidden_noise_std": {"type": "float", "low": 0.0, "high": 1.0}},
            "search_space.hidden_noise_std",
            "hidden_noise_std is for the built-in models",
        ),
        (
            {},
            {"model.entrypoint": {"type": "categorical", "choices": ["a:b", "os:system"]}},
            "search_space.model.entrypoint",
            "model.entrypoint cannot be searched: it decides which workers may train",
        ),
        (
            {},
            {"dataset.arguments.n": {"type": "int", "low": 1, "high": 2}},
            "search_space.dataset.arguments.n",
            "every trial of a study must see the same data",
        ),
        (
            {},
            {"model.arguments.depth": {"type": "int", "low": 1, "high": 2}},
            "search_space.model.arguments.depth",
            "must not be both fixed in training and searched",
        ),
        ({"model": {**MODEL, "dropout": 1.0}}, {}, "training.model.dropout", "dropout must be less than 1"),
        (
            {"model": {**MODEL, "dropout": [0.1, -0.1]}},
            {},
            "training.model.dropout.1",
            "must be greater than or equal to 0",
        ),
        (
            {},
            {"model.dropout": {"type": "float", "low": 0.0, "high": 1.0}},
            "search_space.model.dropout",
            "model.dropout must be less than 1: 1.0",
        ),
        (
            {"memory_limit_mib": 1},
            {},
            "training.memory_limit_mib",
            "must be greater than or equal to 64",
        ),
        (
            {"model": "mlp", "dataset": "digits", "step_timeout_seconds": 5.0},
            {},
            "training.step_timeout_seconds",
            "step_timeout_seconds is for a custom model or data set: neither has an entrypoint",
        ),
    ],
)
def test_a_definition_that_does_not_hold_together_is_refused(
    service: Service, training: Json, space: Json, field: str, message: str
) -> None:
    body = definition(search_space=RATE | space, training={"model": MODEL, "dataset": DATASET} | training)
    response = service.http.post("/v1/studies", json=body)
    assert response.status_code == 422
    found = errors_of(response)
    assert field in found
    assert message in found[field]
