"""Ray Tune's Tuner and tune.run as definitions: what their options become, and which are refused."""

from collections.abc import Callable

import pytest

from tests.unit.service.conversion.conftest import Converted, Refused

TUNER = "from ray import tune\ntune.Tuner(train, param_space={}, tune_config=tune.TuneConfig({}))"


SMALL = "{'x': tune.uniform(0, 1)}"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("metric='a', mode='min'", "num_samples: a study has a number of trials: give --n-trials N: None"),
        ("metric='a', mode='min', num_samples=-1", "num_samples: a study has a number of trials"),
        ("mode='min', num_samples=2", "metric: a study needs a metric"),
        ("metric='a', num_samples=2", "mode: must be min or max"),
        ("metric='a', mode='min', num_samples=2, search_alg=HEBOSearch()", "search_alg: must be one of"),
        ("metric='a', mode='min', num_samples=2, time_budget_s=budget", "time_budget_s: must be a number"),
        ("metric='a', mode='min', num_samples=2, scheduler='asha'", "scheduler: must be a call"),
        (
            "metric='a', mode='min', num_samples=2, scheduler=PopulationBasedTraining(perturbation_interval=4)",
            "scheduler: PopulationBasedTraining has no counterpart",
        ),
        (
            "metric='a', mode='min', num_samples=2, scheduler=ASHAScheduler(time_attr='time_total_s')",
            "scheduler.time_attr: must be training_iteration",
        ),
        ("metric='a', mode='min', num_samples=2, scheduler=MedianStoppingRule()", "scheduler.time_attr: must be"),
        ("metric='a', mode='min', num_samples=2, scheduler=HyperBandScheduler(max_t=n)", "scheduler.max_t: must be"),
        (
            "metric='a', mode='min', num_samples=2, scheduler=ASHAScheduler(reduction_factor=2.5)",
            "scheduler.reduction_factor: must be a whole number",
        ),
        (
            "num_samples=2, scheduler=HyperBandScheduler('training_iteration', 'a', 'min', 9, 3, True, 1)",
            "scheduler: HyperBandScheduler takes time_attr, metric, mode, max_t, reduction_factor, stop_last_trials: "
            "'training_iteration', 'a', 'min', 9, 3, True, 1",
        ),
        (
            "metric='a', mode='min', num_samples=2, scheduler=HyperBandScheduler(grace_period=2)",
            "scheduler: HyperBandScheduler takes time_attr, metric, mode, max_t, reduction_factor, stop_last_trials: "
            "grace_period=…",
        ),
        (
            "num_samples=2, scheduler=ASHAScheduler('training_iteration', 'a', 'min', metric='b')",
            "scheduler: ASHAScheduler takes time_attr",
        ),
    ],
)
def test_options_without_counterpart_are_refused_by_name(refused: Refused, options: str, words: str) -> None:
    (line,) = refused(TUNER.format(SMALL, options), "t.py")
    assert words in line


def test_several_metrics_are_several_objectives(converted: Converted) -> None:
    options = "metric=['a', 'b'], mode=['min', 'max'], num_samples=2"
    found = converted(TUNER.format(SMALL, options), "t.py")["objectives"]
    assert found == [{"metric": "a", "direction": "minimize"}, {"metric": "b", "direction": "maximize"}]


def test_a_grid_is_tried_once(converted: Converted, refused: Refused) -> None:
    grid = "{'x': tune.grid_search([1, 2, 3]), 'y': {'z': tune.grid_search([True, False])}, 'c': 1}"
    found = converted(TUNER.format(grid, "metric='a', mode='min'"), "t.py")
    assert (found["sampler"], found["n_trials"]) == ({"name": "grid"}, 6)
    (line,) = refused(TUNER.format(grid, "metric='a', mode='min', num_samples=3"), "t.py")
    assert line.startswith("num_samples: a grid is tried once here: 3")


def test_tune_run_is_read_too(converted: Converted) -> None:
    code = """
from ray import tune
from mypkg.training import train
tune.run(train, config={"lr": tune.uniform(0, 1)}, metric="acc", mode="max", num_samples=3, name="old")
"""
    found = converted(code, "t.py")
    assert found["training"] == {"entrypoint": "mypkg.training:train"}
    assert (found["name"], found["n_trials"]) == ("old", 3)


WITH_MORE = """
from ray import tune
from ray.tune.search.optuna import OptunaSearch
from elsewhere import settings

tuner = tune.Tuner(
    {trainable},
    param_space={{"x": tune.choice([1, 2])}},
    tune_config=tune.TuneConfig(metric="loss", mode="min", num_samples=2, search_alg=OptunaSearch(seed=7)),
    run_config=settings.run,
)
"""


def test_what_is_dropped_of_a_tuner_is_named(text_of: Callable[..., str]) -> None:
    found = text_of(WITH_MORE.format(trainable="main"), file="tuning.py")
    assert "# An argument of Tuner is left out: `settings.run` in line 10" in found
    assert "# For OptunaSearch; its options are left out: seed=7." in found


@pytest.mark.parametrize("trainable", ["'PPO'", "lambda config: 1", "make(1)"])
def test_a_trainable_that_is_no_function_of_a_module_is_refused(refused: Refused, trainable: str) -> None:
    (line,) = refused(WITH_MORE.format(trainable=trainable), file="tuning.py")
    assert line.startswith("trainable: must be a Python file that can be imported")
