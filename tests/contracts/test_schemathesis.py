"""What schemathesis makes of the OpenAPI document: no 5xx, nothing that is not documented, nothing without its scope.

Bounded in examples, and the same in every run. NARROWS_FUZZ_SEED=… tries others.
"""

import os
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, note, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.specs.openapi.schemas import OpenApiSchema

from service.access.route_scopes import ROUTES, with_included
from service.schemas.tokens import Scope
from tests.integration.service_driver import Json, Service, bearer, problem_of

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("NARROWS_FUZZ_SEED", "0"))
"""The same in every run of the gate; another number looks for more."""
MAX_URL_LENGTH = 65_536
"""The client of these tests sends no longer ones."""
EXAMPLES = 20
EXAMPLES_IN_PROCESSES = 4
"""Of a call that starts a process, which takes a second."""
REFUSED_EXAMPLES = 5
OPERATOR = "the operator's"
OPERATIONS = [row for row in ROUTES if row.split(" ")[1].startswith(("/v1/", "/healthz", "/readyz", "/metrics"))]
SCOPES: tuple[Scope, ...] = get_args(Scope)
CLOSED_ROWS = [row for row in OPERATIONS if "anyone" not in ROUTES[row]]

Holders = dict[tuple[Scope, ...], str]

load_all_checks()
SENT_AGAIN = ("ignored_auth", "use_after_free", "ensure_resource_availability", "object_level_authorization")
"""Checks that send calls of their own, over a network that is not there; tests.contracts.test_access does the first."""
BEYOND = ("positive_data_acceptance",)
"""The rules of a definition go beyond what a JSON schema says: what breaks them is a documented 422."""
CHECKED: list[Any] = [check for check in CHECKS.get_all() if check.__name__ not in SENT_AGAIN + BEYOND]
SHAPES: list[Any] = [
    check for check in CHECKED if check.__name__.endswith("_conformance") or "server_error" in check.__name__
]


def opening(row: str) -> tuple[Scope, ...]:
    """One scope that opens a row; none when none is needed."""
    return tuple(scope for scope in SCOPES if scope in ROUTES[row])[:1]


def shut(row: str) -> tuple[Scope, ...]:
    """All scopes that do not open a row."""
    return tuple(scope for scope in SCOPES if not with_included(scope) & set(ROUTES[row]))


