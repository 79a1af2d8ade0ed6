"""Every sampler of a definition runs, without falling back to random parameters; exhaustive ones visit all once."""

import itertools
import logging
from typing import Any

import optuna
import pytest

from tests.integration.service_driver import LEARNING_RATE, Json, Service, code_of, definition, errors_of, problem_of

pytestmark = pytest.mark.filterwarnings("ignore:Clip non-finite values:UserWarning")

SEVERAL = [
    {"metric": "validation_accuracy", "direction": "maximize"},
    {"metric": "validation_loss", "direction": "minimize"},
]
MIXED = {
    "learning_rate": LEARNING_RATE,
    "batch_size": {"type": "int", "low": 16, "high": 100, "log": True},
    "momentum": {"type": "float", "low": 0.0, "high": 0.9, "step": 0.4},
    "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
    "nesterov": {"type": "categorical", "choices": [True, False], "when": {"optimizer": ["sgd"]}},
}
SAMPLERS: dict[str, Json] = {
    "random": {"name": "random", "seed": 1},
    "auto": {"name": "auto", "seed": 1},
    "tpe": {"name": "tpe", "seed": 1, "n_startup_trials": 2},
    "tpe, each alone": {"name": "tpe", "n_startup_trials": 2, "multivariate": False, "constant_liar": False},
    "tpe, not grouped": {"name": "tpe", "n_startup_trials": 0, "group": False, "n_ei_candidates": 1},
    "gp": {"name": "gp", "seed": 1, "n_startup_trials": 3, "deterministic_objective": True},
    "cmaes": {"name": "cmaes", "seed": 1, "n_startup_trials": 2},
    "cmaes, small": {"name": "cmaes", "popsize": 4, "sigma0": 0.1, "consider_pruned_trials": True},
    "cmaes, separable": {"name": "cmaes", "use_separable_cma": True},
    "cmaes, margin": {"name": "cmaes", "with_margin": True},
    "cmaes, adapted": {"name": "cmaes", "lr_adapt": True},
    "qmc": {"name": "qmc", "seed": 1},
    "qmc, halton": {"name": "qmc", "qmc_type": "halton", "scramble": False},
    "nsgaii": {"name": "nsgaii", "seed": 1, "population_size": 2},
    "nsgaii, options": {
        "name": "nsgaii",
        "population_size": 3,
        "mutation_prob": 1,
        "crossover_prob": 0,
        "swapping_prob": 1,
        "mutation": "polynomial",
    },
    "nsgaiii": {"name": "nsgaiii", "seed": 1, "population_size": 2, "dividing_parameter": 2},
    **{
        f"nsgaii, {crossover}": {"name": "nsgaii", "seed": 1, "population_size": 3, "crossover": crossover}
        for crossover in ("blxalpha", "sbx", "vsbx", "spx", "undx")
    },
}


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged when a suggestion failed and random parameters took its place."""
    return [f"{record.getMessage()}: {record.exc_info}" for record in caplog.records if record.levelno >= logging.ERROR]


def run_all(service: Service, name: str, n_trials: int) -> None:
    """Three at a time, with values that are not all good."""
    values: Any = itertools.cycle([0.5, 0.9, "inf", 0.1, "nan", 0.7, "-inf"])
    while leases := service.claim(name, max_trials=3):
        for lease in leases:
            service.complete(lease, metrics={"validation_accuracy": next(values), "validation_loss": 0.5})
    assert sum(service.counts(name).values()) == n_trials


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sampler_runs(service: Service, sampler: str, caplog: pytest.LogCaptureFixture) -> None:
    name = service.create(n_trials=6, sampler=SAMPLERS[sampler], search_space=MIXED)

    run_all(service, name, 6)

    assert failures(caplog) == [], "no suggestion failed"
    assert service.study(name)["state"] == "finished"


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp", "qmc", "nsgaii", "nsgaiii", "auto"])
def test_a_sampler_runs_for_several_objectives(
    service: Service, sampler: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"n_startup_trials": 2} if sampler in ("tpe", "gp") else {}
    name = service.create(
        n_trials=5, sampler={"name": sampler, "seed": 0, **options}, objectives=SEVERAL, search_space=MIXED
    )

    run_all(service, name, 5)

    assert failures(caplog) == []


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "qmc"])
@pytest.mark.parametrize(
    "space",
    [
        {"optimizer": {"type": "categorical", "choices": ["adam"]}},
        {"momentum": {"type": "float", "low": 0.0, "high": 0.25, "step": 0.5}},
        {"batch_size": {"type": "int", "low": 1, "high": 65536}},
    ],
    ids=["one choice", "a step wider than the range", "many integers"],
)
def test_a_sampler_runs_on_an_odd_space(
    service: Service, sampler: str, space: Json, caplog: pytest.LogCaptureFixture
) -> None:
    options = {} if sampler == "qmc" else {"n_startup_trials": 1}
    name = service.create(n_trials=3, sampler={"name": sampler, "seed": 0, **options}, search_space=space)

    run_all(service, name, 3)

    assert failures(caplog) == []


DISCRETE: dict[str, Json] = {
    "momentum": {"type": "float", "low": 0.1, "high": 0.4, "step": 0.1},
    "batch_size": {"type": "int", "low": 16, "high": 40, "step": 16},
    "gradient_clip": {"type": "categorical", "choices": [None, 1]},
}
CONDITIONAL = {
    "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
    "nesterov": {"type": "categorical", "choices": [True, False], "when": {"optimizer": ["sgd"]}},
    "epochs": {"type": "int", "low": 1, "high": 3, "when": {"nesterov": [True]}},
}


@pytest.mark.parametrize("sampler", ["grid", "brute_force", "auto"])
def test_every_configuration_is_tried_once_and_then_the_study_ends(service: Service, sampler: str) -> None:
    name = service.create(n_trials=50, sampler={"name": sampler, "seed": 0}, search_space=DISCRETE)

    while leases := service.claim(name, max_trials=3):
        service.fail(leases[0])
        for lease in leases[1:]:
            service.complete(lease)

    tried = [tuple(trial["params"].values()) for trial in service.trials(name)]
    expected = set(itertools.product([0.1, 0.2, 0.3, 0.4], [16, 32], [None, 1]))
    assert len(tried) == len(set(tried)) == 16
    assert set(tried) == expected
    study = service.study(name)
    assert (study["state"], study["finished_reason"]) == (
        "finished",
        "all 16 configurations of the search space are tried, "
        f"6 of them without a result: narrows retry {name} tries them again",
    )


def test_brute_force_visits_conditional_configurations_once(each_service: Service) -> None:
    name = each_service.create(n_trials=50, sampler="brute_force", search_space=CONDITIONAL)

    while leases := each_service.claim(name, max_trials=2):
        for lease in leases:
            each_service.complete(lease)

    tried = sorted(repr(sorted(trial["params"].items())) for trial in each_service.trials(name))
    assert len(tried) == len(set(tried)) == 5
    assert each_service.study(name)["state"] == "finished"


def test_an_exhaustive_study_stops_at_n_trials_too(service: Service) -> None:
    name = service.create(n_trials=3, sampler="grid", search_space=DISCRETE)

    assert len(service.claim(name, max_trials=9)) == 3


def test_an_exhausted_study_cannot_be_extended(service: Service) -> None:
    name = service.create(
        n_trials=9, sampler="grid", search_space={"nesterov": DISCRETE["gradient_clip"] | {"choices": [True, False]}}
    )
    service.run(name, 2)

    assert code_of(service.http.patch(f"/v1/studies/{name}", json={"n_trials": 20}), 409) == "nothing_left"


def test_auto_takes_brute_force_only_when_all_fits(service: Service) -> None:
    name = service.create(n_trials=15, sampler="auto", search_space=DISCRETE)

    claimed = 0
    while leases := service.claim(name, max_trials=99):  # a claim does not wait until all are sampled
        claimed += len(leases)
    assert claimed == 15


def test_trials_running_at_the_same_time_are_not_the_same(service: Service) -> None:
    name = service.create(n_trials=10, sampler={"name": "tpe", "seed": 0, "n_startup_trials": 2})
    service.run(name, 3)

    rates = [lease["params"]["learning_rate"] for lease in service.claim(name, max_trials=7)]

    assert len(set(rates)) == 7


GRID = {
    "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
    "batch_size": {"type": "int", "low": 16, "high": 18},
}


def run_whole_grid(service: Service, name: str) -> None:
    """Run what is left, and see that everything was tried once."""
    while leases := service.claim(name, max_trials=2):
        for lease in leases:
            service.complete(lease)
    tried = sorted((trial["params"]["optimizer"], trial["params"]["batch_size"]) for trial in service.trials(name))
    assert tried == sorted(itertools.product(["sgd", "adam"], [16, 17, 18]))
    assert service.study(name)["state"] == "finished"


def test_what_is_enqueued_in_part_is_completed_from_the_grid(
    fresh_service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    first = [{"batch_size": 17}, {"optimizer": "adam", "batch_size": 17}, {}]
    name = fresh_service.create(n_trials=6, sampler="grid", search_space=GRID, enqueue=first)
    added = fresh_service.http.post(f"/v1/studies/{name}/trials", json={"params": {"optimizer": "sgd"}})
    assert added.status_code == 201, added.text
    fresh_service.restart()

    # Each by a worker of its own: a worker gets first what trains together with the trials that it has.
    given = [fresh_service.claim(name, worker=f"worker-{number}")[0] for number in range(4)]

    assert given[0]["params"] == {"optimizer": "sgd", "batch_size": 17}
    assert given[1]["params"] == {"optimizer": "adam", "batch_size": 17}
    assert given[3]["params"]["optimizer"] == "sgd"
    for lease in given:
        fresh_service.complete(lease)
    run_whole_grid(fresh_service, name)
    assert failures(caplog) == []


def test_what_another_program_has_enqueued_in_part_is_completed_from_the_grid(
    sqlite_service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    name = sqlite_service.create(n_trials=6, sampler="grid", search_space=GRID)
    sqlite_service.close()
    study = optuna.load_study(study_name=name, storage=sqlite_service.url)
    for params in ({"optimizer": "adam"}, {"optimizer": "adam"}, {}):
        study.enqueue_trial(params)
    sqlite_service._open()

    run_whole_grid(sqlite_service, name)

    assert failures(caplog) == []


def test_a_configuration_of_a_grid_that_is_all_tried_is_not_enqueued(service: Service) -> None:
    name = service.create(n_trials=6, sampler="grid", search_space=GRID, enqueue=[{"batch_size": 16}] * 2)

    response = service.http.post(f"/v1/studies/{name}/trials", json={"params": {"batch_size": 16}})

    problem = problem_of(response, 409)
    assert problem["code"] == "nothing_left"
    assert problem["detail"] == "every configuration with these values is tried or waits: {'batch_size': 16}"
    assert len(service.trials(name)) == 2


def test_a_definition_that_enqueues_more_of_a_grid_than_there_is_makes_no_study(service: Service) -> None:
    wanted = definition(n_trials=6, sampler="grid", search_space=GRID, enqueue=[{"batch_size": 16}] * 3)

    assert list(errors_of(service.http.post("/v1/studies", json=wanted))) == ["enqueue.2"]

    assert service.http.get(f"/v1/studies/{wanted['name']}").status_code == 404
