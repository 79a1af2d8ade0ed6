from typing import Any

import optuna
import pytest

from service.sampling.samplers import CLASSES, build_sampler, chosen_sampler
from service.schemas.study.definition import Definition
from tests.integration.service_driver import definition

DISCRETE = {
    "nesterov": {"type": "categorical", "choices": [True, False]},
    "momentum": {"type": "float", "low": 0.0, "high": 0.9, "step": 0.4},
}
BOTH = {
    "objectives": [
        {"metric": "validation_accuracy", "direction": "maximize"},
        {"metric": "validation_loss", "direction": "minimize"},
    ]
}


def defined(**changes: Any) -> Definition:
    return Definition.model_validate(definition(**changes))


def suggestions(sampler: optuna.samplers.BaseSampler, n: int = 3) -> list[float]:
    study = optuna.create_study(sampler=sampler)
    return [study.ask().suggest_float("x", 0, 1) for _ in range(n)]


@pytest.mark.parametrize("name", CLASSES)
def test_each_name_is_optunas_class(name: str) -> None:
    assert type(build_sampler(defined(sampler=name, search_space=DISCRETE), 0)) is CLASSES[name]


@pytest.mark.parametrize(("n_trials", "name"), [(5, "tpe"), (6, "brute_force"), (7, "brute_force")])
def test_auto_takes_brute_force_when_the_whole_space_fits(n_trials: int, name: str) -> None:
    chosen: Any = chosen_sampler(defined(sampler={"name": "auto", "seed": 3}, search_space=DISCRETE, n_trials=n_trials))

    assert (chosen.name, chosen.seed) == (name, 3)


@pytest.mark.parametrize("name", ["random", "tpe", "qmc"])
def test_a_seed_repeats_suggestions_at_the_start_and_not_later(name: str) -> None:
    wanted = defined(sampler={"name": name, "seed": 1})

    assert suggestions(build_sampler(wanted, 0)) == suggestions(build_sampler(wanted, 0))
    assert suggestions(build_sampler(wanted, 0)) != suggestions(build_sampler(wanted, 5))
    assert suggestions(build_sampler(wanted, 5)) == suggestions(build_sampler(wanted, 5))


def test_the_seed_of_a_later_start_is_still_a_seed() -> None:
    wanted = defined(sampler={"name": "random", "seed": 2**32 - 1})

    for n_existing in (0, 1, 999_999):
        assert len(suggestions(build_sampler(wanted, n_existing))) == 3


def test_without_a_seed_every_start_is_another() -> None:
    wanted = defined(sampler="random")

    assert suggestions(build_sampler(wanted, 0)) != suggestions(build_sampler(wanted, 0))


def test_a_grid_holds_the_values_of_the_definition_in_decimal() -> None:
    sampler = build_sampler(defined(sampler="grid", search_space=DISCRETE), 0)

    assert isinstance(sampler, optuna.samplers.GridSampler)
    assert sampler._search_space == {"momentum": [0.0, 0.4, 0.8], "nesterov": [True, False]}


@pytest.mark.parametrize("options", [{"multivariate": False}, {"multivariate": False, "group": True}, {"group": False}])
def test_options_of_tpe_that_exclude_each_other_are_reconciled(options: dict[str, Any]) -> None:
    sampler = build_sampler(defined(sampler={"name": "tpe", **options}), 0)

    assert isinstance(sampler, optuna.samplers.TPESampler)


def test_several_objectives_have_no_pruner_unless_one_is_asked_for() -> None:
    wanted = definition(**BOTH)
    del wanted["pruner"]

    assert Definition.model_validate(wanted).pruner.name == "none"
    del wanted["objectives"]
    assert Definition.model_validate(wanted).pruner.name == "successive_halving"
    wanted["objectives"] = [{"metric": "n_parameters", "direction": "minimize"}]
    assert Definition.model_validate(wanted).pruner.name == "none"
