"""Search spaces of Ray Tune in Python files, which are read and never run, and in JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.service.conversion.conftest import Converted, Refused

SPACE = """
from ray import tune
space = {{"other": tune.choice([1, 2]), "x": {}}}
"""


GIVEN = {"metric": "loss", "direction": "minimize", "n_trials": 5}


WHOLE = """
import os
from functools import partial

from ray import tune
from ray.tune.schedulers import ASHAScheduler

raise SystemExit("a file that is run says so")


def train_cifar(config, data_dir=None):
    config["extra"] = 1


def main(max_num_epochs=10):
    sizes = [2**i for i in range(3, 6)]
    base = dict(seed=1, name="cifar")
    config = {
        **base,
        "l1": tune.choice(sizes),
        "lr": tune.loguniform(1e-4, 10 ** -1),
        "net": {"layers": tune.randint(1, 5), "bias": True},
        "shapes": {"image": (3, 32, 32)},
    }
    scheduler = ASHAScheduler(max_t=100, grace_period=2, reduction_factor=3)
    tuner = tune.Tuner(
        tune.with_resources(train_cifar, resources={"cpu": 2, "gpu": 0.5}),
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", scheduler=scheduler, num_samples=12, time_budget_s=3600, max_concurrent_trials=2
        ),
        param_space=config,
        run_config=tune.RunConfig(name="cifar run", stop={"training_iteration": 20}),
    )
    return tuner.fit()
