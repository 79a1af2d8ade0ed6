"""Trials from elsewhere for studies with several objectives or with constraints."""

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.trial import create_trial

from tests.integration.imports_driver import DISTRIBUTIONS, SPACE, TPE, asked, one, stock_trials, value_of
from tests.integration.service_driver import Json, Service, errors_of


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_several_objectives_are_learned_from(service: Service) -> None:
    objectives = [
        {"metric": "validation_accuracy", "direction": "maximize"},
        {"metric": "n_parameters", "direction": "minimize"},
    ]
    name = service.create(search_space=SPACE, sampler=TPE, objectives=objectives, n_trials=2)
    trials = [
        one(params={"learning_rate": 0.001 * number, "batch_size": 16 + number}, values=[number / 20, number % 7])
        for number in range(1, 16)
    ]
    path = f"/v1/studies/{name}/imports"
    assert service.http.post(path, json={"source": "x", "trials": trials}).status_code == 201
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=TPESampler(seed=7, multivariate=True, group=True)
    )
    for trial in trials:
        study.add_trial(create_trial(values=trial["values"], params=trial["params"], distributions=DISTRIBUTIONS))
    assert service.claim_one(name)["params"] == asked(study).params


OBJECTIVES: list[Json] = [
    {"metric": "validation_accuracy", "direction": "maximize"},
    {"metric": "n_parameters", "direction": "minimize"},
]


def test_of_several_objectives_pruned_trials_are_none_to_learn_from(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    name = service.create(search_space=SPACE, sampler=TPE, objectives=OBJECTIVES, n_trials=2)
    path = f"/v1/studies/{name}/imports"
    complete = [one(values=[number / 20, number % 7]) for number in range(12)]
    pruned = one(state="PRUNED", values=None)
    body = {"source": "x", "trials": [{**pruned, "last_step": 3, "last_value": 0.4}, *complete]}
    assert errors_of(service.http.post(path, json=body)) == {
        "trials.0.last_step": "last_step and last_value must be null with several objectives: 3"
    }
    made = service.http.post(path, json={"source": "x", "trials": [pruned, *complete]}).json()
    assert (made["n_trials"], made["left_out"]["state"]) == (12, 1)
    service.claim_one(name)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_pruned_trials_of_a_study_with_several_objectives_are_left_out(service: Service) -> None:
    source = service.create(search_space=SPACE, objectives=OBJECTIVES, n_trials=2)
    lease = service.claim_one(source)
    body = {"metrics": {"validation_accuracy": 0.5, "n_parameters": 10.0}}
    assert service.http.post(f"/v1/leases/{lease['lease_id']}/complete", json=body).status_code == 200
    live = service.app.state.registry.get(source)
    live.study.add_trial(stock_trials([{**service.trial(source, 0), "state": "PRUNED", "step": 1}])[0])
    name = service.create(search_space=SPACE, sampler=TPE, objectives=OBJECTIVES, warm_start_from=[source])
    (listed,) = service.get(f"/studies/{name}/imports")["imports"]
    assert (listed["n_trials"], listed["left_out"]["state"]) == (1, 1)


@pytest.mark.parametrize("sampler", [TPE, {"name": "gp", "seed": 7}], ids=["tpe", "gp"])
def test_trials_are_held_against_the_constraints_of_the_study_that_learns(
    service: Service, sampler: Json, caplog: pytest.LogCaptureFixture
) -> None:
    source = service.create(search_space=SPACE, n_trials=12)
    for size in range(12):
        lease = service.claim_one(source)
        more = {} if size == 0 else {"n_parameters": 100.0 * size}
        body = {"metrics": {"validation_accuracy": value_of(lease["params"]), **more}}
        assert service.http.post(f"/v1/leases/{lease['lease_id']}/complete", json=body).status_code == 200
    constraints = [{"metric": "n_parameters", "max": 500}]
    name = service.create(
        search_space=SPACE, sampler=sampler, constraints=constraints, warm_start_from=[source], n_trials=2
    )
    (listed,) = service.get(f"/studies/{name}/imports")["imports"]
    assert (listed["n_trials"], listed["left_out"]["constraints"]) == (11, 1)
    kept = service.get(f"/studies/{name}/imports/0")["trials"]
    assert [trial["constraints"] for trial in kept] == [{"n_parameters <= 500": 100.0 * n - 500} for n in range(1, 12)]

    for _ in range(2):  # the sampler takes its own trials and the imported ones together
        lease = service.claim_one(name)
        body = {"metrics": {"validation_accuracy": 0.5, "n_parameters": 300.0}}
        assert service.http.post(f"/v1/leases/{lease['lease_id']}/complete", json=body).status_code == 200
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []

    free = service.create(search_space=SPACE, sampler=sampler, warm_start_from=[source])
    assert {repr(trial["constraints"]) for trial in service.get(f"/studies/{free}/imports/0")["trials"]} == {"{}"}


@pytest.mark.parametrize("set_by_code", [{"size": -1.0}, {"size": -1.0, "age": -1.0}, {}])
def test_gp_learns_from_trials_with_the_constraints_that_the_code_sets(
    service: Service, set_by_code: Json, caplog: pytest.LogCaptureFixture
) -> None:
    training = {"entrypoint": "mypkg.train:objective"}
    sampler = {"name": "gp", "seed": 7, "n_startup_trials": 2}
    name = service.create(search_space=SPACE, training=training, sampler=sampler, pruner="none", n_trials=4)
    trials: list[Json] = [
        one(params={"learning_rate": 0.01, "batch_size": 20 + number}, constraints=constraints)
        for number, constraints in enumerate(({}, {"size": 1.0}, {"size": -1.0}))
    ]
    assert service.http.post(f"/v1/studies/{name}/imports", json={"source": "x", "trials": trials}).status_code == 201
    for _ in range(4):
        (lease,) = service.claim(name, allow=["mypkg"])
        if set_by_code:
            url = f"/v1/leases/{lease['lease_id']}/constraints"
            assert service.http.post(url, json={"constraints": set_by_code}).status_code == 200
        service.complete(lease, value_of(lease["params"]))
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
