"""Every bad definition is a 422 that names the field, the rule and the value, and leaves nothing behind."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration import (
    refused_commands,
    refused_devices,
    refused_samplers,
    refused_spaces,
    refused_studies,
    refused_training,
)
from tests.integration.refusals import post
from tests.integration.service_driver import Json, Service, definition, errors_of

MODULES = (
    refused_commands,
    refused_devices,
    refused_samplers,
    refused_spaces,
    refused_studies,
    refused_training,
)
CASES = {name: case for module in MODULES for name, case in module.CASES.items()}
assert len(CASES) == sum(len(module.CASES) for module in MODULES), "two cases have one name"


@pytest.fixture(autouse=True)
def nothing_left_behind(service: Service) -> Iterator[None]:
    yield
    left = service.get("/studies")
    left_in_optuna = [study.study_name for study in service.store.optuna.get_all_studies()]
    for study in left["studies"]:
        service.http.delete(f"/v1/studies/{study['name']}")
    assert left == {"studies": [], "next_cursor": None}
    assert left_in_optuna == []


@pytest.mark.parametrize("case", CASES)
def test_a_bad_definition_is_refused_with_its_field_rule_and_value(service: Service, case: str) -> None:
    changes, field, fragment = CASES[case]
    started = time.process_time()

    response = post(service, {**definition(), **changes})

    errors = errors_of(response)
    matching = [name for name in errors if name == field or (len(field) >= 50 and name.startswith(field))]
    assert matching, f"{field} is not named: {errors}"
    assert fragment in errors[matching[0]]
    assert errors[matching[0]].strip()
    assert len(response.content) < 5000 + 200 * len(errors)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("field", ["name", "training", "n_trials"])
def test_a_definition_without_a_needed_field_is_refused(service: Service, field: str) -> None:
    wanted = definition()
    del wanted[field]

    assert errors_of(post(service, wanted))[field] == f"{field} is required"


def test_every_wrong_field_is_named_at_once(service: Service) -> None:
    wanted = {**definition(name="a/b", n_trials=0, sampler="bayes"), "extra": 1}

    assert set(errors_of(post(service, wanted))) == {"name", "n_trials", "sampler", "extra"}


def test_every_wrong_bound_is_named_at_once(service: Service) -> None:
    wanted = definition(
        search_space={
            "dropout": {"type": "float", "low": 0.0, "high": 1.5},
            "optimizer": {"type": "categorical", "choices": ["sgd", "adamm"]},
            "momentum": {"type": "float", "low": -0.1, "high": 0.9, "when": {"optimizer": ["sgd"]}},
        }
    )

    errors = errors_of(post(service, wanted))
    assert {"search_space.dropout", "search_space.optimizer", "search_space.momentum"} <= set(errors)


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


BODIES: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", ""),
    "not JSON": ("name: x", "malformed JSON"),
    "cut short": ('{"name": "x"', "malformed JSON"),
    "two documents": ('{"name": "x"}{}', "malformed JSON"),
    "a trailing comma": ('{"name": "x",}', "malformed JSON"),
    "no UTF-8": (b'{"name": "\xff"}', ""),
    "UTF-16": ('{"name": "x"}'.encode("utf-16"), ""),
    "a list": ("[]", "list"),
    "a string": ('"x"', "'x'"),
    "a number": ("5", "5"),
    "null": ("null", ""),
    "nested deeply": (nested(100), "32 levels"),
    "nested a hundred thousand times": ("[" * 100_000, "32 levels"),
    "closed before it is opened": ("]" * 100_000 + "[" * 100_000, ""),
    "an integer of 5,000 digits": ('{"n_trials": ' + "9" * 5000 + "}", ""),
    "a float with a huge exponent": ('{"n_trials": 1e400}', ""),
    "over a MiB": ('{"name": "' + "x" * 1024 * 1024 + '"}', "at most 1048576 bytes"),
    "over a MiB of blanks": (" " * (1024 * 1024 + 1), "at most 1048576 bytes"),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_is_no_definition_is_refused(service: Service, case: str) -> None:
    content, fragment = BODIES[case]

    response = service.http.post("/v1/studies", content=content, headers={"content-type": "application/json"})

    errors = errors_of(response)
    assert fragment in json.dumps(errors)
    assert len(response.content) < 20_000


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_another_content_type_is_refused_and_says_what_is_wanted(service: Service, kind: str) -> None:
    response = service.http.post("/v1/studies", content=json.dumps(definition()), headers={"content-type": kind})

    assert "application/json" in json.dumps(problem_body(response))


def problem_body(response: Any) -> Json:
    assert response.status_code in (415, 422), response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: Json = response.json()
    return body


YAML: dict[str, tuple[str, str]] = {
    "malformed": ("name: [", "malformed YAML"),
    "empty": ("", ""),
    "an alias bomb": ("a: &a [x, x]\nb: &b [*a, *a]\n", "aliases"),
    "a tag": ("name: !!python/object:os.system x", "tags"),
    "a key twice": ("name: a\nname: b", "twice"),
    "two documents": ("name: a\n---\nname: b", "one document"),
    "a list": ("- 1", "list"),
    "nested deeply": ("[" * 5000, "nested"),
    "nested 40 levels": ("[" * 40 + "]" * 40, "32 levels"),
    "not a number": ("n_trials: .nan", ""),
    "an unknown field": ("trials: 3", "unknown field"),
}


@pytest.mark.parametrize("case", YAML)
@pytest.mark.parametrize("kind", ["application/yaml", "Application/YAML; charset=utf-8"])
def test_bad_yaml_is_refused(service: Service, case: str, kind: str) -> None:
    content, fragment = YAML[case]

    response = service.http.post("/v1/studies", content=content, headers={"content-type": kind})

    assert fragment in json.dumps(errors_of(response))


EXPENSIVE: dict[str, Callable[[], Json]] = {
    "a grid with a hundred parents": lambda: {
        "sampler": "grid",
        "search_space": {
            f"model.hidden.{index}": {
                "type": "int",
                "low": 1,
                "high": 2,
                **({"when": {f"model.hidden.{index - 1}": [1, 2]}} if index else {}),
            }
            for index in range(64)
        },
    },
    "many parents of few values": lambda: {
        "sampler": "brute_force",
        "training": {"dataset": "digits", "model": {"name": "cnn"}},
        "search_space": {
            **{f"model.dense.{index}": {"type": "int", "low": 1, "high": 2} for index in range(16)},
            **{
                f"no.such.{index}": {"type": "int", "low": 1, "high": 2, "when": {f"model.dense.{index % 16}": [1]}}
                for index in range(80)
            },
        },
    },
}


@pytest.mark.parametrize("case", EXPENSIVE)
def test_a_bad_definition_is_refused_quickly(service: Service, case: str) -> None:
    started = time.process_time()

    response = post(service, {**definition(), **copy.deepcopy(EXPENSIVE[case]())})

    assert errors_of(response)
    assert time.process_time() - started < 5
