"""The program of a W&B sweep as a study's command: what each macro becomes, what differs, what has no counterpart."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import re2
from pydantic import JsonValue

from service.schemas import yaml_text as yaml_loader
from service.schemas.study.definition import Definition
from service.schemas.study.placeholders import fill
from tests.unit.service.conversion.conftest import Converted, Refused

PARAMETERS = {
    "lr": {"min": 0.1, "max": 0.5},
    "seed": {"values": [1, 2]},
    "fast": {"values": [True, False]},
    "warm-up": {"value": True},
    "opt": {"parameters": {"name": {"values": ["sgd", "adam"]}}},
}
CONSTANTS = {"warm-up": True}
TRIAL: dict[str, JsonValue] = {"lr": 0.25, "seed": 2, "fast": False, "opt.name": "sgd"}


def sweep(*command: Any, **changes: Any) -> str:
    given = {"command": list(command)} if command else {}
    metric = {"name": "loss", "goal": "minimize"}
    base = {"program": "train.py", "method": "random", "metric": metric, "run_cap": 2, "parameters": PARAMETERS}
    return json.dumps({name: value for name, value in {**base, **given, **changes}.items() if value is not None})


def started(definition: dict[str, Any]) -> list[str]:
    """What a worker starts for the trial."""
    training = definition["training"]
    return fill(training["command"], {**training.get("arguments", {}), **TRIAL}, {"params_json": "PARAMS", "seed": "0"})


DEFAULT = ["python", "train.py", "--warm-up=true", "--lr=0.25", "--seed=2", "--fast=false", "--opt.name=sgd"]


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ([], DEFAULT),
        (["${env}", "${interpreter}", "${program}", "${args}"], DEFAULT),
        (["/usr/bin/env", "python3", "${program}", "${args}"], DEFAULT),
        (["python3.11", "train.py", "${args}"], DEFAULT),
        (["uv", "run", "python3", "${program}", "${args_json_file}"], ["uv", "run", "python3", "train.py", "PARAMS"]),
        (
            ["sh", "run.sh", "${args_no_equals}"],
            [
                "sh",
                "run.sh",
                "--warm-up",
                "true",
                "--lr",
                "0.25",
                "--seed",
                "2",
                "--fast",
                "false",
                "--opt.name",
                "sgd",
            ],
        ),
        (
            ["sh", "${args_no_hyphens}"],
            ["sh", "warm-up=true", "lr=0.25", "seed=2", "fast=false", "opt.name=sgd"],
        ),
        (
            ["sh", "${args_append_hydra}"],
            ["sh", "+warm-up=true", "+lr=0.25", "+seed=2", "+fast=false", "+opt.name=sgd"],
        ),
        (
            ["sh", "${args_override_hydra}"],
            ["sh", "++warm-up=true", "++lr=0.25", "++seed=2", "++fast=false", "++opt.name=sgd"],
        ),
        (
            ["${interpreter}", "-m", "pkg.train", "", 4, "${args_json_file}"],
            ["python", "-m", "pkg.train", "", "4", "PARAMS"],
        ),
        (["sh", "dir=out/${now:%M}", "${args_json_file}"], ["sh", "dir=out/${now:%M}", "PARAMS"]),
        (["sh", "${args_no_boolean_flags}"], ["sh", "--warm-up", "--lr=0.25", "--seed=2", "--opt.name=sgd"]),
        (
            ["sh", "--format={x}", "a=${program}", 3, "${args_json_file}"],
            ["sh", "--format={x}", "a=${program}", "3", "PARAMS"],
        ),
    ],
)
def test_a_worker_starts_what_an_agent_starts(converted: Converted, command: list[Any], arguments: list[str]) -> None:
    definition = converted(sweep(*command), "sweep.json")

    assert definition["training"]["arguments"] == CONSTANTS
    assert sorted(started(definition)) == sorted(arguments)
    assert started(definition)[:2] == arguments[:2]


def test_variables_before_the_program_are_its_environment(converted: Converted, text_of: Callable[..., str]) -> None:
    text = sweep("${env}", "OMP_NUM_THREADS=2", "PYTHONPATH=a=b", "python", "${program}", "${args}")

    training = converted(text, "sweep.json")["training"]

    assert training["command"] == ["python", "train.py", "{args}"]
    assert training["environment"] == {"OMP_NUM_THREADS": "2", "PYTHONPATH": "a=b"}
    flags = "--code FOLDER --allow-command 'python train.py' --allow-environment PYTHONPATH"
    assert f"# Start a worker with: {flags}" in text_of(text, "sweep.json")


def test_a_command_in_a_string_is_split(converted: Converted) -> None:
    text = sweep(command="- ${env}\n- ${interpreter}\n- ${program}\n- ${args}")
    assert converted(text, "sweep.json")["training"]["command"] == ["python", "train.py", "{args}"]


@pytest.mark.parametrize("program", ["train-nested-cli.py", "my-project/train.py", "./train.sh", "/srv/{a}/train.py"])
def test_a_program_may_have_any_path(converted: Converted, program: str) -> None:
    assert started(converted(sweep(program=program), "sweep.json"))[1] == program


def test_an_entrypoint_of_the_user_takes_the_place_of_the_program(
    converted: Converted, text_of: Callable[..., str]
) -> None:
    text = sweep("${env}", "${args_json}", program="../train.py")

    training = converted(text, "sweep.json", entrypoint="pkg.mod:run")["training"]

    assert training == {"entrypoint": "pkg.mod:run", "arguments": CONSTANTS}
    comments = text_of(text, "sweep.json", entrypoint="pkg.mod:run")
    assert "# program is left out (a function trains): '../train.py'" in comments
    assert "# command is left out (a function trains): ['${env}', '${args_json}']" in comments
    assert "warm-up: no name in Python, so the function takes it by **options." in comments


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "# Start a worker with: --code FOLDER --allow-command 'python train.py'"),
        ({}, "The script must read its parameters from its arguments: wandb.config has none here."),
        ({}, "Nested parameters have dotted names, as opt.name; W&B passes a dictionary."),
        ({}, "Values are passed on as JSON: warm-up is true, not True; fast is true, not True."),
        ({}, "`from narrows import report`, and report(epoch, loss=…) beside wandb.log"),
        ({"metric": {"name": "val/loss"}}, "report(epoch, **{'val/loss': …}) beside wandb.log"),
        ({"program": "/srv/train.py"}, "/srv/train.py must exist on every worker; --code is not needed for it."),
        ({"command": ["python3.9", "${program}", "${args}"]}, "In the sweep: python3.9; python is the worker's own"),
    ],
)
def test_what_differs_is_said_in_comments(text_of: Callable[..., str], changes: dict[str, Any], words: str) -> None:
    assert words in " ".join(text_of(sweep(**changes), "sweep.json").replace("\n  #   ", " ").split("\n"))


def test_a_difference_that_is_not_there_is_not_told(text_of: Callable[..., str]) -> None:
    flat = {"lr": {"min": 0.1, "max": 0.5}, "fast": {"values": [True, False]}}
    text = text_of(sweep("python", "train.py", "${args_no_boolean_flags}", parameters=flat), "sweep.json")
    assert "as JSON" not in text
    assert "dotted" not in text


@pytest.mark.parametrize("metric", ["loss", "val/acc", "top 5 (%)", "it's: {a}"])
def test_the_example_for_printed_metrics_is_a_field_that_finds_them(text_of: Callable[..., str], metric: str) -> None:
    text = text_of(sweep(metric={"name": metric}), "sweep.json")

    training = Definition.model_validate(yaml_loader.load(text.replace("  # metrics:", "  metrics:"))).training

    (pattern,) = training.model_dump()["metrics"].values()
    for line in (f"epoch 1 {metric}=-1.5e-3,", f"{metric}: -1.5e-3"):
        assert float(re2.search(pattern, line).group("value")) == -1.5e-3
    assert re2.search(pattern, f"wandb: {metric} 0.5") is None  # the summary that wandb prints at the end


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        (
            {"command": ["python", "${program}", "${args_json}"]},
            ["command: ${args_json} has no counterpart: take ${args_json_file}, the path of a file with the same JSON"],
        ),
        (
            {"command": ["${env}", "-i", "sh", "--home=${envvar:HOME}", "${argz}"]},
            [
                "command: ${envvar:HOME} has no counterpart: write its value there, or export it before you start",
                "command: must pass the parameters on, as wandb.config has them only at W&B: add ${args}",
            ],
        ),
        ({"command": ["${env}", "-i", "sh", "${args}"]}, ["command: options of env have no counterpart: leave them"]),
        ({"command": ["sh", "${argz}", "${args}"]}, ["command: ${argz} is no macro of W&B: known are ${program}"]),
        ({"command": ["${env}", "A=1"]}, ["command: must pass the parameters on"]),
        ({"command": ["${args}"]}, ["training: the program must be given as it is, without placeholders"]),
        ({"command": [["sh"], "${args}"]}, ["command: must be a list of words"]),
        ({"program": None, "command": ["python", "${program}", "${args}"]}, ["program: must be the path of a program"]),
        ({"program": ""}, ["program: must be the path of a program, for which ${program} stands: ''"]),
        ({"program": 5}, ["program: must be the path of a program, for which ${program} stands: 5"]),
        ({"program": "a/../../train.py"}, ["program: must be in the worker's --code FOLDER"]),
        (
            {"parameters": {"x": {"values": [True, 2]}}, "command": ["sh", "${args_no_boolean_flags}"]},
            ["command: x must have only booleans, or none, to be passed on by ${args_no_boolean_flags}: [True, 2]"],
        ),
        (
            {"parameters": {"{x}": {"values": [1, 2]}}, "command": ["sh", "${args_no_hyphens}"]},
            ["command: ${args_no_hyphens} cannot pass on a name with a brace: take ${args}: '{x}'"],
        ),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(
    refused: Refused, changes: dict[str, Any], lines: list[str]
) -> None:
    found = refused(sweep(**changes), "sweep.json")
    assert len(found) == len(lines)
    for line, words in zip(found, lines, strict=True):
        assert line.startswith(words)
