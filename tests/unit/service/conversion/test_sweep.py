"""W&B sweeps as definitions: what each field becomes, and what has no counterpart."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.service.conversion.conftest import Converted, Refused

SWEEP = """
program: train.py
method: random
metric: {{name: loss, goal: minimize}}
run_cap: 20
parameters:
  other: {{values: [1, 2]}}
  x: {}
"""
WHOLE = """
# as in W&B's own examples
program: src/train.py
name: My CIFAR sweep
description: first look
project: cifar
entity: me
method: bayes
metric: {name: val_acc, goal: maximize, target: 0.99}
run_cap: 40
early_terminate: {type: hyperband, min_iter: 3, eta: 2}
command: ["${env}", "${interpreter}", "${program}", "--data=cifar", "${args}"]
parameters:
  learning_rate: {distribution: log_uniform_values, min: 0.00001, max: 0.1}
  batch_size: {values: [16, 32, 64]}
  epochs: {value: 27}
  weight-decay: {value: 0.0}
  optimizer:
    parameters:
      name: {values: [adam, sgd]}
      momentum: {min: 0.5, max: 0.99}
"""


def test_a_whole_sweep(converted: Converted) -> None:
    assert converted(WHOLE) == {
        "name": "My-CIFAR-sweep",
        "objectives": [{"metric": "val_acc", "direction": "maximize"}],
        "search_space": {
            "learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
            "batch_size": {"type": "categorical", "choices": [16, 32, 64]},
            "optimizer.name": {"type": "categorical", "choices": ["adam", "sgd"]},
            "optimizer.momentum": {"type": "float", "low": 0.5, "high": 0.99},
        },
        "training": {
            "command": ["python", "src/train.py", "--data=cifar", "{args}"],
            "arguments": {"epochs": 27, "weight-decay": 0.0},
        },
        "sampler": {"name": "gp"},
        "pruner": {"name": "successive_halving", "min_resource": 3, "reduction_factor": 2},
        "n_trials": 40,
        "target_value": 0.99,
    }


def test_what_differs_or_is_left_out_is_said_in_comments(text_of: Callable[..., str]) -> None:
    comments = [line.strip() for line in text_of(WHOLE).splitlines() if line.strip().startswith("#")]
    for words in (
        "description is left out: 'first look'",
        "project is left out (a place at W&B): 'cifar'",
        "entity is left out (an account at W&B): 'me'",
        "In the sweep: 'My CIFAR sweep'",
        "bayes is a Gaussian process",
        "successive halving",
    ):
        assert any(words in comment for comment in comments), words


@pytest.mark.parametrize(
    ("spec", "parameter"),
    [
        ("{values: [a, 2, 0.5, true, null]}", {"type": "categorical", "choices": ["a", 2, 0.5, True, None]}),
        ("{distribution: categorical, values: [no, 'no']}", {"type": "categorical", "choices": [False, "no"]}),
        ("{values: ['1', '1e-3', '~', ' a']}", {"type": "categorical", "choices": ["1", "1e-3", "~", " a"]}),
        ("{min: 1, max: 8}", {"type": "int", "low": 1, "high": 8}),
        ("{distribution: int_uniform, min: 1, max: 8}", {"type": "int", "low": 1, "high": 8}),
        ("{min: 1, max: 8.0}", {"type": "float", "low": 1.0, "high": 8.0}),
        ("{distribution: uniform, min: 1, max: 8}", {"type": "float", "low": 1.0, "high": 8.0}),
        (
            "{distribution: log_uniform_values, min: 0.001, max: 1}",
            {"type": "float", "low": 0.001, "high": 1.0, "log": True},
        ),
        (
            "{distribution: log_uniform, min: -9, max: -2}",
            {"type": "float", "low": math.exp(-9), "high": math.exp(-2), "log": True},
        ),
        ("{min: 1e-4, max: 1}", {"type": "float", "low": 1e-4, "high": 1.0}),
        ("{distribution: q_uniform, min: 0, max: 1, q: 0.1}", {"type": "float", "low": 0.0, "high": 1.0, "step": 0.1}),
        ("{distribution: q_uniform, min: 16, max: 64, q: 16}", {"type": "int", "low": 16, "high": 64, "step": 16}),
        ("{distribution: q_uniform, min: 1, max: 9}", {"type": "float", "low": 1.0, "high": 9.0, "step": 1.0}),
        ("{distribution: q_uniform, min: 30, max: 250, q: 32}", {"type": "int", "low": 32, "high": 256, "step": 32}),
        ("{distribution: q_uniform, min: 1, max: 10, q: 4}", {"type": "int", "low": 0, "high": 8, "step": 4}),
        (
            "{distribution: q_log_uniform_values, min: 16, max: 256, q: 1}",
            {"type": "int", "low": 16, "high": 256, "log": True},
        ),
        ("{distribution: q_log_uniform, min: 2, max: 5, q: 1}", {"type": "int", "low": 7, "high": 148, "log": True}),
    ],
)
def test_each_distribution_keeps_its_values(converted: Converted, spec: str, parameter: dict[str, Any]) -> None:
    found = converted(SWEEP.format(spec))["search_space"]["x"]
    assert found == parameter
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in parameter.items()
    }


@pytest.mark.parametrize("spec", ["{value: [1, {a: null}]}", "{distribution: constant, value: [1, {a: null}]}"])
def test_a_constant_is_an_argument(converted: Converted, spec: str) -> None:
    assert converted(SWEEP.format(spec))["training"]["arguments"] == {"x": [1, {"a": None}]}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("{distribution: normal, mu: 1, sigma: 2}", "take uniform with min: -3 and max: 5"),
        ("{distribution: q_normal, mu: 1, sigma: 2, q: 1}", "q_normal has no ends"),
        ("{distribution: log_normal, mu: 0, sigma: 1}", "take log_uniform with min: -2 and max: 2"),
        ("{distribution: q_log_normal}", "q_log_normal has no ends"),
        ("{distribution: beta, a: 1, b: 2}", "beta has no counterpart"),
        ("{distribution: q_beta, a: 1, b: 2, q: 0.1}", "q_beta has no counterpart"),
        ("{distribution: inv_log_uniform, min: 1, max: 2}", "inv_log_uniform has no counterpart"),
        ("{distribution: inv_log_uniform_values, min: 1, max: 2}", "inv_log_uniform_values has no counterpart"),
        ("{values: [1, 2], probabilities: [0.1, 0.9]}", "probabilities have no counterpart: leave them out"),
        ("{distribution: q_log_uniform_values, min: 8, max: 64, q: 8}", "q=8 has no counterpart: take log_uniform_val"),
        ("{distribution: zipf, min: 1, max: 2}", "x.distribution: must be one of constant, categorical"),
        ("{distribution: [uniform], min: 1, max: 2}", "x.distribution: must be one of"),
        ("{min: 1, max: 2, step: 1}", "int_uniform takes max, min: step given"),
        ("{min: 1}", "x.max: must be a number: None"),
        ("{min: low, max: 1}", "x.min: must be a number: 'low'"),
        ("{distribution: uniform, min: .nan, max: 1}", "x.min: must be a number: nan"),
        ("{distribution: q_uniform, min: 0, max: 1, q: 0}", "x.q: must be above 0: 0"),
        ("{distribution: int_uniform, min: 1.5, max: 3}", "int_uniform takes whole numbers"),
        ("{distribution: log_uniform, min: 1, max: 900}", "too large"),
        ("{distribution: log_uniform_values, min: 0, max: 1}", "search_space.x: low must be above 0 when log is true"),
        ("{min: 3, max: 3}", "search_space.x: low must be below high: low=3, high=3"),
        ("{values: [[1, 2], [3]]}", "x.values: a choice must be a string, a number"),
        ("{values: []}", "x.values: must be a list of at least one value"),
        ("{values: [1, 1.0]}", "choices must be distinct: 1.0 is listed twice"),
        ("{value: 2026-01-01}", "a constant must consist of strings, numbers"),
        ("{distribution: constant}", "constant takes value"),
        ("5", "must have value, values, or min and max: 5"),
        ("{parameters: {y: {value: 1}}, value: 2}", "parameters must stand alone"),
        ("{parameters: {}}", "must name at least one parameter"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(refused: Refused, spec: str, words: str) -> None:
    (line,) = refused(SWEEP.format(spec))
    assert line.startswith(("parameters.x", "search_space.x"))
    assert words in line


def test_all_that_is_wrong_is_told_at_once(refused: Refused) -> None:
    lines = refused("method: anneal\nparameters: {x: {distribution: normal}, y: {min: 1}}\nmetirc: {}")
    assert [line.partition(":")[0] for line in lines] == [
        "metirc",
        "method",
        "metric.name",
        "parameters.x",
        "parameters.y.max",
        "run_cap",
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("method: custom\nscheduler: {engine: optuna}", "method: leaves the search to functions of yours"),
        ("method: random\nscheduler: {engine: ax}", "scheduler: leaves the search to functions of yours"),
        ("method: [random]", "method: must be bayes, random or grid"),
        ("metrics: [{name: a}, {name: b}]", "metrics: belongs to method: custom"),
        ("metric: loss", "metric: must have name, goal and target"),
        ("metric: {goal: minimize}", "metric.name: a study needs a metric"),
        ("metric: {name: loss, goal: max}", "metric.goal: must be minimize or maximize"),
        ("metric: {name: loss, target: low}", "metric.target: must be a number"),
        ("metric: {name: test_loss}", "objectives.0.metric: metric must not begin with test_"),
        ("run_cap: 0", "run_cap: must be a whole number, 1 or more"),
        ("run_cap: null", "run_cap: random goes on for ever, and a study does not: give --n-trials N"),
        ("early_terminate: {type: envelope}", "early_terminate: must be of type hyperband"),
        ("early_terminate: {type: hyperband}", "must have min_iter, or max_iter and s"),
        ("early_terminate: {type: hyperband, min_iter: 1, eta: 1.5}", "early_terminate.eta: must be a whole number"),
        ("early_terminate: {type: hyperband, min_iter: 1, rate: 2}", "rate given"),
        ("command: {a: 1}", "command: must be a list of words"),
    ],
)
def test_fields_without_counterpart_are_refused_by_name(refused: Refused, change: str, words: str) -> None:
    field = change.partition(":")[0]
    kept = [line for line in SWEEP.format("{min: 1, max: 3}").splitlines() if not line.startswith(f"{field}:")]
    (line,) = refused("\n".join([change, *kept]))
    assert words in line


@pytest.mark.parametrize(
    ("rule", "first", "words"),
    [
        ("{type: hyperband, max_iter: 27, s: 2}", 3, "goes on for longer than 27 steps"),
        ("{type: hyperband, max_iter: 100, s: 3}", 3, "Bands were at steps 3, 11, 33; here at 3, 9, 27"),
        ("{type: hyperband, s: 2, min_iter: 7, max_iter: 19}", 2, "min_iter: 7 is left out (W&B itself goes by max"),
        ("{type: hyperband, min_iter: 2, s: 3}", 2, "s: 3 is left out"),
        ("{type: hyperband, min_iter: 2, strict: true}", 2, "strict: True is left out"),
        ("{type: hyperband, min_iter: 2}", 2, "W&B compares the best value of a run so far at a band"),
    ],
)
def test_bands_are_rungs_of_successive_halving(
    converted: Converted, text_of: Callable[..., str], rule: str, first: int, words: str
) -> None:
    sweep = SWEEP.format("{min: 1, max: 3}") + f"early_terminate: {rule}\n"
    expected = {"name": "successive_halving", "min_resource": first, "reduction_factor": 3}
    assert converted(sweep)["pruner"] == expected
    assert words in text_of(sweep)


def test_a_grid_has_as_many_trials_as_combinations(converted: Converted) -> None:
    grid = SWEEP.replace("method: random", "method: grid").replace("run_cap: 20\n", "")
    found = converted(grid.format("{distribution: q_uniform, min: 0, max: 1, q: 0.25}"))
    assert found["search_space"]["x"] == {"type": "float", "low": 0.0, "high": 0.75, "step": 0.25}  # as numpy.arange
    assert (found["n_trials"], found["sampler"]) == (2 * 4, {"name": "grid"})
    assert converted(grid.format("{min: 1, max: 3}"))["n_trials"] == 2 * 3
    assert converted(grid.format("{min: 1, max: 3}") + "run_cap: 4")["n_trials"] == 4


def test_a_grid_of_a_continuous_range_is_refused(refused: Refused) -> None:
    grid = SWEEP.replace("method: random", "method: grid")
    (line,) = refused(grid.format("{min: 0.0, max: 1.0}"))
    assert line == "parameters.x: grid takes value, values, int_uniform and q_uniform: it is uniform"


def test_what_the_user_gives_wins(converted: Converted) -> None:
    sweep = "method: random\nparameters: {x: {min: 0.0, max: 1.0}}"
    given = {"metric": "f1", "direction": "maximize", "n_trials": 7, "name": "mine", "entrypoint": "pkg.a:objective"}
    found = converted(sweep, **given)
    assert found["objectives"] == [{"metric": "f1", "direction": "maximize"}]
    assert (found["n_trials"], found["name"], found["training"]["entrypoint"]) == (7, "mine", "pkg.a:objective")
    assert found["pruner"] == {"name": "none"}  # and not the median pruner of a definition that says nothing


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("method: grid\nparameters: {x: {value: 1}}\nmetric: {name: loss}", "at least one must be searched"),
        ("a: &a [*a", "cannot be read"),
        ("parameters: &p {x: {parameters: *p}}\nmethod: grid\nmetric: {name: a}", "is nested too deep"),
        ("- 1", "holds neither a W&B sweep"),
        ("{name: a, search_space: {}, n_trials: 3}", "is already a study definition"),
        ("\x00", "cannot be read"),
    ],
)
def test_files_that_are_no_sweep_are_refused(refused: Refused, content: str, words: str) -> None:
    (line,) = refused(content)
    assert words in line


def test_aliases_that_name_a_great_many_are_refused(refused: Refused) -> None:
    doubling = "\n".join(f"  b{i}: &b{i} {{parameters: {{x: *b{i - 1}, y: *b{i - 1}}}}}" for i in range(1, 40))
    lines = refused(
        f"method: random\nrun_cap: 1\nmetric: {{name: a}}\nparameters:\n  b0: &b0 {{min: 1, max: 2}}\n{doubling}"
    )
    assert "must have 1000 parameters at most" in lines[0]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "{name: {values: [sgd, adam]}, lr: {min: 0.1, max: 1.0}}",
            "parameters.x: nested parameters must stand under `parameters`: {parameters: {name: …, lr: …}}",
        ),
        ("{}", "parameters.x: must have value, values, or min and max: {}"),
        ("{note: first}", "parameters.x: must have value, values, or min and max: {'note': 'first'}"),
    ],
)
def test_a_parameter_without_values_is_blamed_on_nothing_else(refused: Refused, spec: str, message: str) -> None:
    assert refused(SWEEP.format(spec)) == [message]
