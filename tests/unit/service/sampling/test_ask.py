import logging
from typing import Any

import optuna
import pytest
from optuna.exceptions import StorageInternalError

from service.pruning.ask import should_prune
from service.sampling.ask import ServiceStudy, suggest
from service.sampling.sampler_note import SamplerFailures
from service.schemas.study.definition import Definition
from tests.integration.service_driver import definition

SPACE = Definition.model_validate(
    definition(
        search_space={
            "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
            "momentum": {"type": "float", "low": 0.0, "high": 0.9, "when": {"optimizer": ["sgd"]}},
            "batch_size": {"type": "int", "low": 16, "high": 70, "step": 16},
        }
    )
).search_space


class FailingSampler(optuna.samplers.RandomSampler):
    """Fails at one parameter."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(seed=0)
        self._name, self._error = name, error

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        if param_name == self._name:
            raise self._error
        return super().sample_independent(study, trial, param_name, param_distribution)


class FailingPruner(optuna.pruners.BasePruner):
    def __init__(self, error: Exception) -> None:
        self._error = error

    def prune(self, study: Any, trial: Any) -> bool:
        raise self._error


def study(sampler: Any = None, pruner: Any = None) -> ServiceStudy:
    made = optuna.create_study()
    return ServiceStudy(made.study_name, made._storage, sampler or optuna.samplers.RandomSampler(seed=0), pruner)


def test_every_active_parameter_is_fixed_in_order() -> None:
    made = study()
    for _ in range(10):
        trial_id = made._storage.create_new_trial(made._study_id)
        params = suggest(made, trial_id, SPACE)
        assert made._storage.get_trial(trial_id).params == params
        expected = (
            ["optimizer", "momentum", "batch_size"] if params["optimizer"] == "sgd" else ["optimizer", "batch_size"]
        )
        assert list(params) == expected


def test_a_trial_that_has_some_parameters_keeps_them() -> None:
    made = study()
    trial_id = made._storage.create_new_trial(made._study_id)
    first = suggest(made, trial_id, SPACE)

    assert suggest(made, trial_id, SPACE) == first


@pytest.mark.parametrize("name", ["optimizer", "batch_size"])
def test_a_sampler_that_fails_leaves_no_trial_without_parameters(name: str, caplog: pytest.LogCaptureFixture) -> None:
    made = study(FailingSampler(name, ValueError("singular matrix")))
    trial_id = made._storage.create_new_trial(made._study_id)

    failures = SamplerFailures()
    params = suggest(made, trial_id, SPACE, failures.note)

    assert {"optimizer", "batch_size"} <= set(params)
    assert failures.text == (
        "the sampler failed 1 time, random parameters took their place: ValueError: singular matrix"
    )
    assert "gets random parameters" in caplog.text
    assert "singular matrix" in caplog.text


def test_a_database_that_fails_is_not_taken_for_a_sampler_that_does() -> None:
    made = study(FailingSampler("optimizer", StorageInternalError("gone")))
    trial_id = made._storage.create_new_trial(made._study_id)

    with pytest.raises(StorageInternalError):
        suggest(made, trial_id, SPACE)


def test_a_pruner_that_fails_lets_the_trial_go_on(caplog: pytest.LogCaptureFixture) -> None:
    made = study(pruner=FailingPruner(ValueError("no curve")))
    trial_id = made._storage.create_new_trial(made._study_id)

    with caplog.at_level(logging.ERROR):
        assert should_prune(made, made._storage.get_trial(trial_id)) is False

    assert "no curve" in caplog.text
    with pytest.raises(StorageInternalError):
        should_prune(study(pruner=FailingPruner(StorageInternalError("gone"))), made._storage.get_trial(trial_id))
