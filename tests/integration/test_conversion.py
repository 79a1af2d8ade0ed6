"""Definitions of other systems over HTTP: converted in a process of its own, or refused field by field."""

from typing import Any

import pytest

from service.schemas.yaml_text import load
from tests.integration.service_driver import Json, Service, bearer, errors_of, problem_of
from tests.integration.ways_out_driver import WILD

pytestmark = pytest.mark.processes

SWEEP = """\
program: train.py
method: bayes
metric: {name: validation_accuracy, goal: maximize}
parameters:
  lr: {distribution: log_uniform_values, min: 0.0001, max: 0.1}
  epochs: {value: 5}
run_cap: 30
"""


def convert(service: Service, text: str, **more: Any) -> Any:
    return service.http.post("/v1/convert", json={"text": text, **more})


def test_a_sweep_becomes_a_definition_that_is_valid(service: Service) -> None:
    response = convert(service, SWEEP, name="mine")
    assert response.status_code == 200, response.text
    text = response.json()["definition"]
    definition = load(text)
    assert isinstance(definition, dict)
    assert (definition["name"], definition["n_trials"]) == ("mine", 30)
    assert definition["search_space"] == {"lr": {"type": "float", "low": 0.0001, "high": 0.1, "log": True}}
    headers = {"content-type": "application/yaml"}
    checked = service.http.post("/v1/studies", params={"check": True}, content=text, headers=headers)
    assert checked.json()["name"] == "mine"


def test_python_is_read_and_not_run(service: Service) -> None:
    text = "from ray import tune\nimport sys\nsys.exit('run')\nspace = {'lr': tune.loguniform(1e-4, 1e-1)}\n"
    given = {"format": "python", "metric": "loss", "direction": "minimize", "n_trials": 5, "entrypoint": "t:f"}
    response = convert(service, text, **given)
    assert response.status_code == 200, response.text
    definition = load(response.json()["definition"])
    assert isinstance(definition, dict)
    assert definition["training"] == {"entrypoint": "t:f"}


def test_what_has_no_counterpart_is_refused_in_an_error_of_its_own(service: Service) -> None:
    body = problem_of(
        convert(service, SWEEP.replace("value: 5", "wrong: 5").replace("method: bayes", "method: x")), 422
    )
    assert {error["field"] for error in body["errors"]} == {"text"}
    messages = [error["message"] for error in body["errors"]]
    assert any("method" in message for message in messages)
    assert any("epochs" in message for message in messages)


ALIASES = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30))


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ("[" * 20_000, "yaml"),
        ("(" * 100_000, "python"),
        (f"{ALIASES}method: random\nparameters: {{lr: {{values: *a29}}}}\n", "yaml"),
        ("!!python/object/apply:os.system ['true']", "yaml"),
    ],
)
def test_hostile_texts_are_refused(service: Service, text: str, format: str) -> None:
    assert set(errors_of(convert(service, text, format=format))) == {"text"}
    assert service.http.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "text"),
        ({"text": 1}, "text"),
        ({"text": "\0"}, "text"),
        ({"text": "", "format": "toml"}, "format"),
        ({"text": "", "name": "a b"}, "name"),
        ({"text": "", "entrypoint": "os.system"}, "entrypoint"),
        ({"text": "", "n_trials": 0}, "n_trials"),
        ({"text": "", "file": "x"}, "file"),
    ],
)
def test_a_wrong_body_names_its_field(service: Service, body: Json, field: str) -> None:
    assert field in errors_of(service.http.post("/v1/convert", json=body))


def test_any_text_is_text(service: Service) -> None:
    text = f"method: random\nparameters: {{lr: {{values: [a, {WILD!r}]}}}}\nrun_cap: 3\nmetric: {{name: m}}\n"
    for response in (
        convert(service, text, metric=WILD, entrypoint="t:f"),
        convert(service, WILD),
        convert(service, "x = {}", format="python", space=WILD),
    ):
        assert response.status_code in (200, 422)
        assert not any(byte < 0x20 and byte != 0x0A for byte in response.content)
        response.json()


def test_converting_needs_the_scope_of_creating(guarded: Service) -> None:
    reader = guarded.create_token("reader", ["read"])
    body = {"text": SWEEP}
    assert guarded.http.post("/v1/convert", json=body, headers=bearer(reader)).status_code == 403
    assert guarded.http.post("/v1/convert", json=body).status_code == 401
