"""Trials from elsewhere that are refused, and then nothing is taken."""

import pytest

from tests.integration.imports_driver import SPACE, one
from tests.integration.service_driver import Json, Service, code_of, definition, errors_of


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"warm_start_from": ["nowhere"]}, "warm_start_from.0", "must name a study of this service: 'nowhere'"),
        ({"name": "mine", "warm_start_from": ["mine"]}, "warm_start_from.0", "cannot start from its own trials"),
        ({"warm_start_from": ["a", "a"]}, "warm_start_from.1", "must not be listed twice: 'a'"),
        ({"warm_start_from": ["a"], "sampler": "random"}, "warm_start_from", "must be one that learns"),
        ({"warm_start_from": ["bad name"]}, "warm_start_from.0", "bad name"),
    ],
)
def test_a_warm_start_that_cannot_be_leaves_no_study(service: Service, changes: Json, field: str, message: str) -> None:
    wanted = definition(**{"sampler": "tpe", **changes})
    errors = errors_of(service.http.post("/v1/studies", json=wanted))
    assert message in errors[field]
    assert code_of(service.http.get(f"/v1/studies/{wanted['name']}"), 404) == "study_not_found"


def test_the_objectives_must_be_the_same(service: Service) -> None:
    source = service.create(objectives=[{"metric": "validation_loss", "direction": "minimize"}])
    wanted = definition(sampler="tpe", warm_start_from=[source])
    assert errors_of(service.http.post("/v1/studies", json=wanted)) == {
        "warm_start_from.0": f"study {source} must have the same objectives (maximize validation_accuracy): "
        "it has minimize validation_loss"
    }


@pytest.mark.parametrize(
    ("trial", "field", "message"),
    [
        (one(values=None), "trials.1.values", "one number for each objective: 0 given"),
        (one(values=[0.1, 0.2]), "trials.1.values", "one number for each objective: 2 given"),
        (one(state="PRUNED", values=None, last_step=3), "trials.1.last_step", "given together"),
        (one(state="DONE"), "trials.1.state", "DONE"),
        (one(params={"learning_rate": [1]}), "trials.1.params.learning_rate", "string, a number, true, false"),
    ],
)
def test_of_an_import_with_an_error_nothing_is_taken(service: Service, trial: Json, field: str, message: str) -> None:
    name = service.create(search_space=SPACE, sampler="tpe")
    response = service.http.post(f"/v1/studies/{name}/imports", json={"source": "x", "trials": [one(), trial]})
    assert message in errors_of(response)[field]
    assert service.get(f"/studies/{name}/imports")["imports"] == []
    assert service.study(name)["n_imported"] == 0


def test_defaults_must_be_values_of_the_search_space(service: Service) -> None:
    name = service.create(search_space=SPACE, sampler="tpe")
    body = {"source": "x", "trials": [one()], "defaults": {"batch_size": 8, "epochs": 3}}
    assert errors_of(service.http.post(f"/v1/studies/{name}/imports", json=body)) == {
        "defaults.batch_size": "batch_size must be a value of the search space: 8",
        "defaults.epochs": "'epochs' is not a parameter of the search space",
    }
    wanted = definition(search_space=SPACE, sampler="tpe", warm_start_from=[name], warm_start_defaults={"epochs": 3})
    assert list(errors_of(service.http.post("/v1/studies", json=wanted))) == ["warm_start_defaults.epochs"]


def test_parameters_that_all_trials_lack_are_named_with_what_fills_them_in(service: Service) -> None:
    old = service.create(search_space={"learning_rate": SPACE["learning_rate"]})
    service.run(old)
    wanted = definition(search_space=SPACE, sampler="tpe", warm_start_from=[old])
    (problem,) = errors_of(service.http.post("/v1/studies", json=wanted)).values()
    assert problem.endswith("; the trials lack batch_size: warm_start_defaults can say what it was for them")
    path = f"/v1/studies/{service.create(search_space=SPACE, sampler='tpe')}/imports"
    trials = [{"params": {"learning_rate": 0.01}, "values": [0.9]}]
    (problem,) = errors_of(service.http.post(path, json={"source": "x", "trials": trials})).values()
    assert problem.endswith("batch_size: defaults (narrows import --default) can say what it was for them")


def test_other_samplers_and_final_evaluations_take_none(service: Service) -> None:
    body = {"source": "old.csv", "trials": [one()]}
    for sampler, shown in (("random", "random"), ("cmaes", "cmaes")):
        name = service.create(search_space=SPACE, sampler=sampler)
        errors = errors_of(service.http.post(f"/v1/studies/{name}/imports", json=body))
        assert errors == {"sampler": f"sampler must be one that learns from trials of others, tpe or gp: {shown}"}
    grid = {"batch_size": {"type": "int", "low": 1, "high": 2}}
    name = service.create(search_space=grid, sampler="auto")
    errors = errors_of(service.http.post(f"/v1/studies/{name}/imports", json=body))
    assert errors["sampler"].endswith(": auto, which is brute_force here")
    assert code_of(service.http.get(f"/v1/studies/{name}/imports/0"), 404) == "import_not_found"


def test_a_study_imports_10_000_trials_at_most(service: Service) -> None:
    name = service.create(search_space=SPACE, sampler="tpe")
    path = f"/v1/studies/{name}/imports"
    many = [one(values=[number / 10_000]) for number in range(10_000)]
    assert service.http.post(path, json={"source": "many", "trials": many}).status_code == 201
    errors = errors_of(service.http.post(path, json={"source": "more", "trials": [one()]}))
    assert errors == {"trials": "a study must import at most 10000 trials: 10001 with more"}
