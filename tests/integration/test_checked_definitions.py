"""What a page asks before it offers to create a study: whether a definition is valid, and what the caller may do."""

import json
from typing import Any

import pytest
import yaml

from service.client import ServiceError
from tests.integration.refused_studies import CASES
from tests.integration.service_driver import Service, bearer, definition, errors_of, problem_of

YAML = {"content-type": "application/yaml"}
TEXT = """\
# A comment
name: digits
search_space:
  learning_rate: {type: float, low: 1.0e-5, high: 0.1, log: true}
  model.dropout:
    type: float
    low: 0.5
    high: 0.1
training:
  dataset: digits
  model: mlp
  wrong: 1
n_trials: none
"""


def check(service: Service, content: str | bytes, kind: str = "application/yaml") -> Any:
    return service.http.post("/v1/studies", params={"check": True}, content=content, headers={"content-type": kind})


def lines_of(response: Any) -> dict[str, int | None]:
    return {error["field"]: error.get("line") for error in problem_of(response, 422)["errors"]}


def names(service: Service) -> list[str]:
    return [study["name"] for study in service.get("/studies")["studies"]]


def test_a_good_definition_is_valid_and_nothing_is_created(sqlite_service: Service) -> None:
    wanted = definition(name="fresh", n_trials=7)
    expected = {"name": "fresh", "n_trials": 7, "existing": None, "replaceable": False}
    events = sqlite_service.http.get("/v1/events", params={"follow": False}).text
    for content, kind in ((json.dumps(wanted), "application/json"), (yaml.safe_dump(wanted), "application/yaml")):
        response = check(sqlite_service, content, kind)
        assert (response.status_code, response.json()) == (200, expected)
    assert names(sqlite_service) == []
    assert sqlite_service.http.get("/v1/events", params={"follow": False}).text == events


def test_an_existing_study_is_named_the_same_or_another(service: Service) -> None:
    wanted = definition()
    service.http.post("/v1/studies", json=wanted).raise_for_status()

    def answer(**changes: Any) -> tuple[str | None, bool]:
        found = check(service, json.dumps({**wanted, **changes}), "application/json").json()
        return found["existing"], found["replaceable"]

    assert answer() == ("same", False)
    assert answer(n_trials=4) == ("other", True)
    service.run(wanted["name"])
    assert answer(n_trials=4) == ("other", False)
    assert service.study(wanted["name"])["definition"]["n_trials"] == wanted["n_trials"]


@pytest.mark.parametrize("case", CASES)
def test_a_bad_definition_has_the_same_errors_as_when_it_is_created(service: Service, case: str) -> None:
    content = json.dumps(definition(**CASES[case][0]))
    headers = {"content-type": "application/json"}
    created = errors_of(service.http.post("/v1/studies", content=content, headers=headers))
    assert errors_of(check(service, content, "application/json")) == created


def test_errors_in_yaml_have_the_lines_of_their_fields(service: Service) -> None:
    assert lines_of(check(service, TEXT)) == {
        "search_space.model.dropout": 5,
        "training.wrong": 12,
        "n_trials": 13,
    }
    created = lines_of(service.http.post("/v1/studies", content=TEXT, headers=YAML))
    assert set(created.values()) == {5, 12, 13}


@pytest.mark.processes
def test_errors_in_a_long_text_have_lines_too(service: Service) -> None:
    text = TEXT.replace("# A comment\n", "# A comment\n" * 2000)
    assert set(lines_of(check(service, text)).values()) == {2004, 2011, 2012}


def test_a_missing_field_has_the_line_of_the_object_that_lacks_it(service: Service) -> None:
    lines = lines_of(check(service, "name: a\nsearch_space:\n  x: {type: float, low: 0}\ntraining: {model: mlp}\n"))
    assert lines["search_space.x.high"] == 3
    assert lines_of(check(service, "{}"))["name"] is None


@pytest.mark.parametrize(
    ("text", "line"),
    [("name: a\n  b: [\n", 2), ("a: 1\na: 2\n", 2), ("a: &x 1\n", 1), ("\n\n- *x\n", 3), ("a: \x07", None)],
)
def test_what_is_no_yaml_has_its_line(service: Service, text: str, line: int | None) -> None:
    assert lines_of(check(service, text)) == {"body": line}


def test_json_has_no_lines_but_json_that_is_sent_as_yaml(service: Service) -> None:
    text = json.dumps(definition(n_trials="x"), indent=1)
    assert lines_of(check(service, text, "application/json")) == {"n_trials": None}
    line = next(number for number, one in enumerate(text.splitlines(), 1) if "n_trials" in one)
    assert lines_of(check(service, text)) == {"n_trials": line}


def test_checking_needs_the_scope_of_creating(guarded: Service) -> None:
    reader = guarded.create_token("reader", ["read"])
    body = json.dumps(definition())
    query = {"check": True}
    assert guarded.http.post("/v1/studies", params=query, content=body, headers=bearer(reader)).status_code == 403
    assert guarded.http.post("/v1/studies", params=query, content=body).status_code == 401


@pytest.mark.parametrize(
    ("scopes", "seen"),
    [
        (["read"], ["read"]),
        (["submit"], ["read", "submit"]),
        (["work"], ["work"]),
        (["admin"], ["admin", "read", "submit", "work"]),
    ],
)
def test_a_caller_learns_its_name_and_scopes(guarded: Service, scopes: list[str], seen: list[str]) -> None:
    secret = guarded.create_token("mine", scopes)
    response = guarded.http.get("/v1/session", headers=bearer(secret))
    assert response.json() == {"name": "mine", "scopes": seen, "by": "token"}
    assert guarded.http.get("/v1/session").status_code == 401


def test_a_browser_that_has_logged_in_has_a_session(guarded: Service) -> None:
    secret = guarded.create_token("mine", ["read"])
    guarded.http.post("/login", data={"token": secret}).raise_for_status()
    assert guarded.get("/session") == {"name": "mine", "scopes": ["read"], "by": "session"}


def test_without_tokens_a_local_caller_may_do_everything(service: Service) -> None:
    expected = {"name": "this machine", "scopes": ["admin", "read", "submit", "work"], "by": "local"}
    assert service.get("/session") == expected


def test_the_client_checks_mappings_and_texts(service: Service) -> None:
    wanted = definition()
    with service.client() as client:
        assert client.check_study(wanted).existing is None
        assert client.check_study(yaml.safe_dump(wanted).encode()).name == wanted["name"]
        with pytest.raises(ServiceError) as refused:
            client.check_study(TEXT.encode())
    assert refused.value.problem.errors is not None
    assert [error.line for error in refused.value.problem.errors] == [5, 12, 13]
