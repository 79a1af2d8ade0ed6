"""Definitions with a command that are refused."""

from typing import Any

from tests.integration.refusals import Cases
from tests.integration.service_driver import Json

RATE: Json = {"lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True}}


def command(*words: Any, space: Json = RATE, **fields: Any) -> Json:
    return {"training": {"command": list(words), **fields}, "search_space": space, "pruner": "none"}


def rate(name: str) -> Json:
    return {name: RATE["lr"]}


CASES: Cases = {
    "no program": (command(), "training.command", "at least 1 item"),
    "a command as text": ({"training": {"command": "python train.py"}}, "training.command", "list"),
    "a number as argument": (command("python", 3, "{args}"), "training.command.1", "string"),
    "a program from a parameter": (command("{lr}"), "training", "the program must be given as it is"),
    "an empty program": (command("", "{args}"), "training", "the program must be given as it is"),
    "an unknown placeholder": (
        command("python", "{args}", "{learning_rate}"),
        "training.command.2",
        "{learning_rate} is no placeholder: known are {lr}, {seed}, {trial}",
    ),
    "a parameter that is not passed on": (
        command("python", "train.py"),
        "training.command",
        "no placeholder passes on the parameter 'lr': use {lr}, {args} or {params_json}",
    ),
    "a constant that is not passed on": (
        command("python", "--lr={lr}", arguments={"log-interval": 10}),
        "training.command",
        "no placeholder passes on the parameter 'log-interval'",
    ),
    "a parameter that is called like a placeholder": (
        command("python", "{seed}", space=rate("seed")),
        "training.command",
        "no placeholder passes on the parameter 'seed': use {param:seed}",
    ),
    "a constant that is searched too": (
        command("python", "{args}", arguments={"lr": 1}),
        "search_space.lr",
        "lr must not be both in training.arguments and searched",
    ),
    "a single brace": (command("python", "{args}", "{"), "training.command.2", "written twice, as {{"),
    "a closing brace": (command("python", "a}", "{args}"), "training.command.1", "written twice, as }}"),
    "all parameters inside of an argument": (
        command("python", "x{args}"),
        "training.command.1",
        "{args} must be an argument of its own",
    ),
    "a flag inside of an argument": (
        command("python", "x{flag:lr}"),
        "training.command.1",
        "{flag:lr} must be an argument of its own",
    ),
    "a character NUL": (command("python", "a\0b", "{args}"), "training.command.1", "NUL"),
    "no parameters": (command("python", space={}), "search_space", "a command cannot ask for parameters"),
    "beside a data set": (command("python", "{args}", dataset="mnist"), "training", "must not be given too"),
    "beside an entrypoint": (command("python", "{args}", entrypoint="a:b"), "training", "must not be given too"),
    "an expression that does not compile": (
        command("python", "{args}", metrics={"acc": "(?P<value>"}),
        "training.metrics.acc",
        "RE2 does not compile the regular expression",
    ),
    "an expression that only Python compiles": (
        command("python", "{args}", metrics={"acc": r"(?<=a)(?P<value>\d+)"}),
        "training.metrics.acc",
        "RE2 does not compile the regular expression",
    ),
    "an expression that needs too much memory": (
        command("python", "{args}", metrics={"acc": r"(?P<value>((\pL{1,100}){1,100}){1,10})"}),
        "training.metrics.acc",
        "RE2 does not compile the regular expression",
    ),
    "an expression without its group": (
        command("python", "{args}", metrics={"acc": r"acc=(\d+)"}),
        "training.metrics.acc",
        "must have a group (?P<value>…)",
    ),
    "a step without its group": (
        command("python", "{args}", step=r"epoch (?P<value>\d+)"),
        "training.step",
        "must have a group (?P<step>…)",
    ),
    "a folder above": (
        command("python", "{args}", working_directory="a/../../b"),
        "training.working_directory",
        "a path below the worker's --code: 'a/../../b'",
    ),
    "an absolute folder": (
        command("python", "{args}", working_directory="/etc"),
        "training.working_directory",
        "a path below the worker's --code: '/etc'",
    ),
    "a variable with an equals sign": (
        command("python", "{args}", environment={"A=B": "1"}),
        "training.environment.A=B",
        "letters, digits and '_'",
    ),
    "a variable that is a number": (
        command("python", "{args}", environment={"A": 1}),
        "training.environment.A",
        "string",
    ),
    "a grace without an end": (command("python", "{args}", grace_seconds=1e9), "training.grace_seconds", "3600"),
    "a final evaluation": (
        {**command("python", "{args}"), "confirmation": {"top_k": 1, "n_seeds": 1}},
        "confirmation",
        "a command has no test split that is known",
    ),
    "an objective of the test split": (
        {**command("python", "{args}"), "objectives": [{"metric": "test_acc", "direction": "maximize"}]},
        "objectives.0.metric",
        "a search must not use the test split",
    ),
    "an enqueued parameter that no command knows": (
        {**command("python", "{args}"), "enqueue": [{"other": 1}]},
        "enqueue.0.other",
        "'other' is not a parameter of the search space",
    ),
}
