import optuna
import pytest
from optuna.trial import TrialState
from pydantic import ValidationError

from service.client.optuna_copy import read, read_only_study
from tests.unit.narrows.html_report.studies import (
    TWO_OBJECTIVES,
    as_optuna,
    curves,
    exported,
    params_of,
    study,
    trial,
    unfinished,
)


def test_trials_keep_their_number_state_values_and_params() -> None:
    trials = [
        trial(0),
        unfinished(1, "PRUNED").model_copy(update={"finished_at": trial(1).finished_at}),
        unfinished(2, "FAIL"),
        unfinished(3, "RUNNING"),
        unfinished(4, "WAITING"),
        trial(5, values=[0.99]),
    ]
    made = as_optuna(study(), trials, {})

    assert [one.state.name for one in made.trials] == [one.state for one in trials]
    assert [one.number for one in made.trials] == [one.number for one in trials]
    assert [one.params for one in made.trials] == [*(params_of(number) for number in range(4)), {}, params_of(5)]
    assert made.trials[4].system_attrs["fixed_params"] == params_of(4)
    assert (made.best_trial.number, made.best_value) == (5, 0.99)
    assert made.trials[0].duration is not None
    assert made.trials[0].duration.total_seconds() == 3600


def test_metrics_are_user_attributes_unless_there_is_one_of_that_name() -> None:
    metrics = {"n_parameters": 1000.0, "train_loss": float("inf")}
    made = as_optuna(study(), [trial(0, metrics=metrics, user_attrs={"n_parameters": "few", "note": [1, None]})], {})

    assert made.trials[0].user_attrs == {"n_parameters": "few", "train_loss": float("inf"), "note": [1, None]}


def test_intermediate_values_are_by_step() -> None:
    made = as_optuna(study(), [trial(0), trial(1)], {1: curves(1)})

    assert made.trials[0].intermediate_values == {}
    assert list(made.trials[1].intermediate_values) == [0, 1, 2, 3, 4, 5]
    assert made.trials[1].intermediate_values[5] == curves(1).metrics["validation_accuracy"][5]


def test_several_objectives_have_their_directions_and_names() -> None:
    two = study(objectives=TWO_OBJECTIVES)
    made = as_optuna(two, [trial(0, values=[0.9, 10.0]), trial(1, values=[0.8, 20.0])], {})

    assert [one.name for one in made.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert made.metric_names == ["validation_accuracy", "n_parameters"]
    assert [one.number for one in made.best_trials] == [0]


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
def test_the_pieces_of_an_export_may_end_anywhere(size: int) -> None:
    written = exported(study(), [trial(number) for number in range(3)], {})
    for text in (written, written.removesuffix(b"\n")):
        made = read_only_study(*read(text[start : start + size] for start in range(0, len(text), size)))
        assert [one.params for one in made.trials] == [params_of(number) for number in range(3)]


@pytest.mark.parametrize("pieces", [[], [b"\n"], [b"number,state\n"], [b'{"study_name": "digits"}\n']])
def test_what_is_no_export_is_an_error(pieces: list[bytes]) -> None:
    with pytest.raises(ValidationError):
        read(pieces)


def test_optuna_works_on_it() -> None:
    made = as_optuna(study(), [trial(number) for number in range(30)], {})

    assert sum(optuna.importance.get_param_importances(made).values()) == pytest.approx(1.0)
    assert len(made.get_trials(states=(TrialState.COMPLETE,))) == 30
