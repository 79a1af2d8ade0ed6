import cProfile
import math
import pstats
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from service.sampling.ask import ServiceStudy
from service.sampling.sampling_times import CHEAP_SECONDS
from service.sampling.suggestions import Suggestions
from service.schemas.study.definition import Definition
from tests.integration.service_driver import definition

SPACE = {"dropout": {"type": "float", "low": 0.0, "high": 0.5}}


class SlowSampler(optuna.samplers.RandomSampler):
    """Takes some seconds of a clock that nobody waits for."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seed=0)
        self.now = 0.0
        self._seconds = seconds

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        self.now += self._seconds
        return super().sample_independent(study, trial, param_name, param_distribution)


def a_study(sampler: optuna.samplers.BaseSampler) -> ServiceStudy:
    made = optuna.create_study()
    return ServiceStudy(made.study_name, made._storage, sampler, optuna.pruners.NopPruner())


def the_suggestions(seconds: float = 0.0, **values: Any) -> tuple[ServiceStudy, SlowSampler, Suggestions]:
    sampler = SlowSampler(seconds)
    study = a_study(sampler)
    wanted = Definition.model_validate(definition(**{"search_space": SPACE, "sampler": "random", **values}))
    return study, sampler, Suggestions(study, wanted, lambda: sampler.now)


def finish(study: ServiceStudy, n_trials: int) -> None:
    for _ in range(n_trials):
        study.tell(study.ask(), 0.0)


@pytest.mark.parametrize("n_running", [0, 1, 4])
def test_a_suggestion_is_dropped_when_more_trials_have_finished_than_are_running(n_running: int) -> None:
    study, _, suggestions = the_suggestions()
    suggestions.sample_new(3)

    finish(study, max(1, n_running))
    assert suggestions.n_ready(n_running) == 3

    finish(study, 1)
    assert suggestions.n_ready(n_running) == 0
    assert suggestions.take() is None


def test_a_cheap_sampler_is_not_asked_ahead() -> None:
    _, _, suggestions = the_suggestions(seconds=CHEAP_SECONDS / 2)

    suggestions.sample_new(1)

    assert suggestions.depth(n_running=8) == 0


def test_a_slow_sampler_is_asked_as_far_ahead_as_is_claimed_while_it_works() -> None:
    _, sampler, suggestions = the_suggestions(seconds=1.0)
    for _ in range(20):  # a claim for each 2 seconds of sampling and waiting
        suggestions.sample_new(1)
        sampler.now += 1.0
        suggestions.take()
    assert suggestions.depth(n_running=100) == 1 + math.ceil(1.0 / 2.0)

    for _ in range(40):  # four claims while one is sampled
        suggestions.sample_new(4)
        for _ in range(4):
            suggestions.take()
    assert 2 < suggestions.depth(n_running=100) <= 100
    assert suggestions.depth(n_running=3) == 3
    assert suggestions.depth(n_running=0) == 1


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsgaii"])
def test_a_discrete_space_is_tried_whole_before_anything_is_tried_twice(sampler: str) -> None:
    optimizer = {"type": "categorical", "choices": ["sgd", "adam", "adamw"]}
    wanted = Definition.model_validate(
        definition(
            search_space={"optimizer": optimizer, "batch_size": {"type": "int", "low": 16, "high": 64, "step": 16}},
            sampler=sampler,
        )
    )
    study = a_study(optuna.samplers.RandomSampler(seed=0))
    suggestions = Suggestions(study, wanted)

    tried = []
    for _ in range(12):
        suggestions.sample_new(1)
        trial = suggestions.take()
        assert trial is not None
        tried.append(repr(trial.params))
    assert len(set(tried)) == 12

    suggestions.sample_new(1)  # all are tried: another one is a repetition, with a seed of its own
    again = suggestions.take()
    assert again is not None
    assert repr(again.params) in tried
    assert again.system_attrs == {}


def test_a_trial_that_was_started_and_given_back_meanwhile_is_not_sampled_again() -> None:
    optimizer = {"type": "categorical", "choices": ["sgd", "adam"]}
    study, _, suggestions = the_suggestions(search_space={"optimizer": optimizer})
    study.enqueue_trial({})
    (as_it_waited,) = study.get_trials()
    trial = study.ask()
    trial.suggest_categorical("optimizer", ["sgd", "adam"])
    (known,) = study.get_trials(deepcopy=False)
    known.state = TrialState.WAITING  # stock Optuna has no way back

    suggestions.sample_missing(as_it_waited)

    assert not suggestions.is_filled_in(trial._trial_id)


def test_what_was_sampled_too_much_takes_no_untried_configurations_place() -> None:
    """Several claims want the last few: when one has taken some, more are sampled than there are configurations."""
    space = {"batch_size": {"type": "categorical", "choices": [16, 32, 48]}}
    _, _, suggestions = the_suggestions(search_space=space)
    suggestions.sample_new(20)

    first = suggestions.take()
    assert first is not None
    others = [suggestions.take(lambda params: params != first.params) for _ in range(2)]

    assert {trial.params["batch_size"] for trial in (first, *others) if trial is not None} == {16, 32, 48}


def test_taking_a_suggestion_costs_the_same_however_many_are_ready() -> None:
    space = {f"model.hidden.{index}": {"type": "int", "low": 16, "high": 64} for index in range(30)}

    def calls(n_ready: int) -> int:
        _, _, suggestions = the_suggestions(search_space=space)
        suggestions.sample_new(n_ready)
        profile = cProfile.Profile()
        profile.runcall(suggestions.take)
        return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]

    assert calls(64) < 2 * calls(1)