"""


def test_a_whole_file_is_read_and_not_run(converted: Converted) -> None:
    assert converted(WHOLE, "tuning.py") == {
        "name": "cifar-run",
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "search_space": {
            "l1": {"type": "categorical", "choices": [8, 16, 32]},
            "lr": {"type": "float", "low": 1e-4, "high": 0.1, "log": True},
            "net.layers": {"type": "int", "low": 1, "high": 4},
        },
        "training": {
            "entrypoint": "tuning:train_cifar",
            "arguments": {"seed": 1, "name": "cifar", "net.bias": True, "shapes": {"image": [3, 32, 32]}},
        },
        "sampler": {"name": "random"},
        "pruner": {"name": "successive_halving", "min_resource": 2, "reduction_factor": 3},
        "n_trials": 12,
        "timeout_seconds": 3600.0,
    }


def test_what_differs_or_is_left_out_is_said_in_comments(text_of: Callable[..., str]) -> None:
    text = text_of(WHOLE, "tuning.py")
    for words in (
        "max_concurrent_trials is left out: 2",
        "stop is left out: {'training_iteration': 20}",
        "What with_resources adds is left out",
        "randint leaves 5 out",
        "net.bias: no name in Python, so the function takes it by **options",
        "after 100 reports (max_t)",
        "one report later here",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("call", "parameter"),
    [
        ("tune.uniform(-5, -1)", {"type": "float", "low": -5.0, "high": -1.0}),
        ("tune.uniform(lower=0, upper=2 * 0.5)", {"type": "float", "low": 0.0, "high": 1.0}),
        ("tune.loguniform(1e-4, 1e-2)", {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}),
        ("tune.loguniform(1e-4, 1e-2, base=10)", {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}),
        ("tune.quniform(3.2, 5.4, 0.2)", {"type": "float", "low": 3.2, "high": 5.4, "step": 0.2}),
        ("tune.randint(-9, 15)", {"type": "int", "low": -9, "high": 14}),
        ("tune.qrandint(-21, 12, 3)", {"type": "int", "low": -21, "high": 12, "step": 3}),
        ("tune.qrandint(1, 60, 8)", {"type": "int", "low": 8, "high": 56, "step": 8}),
        ("tune.qrandint(1, 10)", {"type": "int", "low": 1, "high": 9}),
        ("tune.qrandint(1, 10, 1)", {"type": "int", "low": 1, "high": 9}),
        ("tune.lograndint(1, 10)", {"type": "int", "low": 1, "high": 9, "log": True}),
        ("tune.qlograndint(1, 10, 1)", {"type": "int", "low": 1, "high": 9, "log": True}),
        ("tune.choice(['a', 'b', None])", {"type": "categorical", "choices": ["a", "b", None]}),
        ("tune.choice(range(2, 9, 3))", {"type": "categorical", "choices": [2, 5, 8]}),
        ("tune.choice(list(range(3)))", {"type": "categorical", "choices": [0, 1, 2]}),
        ("tune.choice((True, False))", {"type": "categorical", "choices": [True, False]}),
    ],
)
def test_each_distribution_keeps_its_values(converted: Converted, call: str, parameter: dict[str, Any]) -> None:
    found = converted(SPACE.format(call), "space.py", **GIVEN)["search_space"]["x"]
    assert found == parameter
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in parameter.items()
    }


@pytest.mark.parametrize(
    "head",
    [
        "from ray import tune as t\nspace = {'x': t.randint(0, 3)}",
        "import ray\nspace = {'x': ray.tune.randint(0, 3)}",
        "import ray.tune as rt\nspace = {'x': rt.randint(0, 3)}",
        "from ray.tune import randint as whole\nspace = {'x': whole(0, 3)}",
        "space = {'x': tune.randint(0, 3)}",
        "space: dict = {'x': tune.randint(0, upper=3)}",
        "LOW, N = 0, 3\nEND = 3\nspace = {'x': tune.randint(0, END)}",
    ],
)
def test_calls_are_known_by_their_imports(converted: Converted, head: str) -> None:
    found = converted(head, "space.py", **GIVEN)
    assert found["search_space"] == {"x": {"type": "int", "low": 0, "high": 2}}
    assert (found["name"], found["n_trials"]) == ("space", 5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("tune.sample_from(lambda spec: spec.config.a)", "sample_from is code, which is not run"),
        ("tune.randn(10, 2)", "randn has no ends"),
        ("tune.qrandn(10, 2, 0.2)", "qrandn has no ends"),
        ("tune.qloguniform(1e-4, 1e-1, 5e-5)", "has no counterpart: take loguniform and round"),
        ("tune.qlograndint(1, 10, 2)", "has no counterpart: take lograndint and round"),
        ("tune.quniform(0, 1, 0.3)", "quniform takes ends that q divides"),
        ("tune.quniform(0, 1)", "quniform takes q, a number above 0: None"),
        ("tune.randint(10)", "randint takes upper, a whole number: None"),
        ("tune.randint(0.5, 10)", "randint takes lower, a whole number: 0.5"),
        ("tune.uniform(0, 1, 2)", "tune.uniform takes lower, upper: uniform(0, 1, 2)"),
        ("tune.uniform(0, up=1)", "tune.uniform takes lower, upper: uniform(0, up=1)"),
        ("tune.choice([[1, 2], [3]])", "a choice must be a string, a number"),
        ("tune.choice([{'a': tune.uniform(0, 1)}])", "search a name, and what depends on it with `when`"),
        ("tune.uniform(0, args.high)", "`args.high` in line 3 is known only when the file runs"),
        ("tune.uniform(np.log10(1), 1)", "is known only when the file runs"),
        ("tune.choice([name for name in names])", "is known only when the file runs"),
        ("os.environ['X']", "`os.environ['X']` in line 3 is known only when the file runs"),
        ("[1, read()]", "`read(…)` in line 3 is known only when the file runs"),
        ("[tune.uniform(0, 1)]", "a list must not hold search spaces"),
        ("hp.uniform('x', 0, 1)", "hp.uniform in line 3 is no constant and no search space of Ray Tune"),
        ("tune.grid_search([1, 2])", "grid_search beside other, which is drawn at random"),
        ("2 ** 10 ** 10", "is known only when the file runs"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(refused: Refused, call: str, words: str) -> None:
    lines = refused(SPACE.format(call), "space.py", **GIVEN)
    assert any(words in line for line in lines), lines
    assert all(line.startswith(("space.x", "x:")) for line in lines)


TUNED = "tune.Tuner(f, param_space=space, tune_config=tune.TuneConfig(metric='a', mode='min', num_samples=2))"


@pytest.mark.parametrize(
    "more",
    [
        "space['y'] = tune.randint(0, 4)",
        "space.update({'y': tune.randint(0, 4)})",
        "space.update(y=tune.randint(0, 4))",
        "more = {}\nspace.update(more)\nmore['y'] = tune.randint(0, 4)",
        "space['deep'] = {}\nspace['deep']['z'] = 1\nspace['y'] = tune.randint(0, 4)",
        "def f(config):\n    config['y'] = 9\nspace['y'] = tune.randint(0, 4)",
    ],
)
def test_a_dictionary_that_is_put_together_is_refused_by_the_first_line_that_changes_it(
    refused: Refused, more: str
) -> None:
    lines = refused(f"{SPACE.format('tune.uniform(0, 1)')}{more}\n{TUNED}", "space.py")
    number = 4 + [line.startswith("space") for line in more.splitlines()].index(True)
    assert any(f"changed in line {number}" in line for line in lines), lines


def test_a_function_may_change_its_own_parameter_of_the_same_name(converted: Converted) -> None:
    code = f"{SPACE.format('tune.uniform(0, 1)')}def f(space):\n    space['y'] = 9\n{TUNED}"
    assert list(converted(code, "space.py")["search_space"]) == ["other", "x"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("space[name] = tune.uniform(0, 1)", "changed in line 4"),
        ("space['other']['deep'] = 1", "changed in line 4"),
        ("space.update(read())", "changed in line 4"),
        ("space.pop('x')", "changed in line 4"),
        ("del space['x']", "changed in line 4"),
        ("if smoke:\n    space['x'] = 1", "changed in line 5"),
        ("def g():\n    space['x'] = 1", "changed in line 5"),
        ("if smoke:\n    space = {'x': tune.uniform(0, 9)}", "assigned in lines 3, 5"),
        ("space |= other", "assigned in lines 3, 4"),
        (f"{TUNED.replace('Tuner', 'nothing')}\nspace['x'] = space['x']", "changed in line 5"),
    ],
)
def test_a_dictionary_that_is_changed_otherwise_is_refused(refused: Refused, more: str, words: str) -> None:
    lines = refused(f"{SPACE.format('tune.uniform(0, 1)')}{more}\n{TUNED}", "space.py")
    assert any(words in line for line in lines), lines


def test_a_change_after_the_search_has_begun_is_refused(refused: Refused) -> None:
    (line,) = refused(f"{SPACE.format('tune.uniform(0, 1)')}{TUNED}\nspace['x'] = 1", "space.py")
    assert line.startswith("param_space: must be a dictionary of the file that nothing changes")
    assert "changed in line 5" in line


def test_one_of_several_spaces_is_chosen_by_its_name(converted: Converted, refused: Refused) -> None:
    code = "a = {'x': tune.uniform(0, 1)}\nb = {'y': tune.uniform(0, 1)}"
    (line,) = refused(code, "t.py", **GIVEN)
    assert line.endswith("say which one with --space NAME: a, b")
    assert list(converted(code, "t.py", space="b", **GIVEN)["search_space"]) == ["y"]
    (line,) = refused(code, "t.py", space="c", **GIVEN)
    assert line.startswith("--space: must name a dictionary of the file")


def test_json_holds_calls_as_strings(converted: Converted, refused: Refused) -> None:
    space = {"lr": "tune.loguniform(1e-4, 1e-1)", "net": {"n": "tune.randint(1, 5)", "act": "relu"}, "note": "tune.txt"}
    found = converted(json.dumps(space), "space.json", **GIVEN)
    assert found["search_space"]["net.n"] == {"type": "int", "low": 1, "high": 4}
    assert found["training"]["arguments"] == {"net.act": "relu", "note": "tune.txt"}
    grid = converted(json.dumps({"x": {"grid_search": [1, 2]}}), "space.json", metric="a", direction="minimize")
    assert grid["n_trials"] == 2
    (line,) = refused(json.dumps({"x": {"eval": "1 + 1"}, "y": "tune.uniform(0, 1)"}), "space.json", **GIVEN)
    assert line.startswith("param_space.x: is code, which is not run: '1 + 1'")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def f(:", "cannot be read as Python"),
        ("x = 1", "holds neither a W&B sweep"),
        ("a = [1] * 3\n" + "\n".join(f"b{i} = [b{i - 1}]" for i in range(1, 40)), "holds neither"),
        (
            "b0 = [1, 1]\n"
            + "\n".join(f"b{i} = [b{i - 1}, b{i - 1}]" for i in range(1, 40))
            + "\nspace = {'x': tune.uniform(0, 1), 'y': b39}",
            "has more than 100,000 values",
        ),
        ("a = {'x': b}\nb = {'x': a}", "holds neither"),
        ("x = " + "-" * 5000 + "1", "cannot be read as Python"),
    ],
)
def test_other_python_is_refused(refused: Refused, code: str, words: str) -> None:
    (line,) = refused(code, "t.py", **GIVEN)
    assert words in line


def test_nothing_of_a_file_runs(tmp_path: Path, refused: Refused) -> None:
    touched = tmp_path / "touched"
    refused(f"import pathlib\nspace = {{'x': pathlib.Path({str(touched)!r}).touch()}}", "t.py", **GIVEN)
    assert not touched.exists()
