import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from service.optuna_study import distribution, optuna_study
from service.schemas.search_space import CategoricalParameter, FloatParameter, IntParameter
from tests.unit.service.report.studies import TWO_OBJECTIVES, curves, params_of, study, trial, unfinished


def test_trials_keep_their_number_state_values_and_params() -> None:
    trials = [
        trial(0),
        unfinished(1, "PRUNED").model_copy(update={"finished_at": trial(1).finished_at}),
        unfinished(2, "FAIL"),
        unfinished(3, "RUNNING"),
        unfinished(4, "WAITING"),
        trial(5, values=[0.99]),
    ]
    made = optuna_study(study(), reversed(trials), {})

    assert [one.state.name for one in made.trials] == [one.state for one in trials]
    assert [one.number for one in made.trials] == [one.number for one in trials]
    assert [one.params for one in made.trials] == [*(params_of(number) for number in range(4)), {}, params_of(5)]
    assert made.trials[4].system_attrs["fixed_params"] == params_of(4)
    assert (made.best_trial.number, made.best_value) == (5, 0.99)
    assert made.trials[0].user_attrs["n_parameters"] == 1000.0
    assert made.trials[0].duration is not None
    assert made.trials[0].duration.total_seconds() == 3600


def test_curves_become_intermediate_values() -> None:
    made = optuna_study(study(), [trial(0), trial(1)], {1: curves(1)})

    assert made.trials[0].intermediate_values == {}
    assert list(made.trials[1].intermediate_values) == [0, 1, 2, 3, 4, 5]
    assert made.trials[1].intermediate_values[5] == curves(1).metrics["validation_accuracy"][5]


def test_several_objectives_have_their_directions_and_names() -> None:
    two = study(objectives=TWO_OBJECTIVES)
    made = optuna_study(two, [trial(0, values=[0.9, 10.0]), trial(1, values=[0.8, 20.0])], {0: curves(0)})

    assert [one.name for one in made.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert made.metric_names == ["validation_accuracy", "n_parameters"]
    assert [one.number for one in made.best_trials] == [0]
    assert made.trials[0].intermediate_values == {}


@pytest.mark.parametrize("params", [{"unknown": 1.0}, {"dropout": 0.9}, {"dropout": "high"}, {"optimizer": "lion"}])
def test_parameters_that_are_not_of_the_search_space_are_left_out(params: dict[str, float | str]) -> None:
    made = optuna_study(study(), [trial(0, params={"learning_rate": 0.01, **params})], {})

    assert made.trials[0].params == {"learning_rate": 0.01}


def test_ranges_are_as_the_service_samples_them() -> None:
    floats = {"type": "float", "low": 0.0, "high": 1.0, "step": 0.3}
    ints = {"type": "int", "low": 2, "high": 9, "step": 4}

    assert distribution(FloatParameter.model_validate(floats)) == FloatDistribution(0.0, 0.9, step=0.3)
    assert distribution(IntParameter.model_validate(ints)) == IntDistribution(2, 6, step=4)
    assert distribution(CategoricalParameter(type="categorical", choices=[1, None, "x"])) == CategoricalDistribution(
        [1, None, "x"]
    )


def test_optuna_works_on_it() -> None:
    made = optuna_study(study(), [trial(number) for number in range(30)], {})

    assert sum(optuna.importance.get_param_importances(made).values()) == pytest.approx(1.0)
    assert len(made.get_trials(states=(TrialState.COMPLETE,))) == 30
