"""Schedulers and search algorithms of Ray Tune, as pruners and samplers."""

import ast
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from service.conversion.ray_schedulers import HALVING, HYPERBAND, LATER
from tests.unit.service.conversion.conftest import Converted

TUNER = "from ray import tune\ntune.Tuner(train, param_space={}, tune_config=tune.TuneConfig({}))"
SMALL = "{'x': tune.uniform(0, 1)}"


@pytest.mark.parametrize(
    ("scheduler", "pruner"),
    [
        ("FIFOScheduler()", {"name": "none"}),
        ("ASHAScheduler()", {"name": "successive_halving", "min_resource": 1, "reduction_factor": 4}),
        (
            "AsyncHyperBandScheduler(brackets=3)",
            {"name": "hyperband", "min_resource": 1, "max_resource": 100, "reduction_factor": 4},
        ),
        ("HyperBandScheduler()", {"name": "hyperband", "min_resource": 1, "max_resource": 81, "reduction_factor": 3}),
        (
            "MedianStoppingRule(time_attr='training_iteration', grace_period=3, min_samples_required=4)",
            {"name": "median", "n_startup_trials": 4, "n_warmup_steps": 3},
        ),
    ],
)
def test_schedulers_are_pruners(converted: Converted, scheduler: str, pruner: dict[str, Any]) -> None:
    options = f"metric='a', mode='max', num_samples=2, scheduler={scheduler}"
    assert converted(TUNER.format(SMALL, options), "t.py")["pruner"] == pruner


ASHA = {"name": "successive_halving"}
BANDS = {"name": "hyperband", "reduction_factor": 3}


@pytest.mark.parametrize(
    ("scheduler", "pruner"),
    [
        ("ASHAScheduler(T, 'loss', 'min', 50, 5)", {**ASHA, "min_resource": 5, "reduction_factor": 4}),
        ("ASHAScheduler(T, 'loss', 'min', 50, 5, 3, 2, False)", {**BANDS, "min_resource": 5, "max_resource": 50}),
        ("HyperBandScheduler(T, 'loss', 'min', 27, 3, True)", {**BANDS, "min_resource": 1, "max_resource": 27}),
        (
            "MedianStoppingRule(T, 'loss', 'min', 7, 4, 0, True)",
            {"name": "median", "n_startup_trials": 4, "n_warmup_steps": 7},
        ),
    ],
)
def test_schedulers_are_read_by_place_as_ray_reads_them(
    converted: Converted, scheduler: str, pruner: dict[str, Any]
) -> None:
    call = scheduler.replace("(T,", "('training_iteration',")
    found = converted(TUNER.format(SMALL, f"num_samples=2, scheduler={call}"), "t.py")
    assert found["pruner"] == pruner
    assert found["objectives"] == [{"metric": "loss", "direction": "minimize"}]


@pytest.mark.parametrize(
    ("short", "module"),
    [
        *((short, "async_hyperband.AsyncHyperBandScheduler") for short in HALVING),
        *((short, "hyperband.HyperBandScheduler") for short in HYPERBAND),
        ("MedianStoppingRule", "median_stopping_rule.MedianStoppingRule"),
    ],
)
def test_the_order_is_that_of_the_installed_ray(short: str, module: str) -> None:
    file, _, name = module.partition(".")
    spec = importlib.util.find_spec("ray")
    if spec is None or spec.origin is None:
        pytest.skip("RAY IS NOT INSTALLED: pip install -c constraints.txt -e '.[benchmarks]'")
    source = Path(spec.origin).with_name("tune") / "schedulers" / f"{file}.py"
    tree = ast.parse(source.read_text())
    (made,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    (init,) = (node for node in made.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    assert [one.arg for one in init.args.args] == ["self", "time_attr", "metric", "mode", *LATER[short]]


@pytest.mark.parametrize(
    ("search", "sampler"),
    [("OptunaSearch()", "tpe"), ("BayesOptSearch()", "gp"), ("ConcurrencyLimiter(HyperOptSearch(), 4)", "tpe")],
)
def test_search_algorithms_are_samplers(converted: Converted, search: str, sampler: str) -> None:
    options = f"metric='a', mode='max', num_samples=2, search_alg={search}"
    assert converted(TUNER.format(SMALL, options), "t.py")["sampler"] == {"name": sampler}
