"""A suggestion that is sampled beside the database is the one that Optuna itself would have made."""

import copy
import math
from typing import Any

import optuna
import pytest
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from service.sampling.ask import ServiceStudy, suggest
from service.sampling.samplers import build_sampler
from service.sampling.suggestions import Suggestions
from service.schemas.study.definition import Definition
from tests.integration.service_driver import definition

pytestmark = pytest.mark.heavy

N_TRIALS = 24
CONTINUOUS = {
    "learning_rate": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.5},
    "batch_size": {"type": "int", "low": 8, "high": 512, "log": True},
}
DISCRETE = {
    "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
    "epochs": {"type": "int", "low": 1, "high": 4},
    "dropout": {"type": "float", "low": 0.0, "high": 0.3, "step": 0.1},
}
SAMPLERS: dict[str, dict[str, Any]] = {
    "random": CONTINUOUS,
    "tpe": CONTINUOUS,
    "gp": CONTINUOUS,
    "cmaes": CONTINUOUS,
    "qmc": CONTINUOUS,
    "nsgaii": CONTINUOUS,
    "grid": DISCRETE,
    "brute_force": DISCRETE,
}


def the_definition(name: str) -> Definition:
    # A start of 10 random trials, so that most of the 24 come from the model.
    return Definition.model_validate(
        definition(name="study", search_space=SAMPLERS[name], sampler={"name": name, "seed": 3}, n_trials=N_TRIALS)
    )


def value_of(params: dict[str, Any]) -> float:
    return sum(
        math.log(abs(value) + 1e-9) if isinstance(value, int | float) else len(value) for value in params.values()
    )


def a_study(sampler: BaseSampler, pruner: BasePruner | None = None) -> ServiceStudy:
    made = optuna.create_study(study_name="study")
    return ServiceStudy("study", made._storage, sampler, pruner or NopPruner())


def run_plainly(study: ServiceStudy, wanted: Definition) -> None:
    """A trial as stock Optuna samples it: its parameters one by one, in the database."""
    trial_id = study._storage.create_new_trial(study._study_id)
    params = suggest(study, trial_id, wanted.search_space)
    study.tell(study._storage.get_trial_number_from_id(trial_id), value_of(params))


def run_ahead(study: ServiceStudy, suggestions: Suggestions) -> None:
    """A trial that is sampled whole before it is in the database."""
    suggestions.sample_new(1)
    trial = suggestions.take()
    assert trial is not None
    number = study._storage.get_trial_number_from_id(study._storage.create_new_trial(study._study_id, trial))
    study.tell(number, value_of(trial.params))


@pytest.mark.parametrize("name", SAMPLERS)
def test_sampling_beside_the_database_changes_no_suggestion(name: str) -> None:
    wanted = the_definition(name)
    plain = a_study(build_sampler(wanted, 0))
    ahead = a_study(build_sampler(wanted, 0))
    suggestions = Suggestions(ahead, wanted)
    for _ in range(N_TRIALS):
        run_plainly(plain, wanted)
        run_ahead(ahead, suggestions)

    assert [trial.params for trial in ahead.trials] == [trial.params for trial in plain.trials]
    assert [trial.system_attrs for trial in ahead.trials] == [trial.system_attrs for trial in plain.trials]


@pytest.mark.parametrize("name", SAMPLERS)
def test_suggestions_that_are_ready_together_differ(name: str) -> None:
    wanted = the_definition(name)
    study = a_study(build_sampler(wanted, 0))
    suggestions = Suggestions(study, wanted)
    for _ in range(12):
        run_ahead(study, suggestions)

    suggestions.sample_new(8)

    ready = [suggestions.take() for _ in range(8)]
    assert len({repr(trial.params) for trial in ready if trial is not None}) == 8
    assert study._storage.get_n_trials(study._study_id) == 12  # nothing is written before it is handed out
    assert study._storage.get_n_trials(study._study_id, TrialState.RUNNING) == 0


@pytest.mark.parametrize("pruner", [NopPruner(), HyperbandPruner(max_resource=9)], ids=["no pruner", "brackets"])
@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_after_imported_trials_they_are_those_of_a_study_that_has_them(name: str, pruner: BasePruner) -> None:
    wanted = the_definition(name)
    source = a_study(RandomSampler(1))
    for _ in range(12):
        run_plainly(source, wanted)
    plain = a_study(build_sampler(wanted, 0))
    plain.add_trials(source.trials)
    ahead = a_study(build_sampler(wanted, 0), pruner)
    assert not pruner.prune(ahead, source.trials[0])  # it has its brackets from the first call on
    suggestions = Suggestions(ahead, wanted)
    suggestions.learn_from([renamed(trial) for trial in source.trials])
    for _ in range(6):
        run_plainly(plain, wanted)
        run_ahead(ahead, suggestions)

    assert [trial.params for trial in ahead.trials] == [trial.params for trial in plain.trials[12:]]


def renamed(trial: FrozenTrial) -> FrozenTrial:
    """A trial with an id that no storage gives."""
    other = copy.copy(trial)
    other._trial_id = -(10**9) + trial.number
    return other
