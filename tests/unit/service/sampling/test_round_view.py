"""Every sampler samples from a round's ranges, and goes on learning in them."""

import math
from dataclasses import replace
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from service.sampling.ask import ServiceStudy
from service.sampling.round_view import RoundView
from service.sampling.samplers import build_sampler
from service.sampling.suggestions import Suggestions
from service.schemas.study.definition import Definition
from storage import RoundRecord
from tests.integration.service_driver import FakeClock, definition

SPACE = {
    "learning_rate": {"type": "float", "low": 1e-6, "high": 1.0, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.5},
    "momentum": {"type": "float", "low": 0.0, "high": 0.9, "step": 0.1},
    "batch_size": {"type": "int", "low": 8, "high": 512, "log": True},
    "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
}
RANGES = {"learning_rate": (1e-3, 1e-1), "dropout": (0.1, 0.3), "momentum": (0.2, 0.6)}
SAMPLERS = ["random", "tpe", "gp", "cmaes", "qmc", "nsgaii"]
N_FIRST = 30


def the_definition(sampler: str, **options: Any) -> Definition:
    wanted = definition(search_space=SPACE, sampler={"name": sampler, "seed": 3, **options}, n_trials=200)
    return Definition.model_validate(wanted)


def the_round(first_trial: int = N_FIRST) -> RoundRecord:
    ranges = {name: {"low": low, "high": high} for name, (low, high) in RANGES.items()}
    return RoundRecord(1, 2, first_trial, FakeClock().now(), "lab", 5, 0.1, [], ranges)


def a_study(wanted: Definition) -> tuple[ServiceStudy, Suggestions]:
    made = optuna.create_study(direction="maximize")
    study = ServiceStudy(made.study_name, made._storage, build_sampler(wanted, 0), optuna.pruners.NopPruner())
    return study, Suggestions(study, wanted)


def value_of(params: dict[str, Any]) -> float:
    return float(-abs(math.log10(params["learning_rate"]) + 2.1) - abs(params["dropout"] - 0.17))


def run(study: ServiceStudy, suggestions: Suggestions, n_trials: int) -> list[dict[str, Any]]:
    tried = []
    for _ in range(n_trials):
        suggestions.sample_new(1)
        trial = suggestions.take()
        assert trial is not None
        trial_id = study._storage.create_new_trial(study._study_id, trial)
        study.tell(study._storage.get_trial_number_from_id(trial_id), value_of(trial.params))
        tried.append(trial.params)
    return tried


def narrowed(study: ServiceStudy, suggestions: Suggestions, wanted: Definition) -> None:
    sampler = build_sampler(wanted, N_FIRST)
    suggestions.narrow(RoundView(wanted.search_space, the_round(), sampler))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_samples_from_the_rounds_ranges_and_the_database_has_the_first_ones(sampler: str) -> None:
    wanted = the_definition(sampler)
    study, suggestions = a_study(wanted)
    run(study, suggestions, N_FIRST)
    narrowed(study, suggestions, wanted)

    tried = run(study, suggestions, 15)

    for params in tried:
        for name, (low, high) in RANGES.items():
            assert low - 1e-9 <= params[name] <= high + 1e-9, params
    assert len({repr(params) for params in tried}) == 15
    trials = study.get_trials()
    assert len({repr(sorted(trial.distributions.items())) for trial in trials}) == 1
    assert trials[-1].distributions["dropout"] == FloatDistribution(0.0, 0.5)
    search_space = optuna.search_space.intersection_search_space(trials)
    assert search_space.keys() == SPACE.keys()


def spread(tried: list[dict[str, Any]]) -> float:
    logs = [math.log10(params["learning_rate"]) for params in tried]
    mean = sum(logs) / len(logs)
    return math.sqrt(sum((each - mean) ** 2 for each in logs) / len(logs))


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_a_sampler_with_a_model_has_one_in_the_round_too(sampler: str) -> None:
    wanted = the_definition(sampler)
    study, suggestions = a_study(wanted)
    run(study, suggestions, N_FIRST)
    narrowed(study, suggestions, wanted)

    tried = run(study, suggestions, 60)[30:]

    uniform = 2 / math.sqrt(12)  # two decades at random
    assert spread(tried) < 0.7 * uniform


