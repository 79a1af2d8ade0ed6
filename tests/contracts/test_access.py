"""Every route of the application has a row in the one table of scopes, and is opened by nothing else."""

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from service.access.route_scopes import INCLUDED, ROUTES, RequiredScope, RouteScopes
from service.schemas.tokens import Scope
from tests.integration.service_driver import Service, bearer, code_of, problem_of

ALL: tuple[Scope, ...] = get_args(Scope)
INCLUDED_SCOPES: dict[str, set[RequiredScope]] = {
    "read": {"read"},
    "submit": {"read", "submit"},
    "work": {"work"},
    "admin": {"read", "submit", "work", "admin"},
}
CLOSED_ROWS = [row for row, scopes in ROUTES.items() if "anyone" not in scopes]
BOTH = [(row, scope) for row in CLOSED_ROWS for scope in ALL]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(f"sqlite:///{tmp_path_factory.mktemp('access') / 'narrows.db'}", token="the operator's") as service:
        yield service


@pytest.fixture(scope="module")
def secrets(service: Service) -> dict[str, str]:
    """A token of each scope."""
    return {scope: service.create_token(scope, [scope]) for scope in ALL}


def routes(service: Service) -> Iterator[str]:
    for route in iter_route_contexts(service.app.router.routes):
        if isinstance(route.original_route, Mount):
            yield f"GET {route.path}/{{path:path}}"
            continue
        assert route.methods, f"{route.path} must say which methods it has"
        yield from (f"{method} {route.path}" for method in route.methods if method != "HEAD")


def test_every_route_has_a_row_and_every_row_a_route(service: Service) -> None:
    assert sorted(set(routes(service))) == sorted(ROUTES)


def test_every_row_names_scopes_that_there_are() -> None:
    known = {*ALL, "anyone", "bootstrap"}
    assert {row: scopes for row, scopes in ROUTES.items() if not scopes or set(scopes) - known} == {}


def test_scopes_include_what_they_say() -> None:
    assert INCLUDED == INCLUDED_SCOPES


def path_of(row: str) -> str:
    """A path that the row's route has, of things that are not there."""
    path = re.sub(r"{(\w+)(?::(\w+))?}", lambda match: "0" if match[2] == "int" else "no-such", row.split(" ")[1])
    return f"{path}?follow=false" if path == "/v1/events" else path  # the stream itself has no end


def call(service: Service, row: str, secret: str | None = None) -> Any:
    headers = {} if secret is None else bearer(secret)
    return service.http.request(row.split(" ")[0], path_of(row), headers=headers, follow_redirects=False)


@pytest.mark.parametrize("row", CLOSED_ROWS)
def test_without_a_token_it_is_closed(service: Service, secrets: dict[str, str], row: str) -> None:
    response = call(service, row)

    assert code_of(response, 401) == "unauthorized"
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("row", "scope"), BOTH)
def test_it_is_opened_by_its_scopes_alone(service: Service, secrets: dict[str, str], row: str, scope: Scope) -> None:
    response = call(service, row, secrets[scope])

    if INCLUDED_SCOPES[scope] & set(ROUTES[row]):
        assert response.status_code not in (401, 500)
        # What is opened may still be refused, for another reason than the scope.
        assert response.status_code != 403 or response.json()["code"] == "forbidden"
    else:
        assert code_of(response, 403) == "insufficient_scope"
        assert " or ".join(sorted(set(ROUTES[row]) - {"bootstrap"})) in response.json()["detail"]


@pytest.mark.parametrize("row", sorted(set(ROUTES) - set(CLOSED_ROWS)))
def test_a_route_for_anyone_needs_no_token(service: Service, secrets: dict[str, str], row: str) -> None:
    assert call(service, row).status_code in (200, 303, 401)  # a login without a token fails as a page does
    assert "problem" not in call(service, row).headers.get("content-type", "")


@pytest.mark.parametrize("scope", ["read", "submit", "work"])
@pytest.mark.parametrize("method", ["GET", "POST", "TRACE", "FOO"])
@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/studies/", "/v1/STUDIES", "//v1/tokens", "/v1/tokens%2f"])
def test_a_path_without_a_row_is_open_only_to_an_admin(
    service: Service, secrets: dict[str, str], scope: Scope, method: str, path: str
) -> None:
    headers = bearer(secrets[scope])

    assert problem_of(service.http.request(method, path), 401)
    assert code_of(service.http.request(method, path, headers=headers, follow_redirects=False), 404) == "not_found"


def test_an_admin_learns_that_a_path_or_method_does_not_exist(service: Service) -> None:
    headers = bearer("the operator's")

    assert code_of(service.http.get("/v1/nothing", headers=headers), 404) == "not_found"
    assert code_of(service.http.put("/v1/studies", headers=headers), 405) == "method_not_allowed"


def test_unknown_methods_are_not_stored() -> None:
    scopes = RouteScopes()
    for number in range(100):
        assert scopes.required(f"M{number}", "/v1/studies/x") is None
    assert len(scopes._patterns) < 10
