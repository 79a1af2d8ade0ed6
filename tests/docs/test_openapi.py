"""The API describes itself: every route, parameter and field, with examples, and nothing that is not there."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from service.schemas.locations import PATTERNS
from service.web.app import create_app
from storage import Store

METHODS = ("get", "post", "put", "patch", "delete")
ROUTES = {
    "POST /v1/studies",
    "GET /v1/studies",
    "GET /v1/studies/{name}",
    "PATCH /v1/studies/{name}",
    "DELETE /v1/studies/{name}",
    "GET /v1/studies/{name}/trials",
    "POST /v1/studies/{name}/trials",
    "GET /v1/studies/{name}/trials/{number}",
    "POST /v1/studies/{name}/trials/{number}/retry",
    "GET /v1/studies/{name}/trials/{number}/curves",
    "GET /v1/studies/{name}/rounds",
    "GET /v1/studies/{name}/imports",
    "GET /v1/studies/{name}/imports/{number}",
    "POST /v1/studies/{name}/imports",
    "POST /v1/studies/{name}/narrow",
    "GET /v1/studies/{name}/best",
    "GET /v1/studies/{name}/pareto",
    "GET /v1/studies/{name}/importance",
    "GET /v1/studies/{name}/diagnosis",
    "GET /v1/studies/{name}/curves",
    "GET /v1/studies/{name}/table",
    "GET /v1/studies/{name}/progress",
    "GET /v1/studies/{name}/export",
    "GET /v1/studies/{name}/final",
    "POST /v1/studies/{name}/final",
    "GET /v1/studies/{name}/trials/{number}/artifacts",
    "PUT /v1/artifacts/{lease_id}/{artifact}",
    "GET /v1/artifacts/{name}/{number}/{artifact}",
    "POST /v1/convert",
    "GET /v1/workers",
    "GET /v1/session",
    "GET /v1/events",
    "POST /v1/claims",
    "POST /v1/reports",
    "POST /v1/leases/{lease_id}/complete",
    "POST /v1/leases/{lease_id}/fail",
    "POST /v1/leases/{lease_id}/release",
    "POST /v1/leases/{lease_id}/prune",
    "POST /v1/leases/{lease_id}/pause",
    "POST /v1/leases/{lease_id}/suggest",
    "POST /v1/leases/{lease_id}/user-attrs",
    "POST /v1/leases/{lease_id}/constraints",
    "POST /v1/leases/renew",
    "GET /v1/tokens",
    "POST /v1/tokens",
    "DELETE /v1/tokens/{token}",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('openapi') / 'narrows.db'}")
    yield create_app(store).openapi()
    store.close()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                yield f"{method.upper()} {path}", methods[method]


def properties(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for schema, content in document["components"]["schemas"].items():
        for name, field in content.get("properties", {}).items():
            yield f"{schema}.{name}", field


def resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """A property with what its schema says of itself, where it is but a reference to one."""
    if "$ref" not in node:
        return node
    return {**document["components"]["schemas"][node["$ref"].rpartition("/")[2]], **node}


def test_the_routes_are_those_of_this_release(document: dict[str, Any]) -> None:
    assert {name for name, _ in operations(document)} == ROUTES


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    without_description = [name for name, operation in operations(document) if not operation.get("description")]
    assert without_description == []
    summaries = {name: operation["summary"] for name, operation in operations(document)}
    # A sentence in the imperative without its full stop; FastAPI's default, a function name, is in title case.
    assert {name: text for name, text in summaries.items() if not re.fullmatch(r"[A-Z]\S* .*[^.]", text)} == {}
    assert {name: text for name, text in summaries.items() if " " in text and text.istitle()} == {}
    assert len(set(summaries.values())) == len(summaries)
    assert [name for name, operation in operations(document) if not operation.get("tags")] == []


def test_every_operation_documents_its_errors(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        wanted = {"401", "403", "408", "429", "503"} | ({"404", "422"} if "{" in name else set())
        assert wanted <= set(operation["responses"]), name


def test_every_error_is_documented_as_a_problem(document: dict[str, Any]) -> None:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    wrong = [
        f"{name} {status}"
        for name, operation in operations(document)
        for status, answer in operation["responses"].items()
        if status >= "400" and (answer["content"] != problem or not answer["description"])
    ]
    assert wrong == []


def test_every_good_answer_has_a_shape(document: dict[str, Any]) -> None:
    shapeless = [
        f"{name} {status}"
        for name, operation in operations(document)
        for status, answer in operation["responses"].items()
        if status < "400" and status not in ("204", "304") and not answer.get("content")
    ]
    assert shapeless == []


def test_every_good_answer_is_described(document: dict[str, Any]) -> None:
    silent = [
        f"{name} {status}"
        for name, operation in operations(document)
        for status, answer in operation["responses"].items()
        if answer["description"] in ("", "Successful Response")
    ]
    assert silent == []


def test_every_parameter_has_a_description_and_an_example(document: dict[str, Any]) -> None:
    poor = [
        f"{name}: {parameter['name']}"
        for name, operation in operations(document)
        for parameter in operation.get("parameters", [])
        if not (parameter.get("description") and has_example(parameter["schema"] | parameter))
    ]
    assert poor == []


def test_every_field_has_a_description(document: dict[str, Any]) -> None:
    assert [name for name, field in properties(document) if not resolved(document, field).get("description")] == []


def test_every_field_has_an_example(document: dict[str, Any]) -> None:
    poor = [name for name, field in properties(document) if not has_example(resolved(document, field))]
    assert poor == []


def has_example(schema: dict[str, Any]) -> bool:
    return bool(schema.get("examples")) or "example" in schema or "const" in schema


def patterns(node: object) -> Iterator[str]:
    """Every regular expression for strings in a document."""
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            yield node["pattern"]
        for value in node.values():
            yield from patterns(value)
    elif isinstance(node, list):
        for value in node:
            yield from patterns(value)


def test_every_pattern_has_a_rule_in_words(document: dict[str, Any]) -> None:
    assert set(patterns(document)) == set(PATTERNS)


def test_every_duration_names_its_unit(document: dict[str, Any]) -> None:
    poor = [
        name
        for name, field in properties(document)
        if name.endswith("_seconds") and "second" not in field.get("description", "").lower()
    ]
    assert poor == []


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def test_custom_parts_keep_the_names_that_generated_clients_have(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert {"OwnModel", "OwnDataset"} <= schemas.keys()
    assert list(schemas) == sorted(schemas)
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert references <= schemas.keys()
    assert {"OwnModel", "OwnDataset"} <= references