def test_trials_inside_of_the_ranges_are_shown_with_them_and_those_outside_as_failed() -> None:
    wanted = the_definition("random")
    study, _ = a_study(wanted)
    whole = {name: FloatDistribution(0.0, 0.5) for name in ("dropout",)}
    for value in (0.05, 0.1, 0.2, 0.3, 0.31):
        attrs = {"cma:generation": 1}
        made = create_trial(params={"dropout": value}, distributions=dict(whole), value=1.0, system_attrs=attrs)
        study.add_trial(made)
    view = RoundView(wanted.search_space, the_round(first_trial=2), study.sampler)

    seen = view.overlay(study._storage, study._study_id, [], None).get_all_trials(study._study_id)

    states = [trial.state for trial in seen[:5]]
    inside = [TrialState.COMPLETE] * 3
    assert states == [TrialState.FAIL, *inside, TrialState.FAIL]
    assert [trial.distributions["dropout"] for trial in seen[1:4]] == [FloatDistribution(0.1, 0.3)] * 3
    assert [bool(trial.system_attrs) for trial in seen[:5]] == [False, False, True, True, True]
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 5
    assert [trial.distributions for trial in study.trials] == [whole] * 5


def test_what_samplers_keep_with_the_study_is_the_rounds_own() -> None:
    wanted = the_definition("nsgaii", population_size=4)
    study, suggestions = a_study(wanted)
    run(study, suggestions, N_FIRST)
    before = set(study._storage.get_study_system_attrs(study._study_id))
    narrowed(study, suggestions, wanted)

    run(study, suggestions, 12)

    new = set(study._storage.get_study_system_attrs(study._study_id)) - before
    assert new
    assert all(key.startswith("round-2:") for key in new)


def test_what_is_ready_is_dropped_when_the_ranges_change() -> None:
    wanted = the_definition("random")
    study, suggestions = a_study(wanted)
    study.enqueue_trial({"dropout": 0.4})
    (waiting,) = study.get_trials()
    suggestions.sample_new(3)
    suggestions.sample_missing(waiting)

    narrowed(study, suggestions, wanted)

    assert suggestions.take() is None
    assert not suggestions.is_filled_in(waiting._trial_id)


class SlowSampler(optuna.samplers.RandomSampler):
    """Lets something happen while it samples its first trial."""

    def __init__(self, meanwhile: Any) -> None:
        super().__init__(seed=0)
        self.meanwhile = meanwhile

    def sample_independent(self, *arguments: Any) -> Any:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return super().sample_independent(*arguments)


def test_what_is_being_sampled_while_the_ranges_change_is_dropped() -> None:
    wanted = the_definition("random")
    study, suggestions = a_study(wanted)
    sampler = SlowSampler(lambda: narrowed(study, suggestions, wanted))
    suggestions.narrow(RoundView(wanted.search_space, None, sampler))

    suggestions.sample_new(1)

    trial = suggestions.take()
    assert trial is not None
    assert suggestions.take() is None
    assert all(low <= trial.params[name] <= high for name, (low, high) in RANGES.items())


def test_a_value_that_a_user_gives_outside_of_the_ranges_is_taken(recwarn: pytest.WarningsRecorder) -> None:
    wanted = the_definition("random")
    study, suggestions = a_study(wanted)
    narrowed(study, suggestions, wanted)
    study.enqueue_trial({"dropout": 0.45})
    (waiting,) = study.get_trials()

    suggestions.sample_missing(waiting)

    whole = suggestions.take_filled_in(waiting._trial_id)
    assert whole is not None
    assert whole.params["dropout"] == 0.45
    assert 1e-3 <= whole.params["learning_rate"] <= 1e-1
    assert not recwarn.list


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_steps_are_counted_in_decimal_from_the_first_ranges_low_end(sampler: str) -> None:
    """So that no configuration is two of them: from 0.35 a sampler comes to 0.44999999999999996."""
    momentum = {"type": "float", "low": 0.05, "high": 0.95, "step": 0.1}
    space = {**SPACE, "momentum": momentum}
    wanted = Definition.model_validate(definition(search_space=space, sampler={"name": sampler}, n_trials=200))
    study, suggestions = a_study(wanted)
    first = run(study, suggestions, N_FIRST)
    record = the_round()
    ranges = {**record.ranges, "momentum": {"low": 0.35, "high": 0.65}}
    view = RoundView(wanted.search_space, replace(record, ranges=ranges), build_sampler(wanted, N_FIRST))
    suggestions.narrow(view)

    tried = {params["momentum"] for params in run(study, suggestions, 15)}

    assert {params["momentum"] for params in first} <= {0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95}
    assert tried <= {0.35, 0.45, 0.55, 0.65}
    assert len(tried) > 1
