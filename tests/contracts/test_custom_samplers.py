"""A sampler in a process of its own suggests what it would have suggested here, for every one of Optuna's."""

import math
from collections.abc import Iterator
from typing import Any

import optuna
import pytest
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from service.sampling.ask import ServiceStudy, suggest
from service.sampling.custom.custom_samplers import CustomSamplers
from service.sampling.samplers import build_sampler, close_sampler
from service.sampling.suggestions import Suggestions
from service.schemas.study.definition import Definition
from tests.integration.service_driver import definition

pytestmark = [pytest.mark.heavy, pytest.mark.processes, pytest.mark.filterwarnings("ignore")]

N_TRIALS = 16
SPACE = {
    "learning_rate": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.5},
    "optimizer": {"type": "categorical", "choices": ["sgd", "adam", None]},
    "momentum": {"type": "float", "low": 0.0, "high": 0.9, "when": {"optimizer": ["sgd"]}},
    "batch_size": {"type": "int", "low": 8, "high": 512, "log": True},
    "hidden": {"type": "int", "low": 8, "high": 32, "step": 8},
}
SAMPLERS: dict[str, tuple[dict[str, Any], int]] = {
    "RandomSampler": ({"seed": 3}, 1),
    "TPESampler": ({"seed": 3, "n_startup_trials": 4, "multivariate": True, "group": True, "constant_liar": True}, 1),
    "CmaEsSampler": ({"seed": 3, "n_startup_trials": 2, "warn_independent_sampling": False}, 1),
    "QMCSampler": (
        {"seed": 3, "scramble": True, "warn_independent_sampling": False, "warn_asynchronous_seeding": False},
        2,
    ),
    "NSGAIISampler": ({"seed": 3, "population_size": 4}, 2),
    "NSGAIIISampler": ({"seed": 3, "population_size": 4}, 3),
}


@pytest.fixture
def custom() -> Iterator[CustomSamplers]:
    samplers = CustomSamplers(["optuna.samplers"])
    yield samplers
    samplers.close()


def the_definition(name: str, **more: Any) -> Definition:
    options, _ = SAMPLERS[name]
    sampler = {"entrypoint": f"optuna.samplers:{name}", "options": options}
    training = {"entrypoint": "mypkg:train"}
    return Definition.model_validate(
        definition(name="study", search_space=SPACE, sampler=sampler, training=training, n_trials=N_TRIALS, **more)
    )


def values_of(trial: FrozenTrial, n: int) -> list[float]:
    numbers = [abs(value) for value in trial.params.values() if isinstance(value, float)]
    return [math.fsum(math.log(number + 1e-9) * (index + 1) for number in numbers) for index in range(n)]


def a_study(sampler: BaseSampler, n_objectives: int, pruner: BasePruner) -> ServiceStudy:
    made = optuna.create_study(study_name="study", directions=["minimize"] * n_objectives)
    return ServiceStudy("study", made._storage, sampler, pruner)


def run_here(study: ServiceStudy, wanted: Definition, n_objectives: int) -> None:
    """A trial as stock Optuna samples it."""
    trial_id = study._storage.create_new_trial(study._study_id)
    suggest(study, trial_id, wanted.search_space)
    end(study, trial_id, n_objectives)


def run_apart(study: ServiceStudy, suggestions: Suggestions, n_objectives: int) -> None:
    suggestions.sample_new(1)
    trial = suggestions.take()
    assert trial is not None
    end(study, study._storage.create_new_trial(study._study_id, trial), n_objectives)


def end(study: ServiceStudy, trial_id: int, n_objectives: int) -> None:
    trial = study._storage.get_trial(trial_id)
    for step in range(3):
        study._storage.set_trial_intermediate_value(trial_id, step, float(step))
    study.tell(trial.number, values_of(trial, n_objectives))


def attrs_of(study: ServiceStudy) -> list[dict[str, Any]]:
    """The system attributes of all trials, of pickled ones the names alone: equal objects may differ there."""
    return [
        {key: None if key.startswith("cma:optimizer") else value for key, value in trial.system_attrs.items()}
        for trial in study.trials
    ]


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_process_changes_no_suggestion(custom: CustomSamplers, name: str) -> None:
    options, n_objectives = SAMPLERS[name]
    wanted = the_definition(name)
    here = a_study(getattr(optuna.samplers, name)(**options), n_objectives, NopPruner())
    apart = a_study(build_sampler(wanted, 0, custom), n_objectives, NopPruner())
    suggestions = Suggestions(apart, wanted)
    for _ in range(N_TRIALS):
        run_here(here, wanted, n_objectives)
        run_apart(apart, suggestions, n_objectives)

    assert suggestions.failures.text is None
    assert [trial.params for trial in apart.trials] == [trial.params for trial in here.trials]
    assert attrs_of(apart) == attrs_of(here)
    assert apart._storage.get_study_system_attrs(apart._study_id) == here._storage.get_study_system_attrs(
        here._study_id
    )


def test_a_trial_of_a_bracket_learns_from_that_bracket_alone(custom: CustomSamplers) -> None:
    wanted = the_definition("TPESampler")
    pruners = [HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3) for _ in range(2)]
    here = a_study(optuna.samplers.TPESampler(**SAMPLERS["TPESampler"][0]), 1, pruners[0])
    apart = a_study(build_sampler(wanted, 0, custom), 1, pruners[1])
    suggestions = Suggestions(apart, wanted)
    for pruner, study in zip(pruners, (here, apart), strict=True):
        pruner._try_initialization(study)
    for _ in range(N_TRIALS):
        run_here(here, wanted, 1)
        run_apart(apart, suggestions, 1)

    assert [trial.params for trial in apart.trials] == [trial.params for trial in here.trials]


def test_a_sampler_whose_process_was_killed_goes_on_with_what_the_study_knows(custom: CustomSamplers) -> None:
    """CMA-ES keeps all of its state in attributes of trials, so it does not begin again."""
    wanted = the_definition("CmaEsSampler")
    apart = a_study(build_sampler(wanted, 0, custom), 1, NopPruner())
    suggestions = Suggestions(apart, wanted)
    for number in range(N_TRIALS):
        if number == N_TRIALS // 2:
            close_sampler(apart.sampler)
            apart.sampler = suggestions._view.sampler = build_sampler(wanted, number, custom)
        run_apart(apart, suggestions, 1)

    generations = [trial.system_attrs.get("cma:generation", 0) for trial in apart.trials]
    assert suggestions.failures.text is None
    assert generations == sorted(generations)
    assert generations[-1] > generations[N_TRIALS // 2]