def bounded(examples: int) -> settings:
    return settings(
        max_examples=examples,
        phases=(Phase.generate, Phase.shrink),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    print(f"NARROWS_FUZZ_SEED={SEED}")
    with Service(f"sqlite:///{tmp_path_factory.mktemp('fuzzed') / 'narrows.db'}", token=OPERATOR) as service:
        yield service


@pytest.fixture(scope="module")
def holders(service: Service) -> Holders:
    """A token of each set of scopes that the tests need."""
    wanted = {scopes for row in CLOSED_ROWS for scopes in (opening(row), shut(row)) if scopes}
    return {scopes: service.create_token("-".join(("of", *scopes)), list(scopes)) for scopes in wanted}


@pytest.fixture(scope="module")
def schema(service: Service) -> OpenApiSchema:
    return schemathesis.openapi.from_dict(service.app.openapi())


@pytest.fixture(scope="module")
def known(service: Service) -> Json:
    """What is there: a study with a trial under a lease, a token."""
    service.create_token("known", ["read"])
    service.http.headers.update(bearer(OPERATOR))
    name = service.create(n_trials=1000)
    lease = service.claim_one(name)
    service.report(lease, 0)
    service.http.headers.pop("authorization")
    return {"name": name, "number": 0, "lease_id": lease["lease_id"], "token": "known"}


def send(service: Service, case: Case[Any], secret: str | None) -> Any:
    """Send a case to the application of the test."""
    body: Any = case.body
    if isinstance(body, dict) and isinstance(body.get("wait_seconds"), int | float):
        body["wait_seconds"] = min(body["wait_seconds"], 0)  # nobody else brings what it would wait for
    headers = {} if secret is None else bearer(secret)
    made: Any = requests.Request(**case.as_transport_kwargs("http://127.0.0.1", headers)).prepare()
    assume(len(made.url) <= MAX_URL_LENGTH)
    return service.http.request(made.method, made.url, content=made.body, headers=dict(made.headers))


def is_endless(schema: OpenApiSchema, row: str) -> bool:
    method, path = row.split(" ")
    answers = schema.raw_schema["paths"][path][method.lower()]["responses"]
    return "text/event-stream" in answers.get("200", {}).get("content", {})


def cases(schema: OpenApiSchema, row: str, **fixed: Any) -> st.SearchStrategy[Case[Any]]:
    method, path = row.split(" ")
    operation = schema[path][method]
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    kinds = [mode for mode in modes if mode == GenerationMode.POSITIVE or can_be_wrong(operation)]
    return st.one_of([operation.as_strategy(mode, **fixed) for mode in kinds])


def can_be_wrong(operation: Any) -> bool:
    return bool(operation.body or operation.query or operation.path_parameters)


def test_these_are_all_the_operations(schema: OpenApiSchema) -> None:
    documented = {
        f"{method.upper()} {path}" for path, methods in schema.raw_schema["paths"].items() for method in methods
    }
    assert documented == set(OPERATIONS)


@pytest.mark.parametrize("row", OPERATIONS)
def test_who_may_gets_what_is_documented(service: Service, holders: Holders, schema: OpenApiSchema, row: str) -> None:
    if is_endless(schema, row):
        pytest.skip("an endless stream")
    secret = holders.get(opening(row))

    @seed(SEED)
    @bounded(EXAMPLES_IN_PROCESSES if row == "POST /v1/convert" else EXAMPLES)
    @given(cases(schema, row))
    def anything(case: Case[Any]) -> None:
        note(f"NARROWS_FUZZ_SEED={SEED}")
        response = send(service, case, secret)
        case.validate_response(response, CHECKED)
        assert response.status_code not in (401, 403, 429)

    anything()


@pytest.mark.parametrize("row", [row for row in OPERATIONS if "{" in row and not row.startswith("DELETE")])
def test_what_is_there_is_as_documented(
    service: Service, holders: Holders, schema: OpenApiSchema, known: Json, row: str
) -> None:
    fixed = {name: value for name, value in known.items() if f"{{{name}}}" in row}

    @seed(SEED)
    @bounded(EXAMPLES)
    @given(cases(schema, row, path_parameters=fixed))
    def there(case: Case[Any]) -> None:
        note(f"NARROWS_FUZZ_SEED={SEED}")
        case.validate_response(send(service, case, holders[opening(row)]), SHAPES)

    there()


@pytest.mark.parametrize("row", CLOSED_ROWS)
def test_without_a_token_nothing_opens(service: Service, known: Json, schema: OpenApiSchema, row: str) -> None:
    @seed(SEED)
    @bounded(REFUSED_EXAMPLES)
    @given(cases(schema, row))
    def closed(case: Case[Any]) -> None:
        note(f"NARROWS_FUZZ_SEED={SEED}")
        response = send(service, case, None)
        case.validate_response(response, SHAPES)
        assert response.status_code in (
            401,
            429,
        )  # some cases have tokens of schemathesis' own, until they are too many
        assert problem_of(response, response.status_code)

    closed()


@pytest.mark.parametrize("row", [row for row in CLOSED_ROWS if shut(row)])
def test_other_scopes_open_nothing(
    service: Service, holders: Holders, known: Json, schema: OpenApiSchema, row: str
) -> None:
    @seed(SEED)
    @bounded(REFUSED_EXAMPLES)
    @given(cases(schema, row))
    def closed(case: Case[Any]) -> None:
        note(f"NARROWS_FUZZ_SEED={SEED}")
        response = send(service, case, holders[shut(row)])
        case.validate_response(response, SHAPES)
        assert problem_of(response, 403)["code"] == "insufficient_scope"

    closed()
