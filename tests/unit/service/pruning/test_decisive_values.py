"""A pruner decides the same on the decisive values of a trial as on all of them."""

import warnings
from typing import Any, Literal

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna import Study
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import TypeAdapter

from service.pruning.decisive_values import DecisiveViews, n_last_steps
from service.pruning.pruners import build_pruner
from service.schemas.study.pruners import AnyPruner, Pruner
from storage import trial_id_of

Direction = Literal["maximize", "minimize"]
PRUNER: TypeAdapter[Any] = TypeAdapter(Pruner)
PRUNERS: dict[str, dict[str, Any]] = {
    "none": {"name": "none"},
    "median": {"name": "median", "n_startup_trials": 1},
    "median at some steps": {"name": "median", "n_startup_trials": 0, "n_warmup_steps": 2, "interval_steps": 3},
    "percentile": {"name": "percentile", "percentile": 30.0, "n_startup_trials": 1, "interval_steps": 2},
    "halving": {"name": "successive_halving", "min_resource": 1, "reduction_factor": 2},
    "hyperband": {"name": "hyperband", "min_resource": 1, "max_resource": 8, "reduction_factor": 2},
    "patient": {"name": "patient", "patience": 3},
    "patient without patience": {"name": "patient", "patience": 0, "wrapped_pruner": "median", "min_delta": 0.1},
    "patient with threshold": {
        "name": "patient",
        "patience": 1,
        "wrapped_pruner": {"name": "threshold", "lower": 0.4, "interval_steps": 2},
    },
    "threshold": {"name": "threshold", "lower": 0.3, "upper": 0.8, "n_warmup_steps": 1, "interval_steps": 2},
}
VALUES = st.one_of(st.floats(0.0, 1.0), st.just(float("nan")), st.just(float("inf")), st.just(float("-inf")))
CURVES = st.lists(st.lists(VALUES, min_size=1, max_size=8), max_size=4)
REPORTS = st.lists(st.tuples(st.integers(0, 8), VALUES), min_size=1, max_size=16)


def study_of(pruner: AnyPruner, direction: Direction, curves: list[list[float]]) -> tuple[Study, FrozenTrial]:
    """A study with some complete trials and a running one, which is returned too."""
    study = optuna.create_study(direction=direction, pruner=build_pruner(pruner), study_name="a")
    for curve in curves:
        study.add_trial(create_trial(value=0.5, intermediate_values=dict(enumerate(curve))))
    study.add_trial(create_trial(state=TrialState.RUNNING))
    return study, study.trials[-1]


@pytest.mark.covering(1)
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("name", PRUNERS)
@given(curves=CURVES, reports=REPORTS)
@settings(deadline=None, max_examples=60)
def test_a_view_is_decided_as_the_trial_is(
    name: str, direction: Direction, curves: list[list[float]], reports: list[tuple[int, float]]
) -> None:
    """Steps come in any order, and some of them twice. Two equal studies, because some pruners note what they see."""
    pruner = PRUNER.validate_python(PRUNERS[name])
    study, trial = study_of(pruner, direction, curves)
    other, viewed = study_of(pruner, direction, curves)
    views = DecisiveViews(pruner, maximize=direction == "maximize")

    for step, value in reports:
        views.note(trial_id_of(viewed), step, value, is_new=step not in trial.intermediate_values)
        trial.intermediate_values[step] = value
        view = views.view(viewed, trial.intermediate_values)
        assert len(view.intermediate_values) <= 5
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of values that are all nan
            assert other.pruner.prune(other, view) == study.pruner.prune(study, trial)


@pytest.mark.parametrize("wilcoxon", ["wilcoxon", {"name": "patient", "wrapped_pruner": "wilcoxon"}])
def test_a_pruner_that_compares_all_steps_sees_them(wilcoxon: Any) -> None:
    pruner = PRUNER.validate_python(wilcoxon)
    trial = create_trial(state=TrialState.RUNNING, intermediate_values=dict.fromkeys(range(9), 0.5))

    assert n_last_steps(pruner) is None
    assert DecisiveViews(pruner, maximize=True).view(trial, trial.intermediate_values) is trial
