"""Every route answers every wrong call with a problem, and none with a 500."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.service_driver import Service, problem_of

PATHS = {
    "/v1/studies": ("GET", "POST"),
    "/v1/studies/{name}": ("GET", "PATCH", "DELETE"),
    "/v1/studies/{name}/best": ("GET",),
    "/v1/studies/{name}/pareto": ("GET",),
    "/v1/studies/{name}/importance": ("GET",),
    "/v1/studies/{name}/diagnosis": ("GET",),
    "/v1/studies/{name}/curves": ("GET",),
    "/v1/studies/{name}/table": ("GET",),
    "/v1/studies/{name}/progress": ("GET",),
    "/v1/studies/{name}/rounds": ("GET",),
    "/v1/studies/{name}/imports": ("GET", "POST"),
    "/v1/studies/{name}/imports/{number}": ("GET",),
    "/v1/studies/{name}/narrow": ("POST",),
    "/v1/studies/{name}/export": ("GET",),
    "/v1/studies/{name}/final": ("GET", "POST"),
    "/v1/studies/{name}/trials": ("GET", "POST"),
    "/v1/studies/{name}/trials/{number}": ("GET",),
    "/v1/studies/{name}/trials/{number}/retry": ("POST",),
    "/v1/studies/{name}/trials/{number}/curves": ("GET",),
    "/v1/studies/{name}/trials/{number}/artifacts": ("GET",),
    "/v1/artifacts/{lease_id}/{artifact}": ("PUT",),
    "/v1/artifacts/{name}/{number}/{artifact}": ("GET",),
    "/v1/claims": ("POST",),
    "/v1/reports": ("POST",),
    "/v1/leases/renew": ("POST",),
    "/v1/leases/{lease_id}/complete": ("POST",),
    "/v1/leases/{lease_id}/fail": ("POST",),
    "/v1/leases/{lease_id}/release": ("POST",),
    "/v1/leases/{lease_id}/prune": ("POST",),
    "/v1/leases/{lease_id}/pause": ("POST",),
    "/v1/leases/{lease_id}/suggest": ("POST",),
    "/v1/leases/{lease_id}/user-attrs": ("POST",),
    "/v1/leases/{lease_id}/constraints": ("POST",),
    "/v1/tokens": ("GET", "POST"),
    "/v1/tokens/{token}": ("DELETE",),
    "/v1/convert": ("POST",),
    "/v1/workers": ("GET",),
    "/v1/session": ("GET",),
    "/v1/events": ("GET",),
    "/healthz": ("GET",),
    "/readyz": ("GET",),
    "/metrics": ("GET",),
}
WITHOUT_BODY = (
    "/v1/studies/{name}/trials/{number}/retry",
    "/v1/leases/{lease_id}/release",
    "/v1/leases/{lease_id}/prune",
    "/v1/leases/{lease_id}/pause",
)
ROUTES = [(method, path) for path, methods in PATHS.items() for method in methods]
WITH_BODY = [(method, path) for method, path in ROUTES if method in ("POST", "PATCH") and path not in WITHOUT_BODY]
WITH_ID = [(method, path) for method, path in ROUTES if "{" in path]
IDS = ["no-such", "%00", "-1", "9" * 60, "日本", "x" * 500, "%ff", "a b", "%0a", "renew"]
METHODS = ("HEAD", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "FOO")
BODIES: list[Any] = [None, [], 1, "x", True, {"unknown": 1}, [[[]]], {"params": 1}, {"\0": "\0"}, {"\ud800": 1}]
QUERIES = ["limit=0", "limit=x", "cursor=%00", "cursor=" + "x" * 600, "k=0", "k=1e9", "format=xml", "state=DONE"]
EVENT_QUERIES = ["study=%00", "study=no-such", "study=", "last_event_id=%00", "last_event_id=" + "x" * 600, "follow=x"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(f"sqlite:///{tmp_path_factory.mktemp('database') / 'narrows.db'}") as service:
        yield service


@pytest.fixture(scope="module")
def study(service: Service) -> str:
    return service.create(enqueue=[{}])


def filled(path: str, study: str) -> str:
    filled = path.replace("{name}", study).replace("{number}", "0").replace("{lease_id}", "f" * 32)
    return filled.replace("{artifact}", "model")


def is_problem_or_fine(response: Any) -> bool:
    if response.status_code < 400:
        return True
    assert response.status_code < 500, f"{response.status_code}: {response.text[:500]}"
    problem = problem_of(response, response.status_code)
    assert (response.status_code == 422) == ("errors" in problem)
    return True


def test_these_are_all_the_routes(service: Service) -> None:
    described = service.http.get("/openapi.json").json()["paths"]

    assert {path: {method.upper() for method in methods} for path, methods in described.items()} == {
        path: set(methods) for path, methods in PATHS.items()
    }


@pytest.mark.parametrize(("method", "path"), WITH_ID)
def test_a_wrong_id_is_a_problem(service: Service, study: str, method: str, path: str) -> None:
    body = {"PATCH": {"state": "paused"}, "POST": {"params": {}}}.get(method)
    holes = re.findall(r"{\w+}", path)
    for wrong in IDS:
        for hole in holes:
            response = service.http.request(method, filled(path.replace(hole, wrong), study), json=body)
            assert 400 <= response.status_code < 500, f"{wrong}: {response.text[:300]}"
            assert is_problem_or_fine(response)


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_a_wrong_body_is_a_problem_that_names_a_field(service: Service, study: str, method: str, path: str) -> None:
    may_be_left_out = path.endswith(("/final", "/narrow"))
    no_field_is_needed = path.endswith("/complete")  # and a newer worker may send fields that are not known here
    for body in BODIES[may_be_left_out:]:
        if no_field_is_needed and isinstance(body, dict):
            continue
        headers = {"content-type": "application/json"}
        content = json.dumps(body)
        response = service.http.request(method, filled(path, study), content=content, headers=headers)
        assert problem_of(response, 422)["errors"], body
    empty: list[str | bytes] = [] if may_be_left_out else [""]
    for raw in (*empty, "{", "\0", "[" * 50, '{"a": NaN', "9" * 5000, b"\xff"):
        response = service.http.request(method, filled(path, study), content=raw, headers=headers)
        assert problem_of(response, 422)["errors"], raw


@pytest.mark.parametrize("path", PATHS)
def test_a_wrong_method_is_a_problem_that_says_what_is_allowed(service: Service, study: str, path: str) -> None:
    for method in METHODS:
        if method in PATHS[path]:
            continue
        response = service.http.request(method, filled(path, study))
        assert response.status_code in (404, 405), f"{method}: {response.text[:300]}"
        if method != "HEAD":
            code = problem_of(response, response.status_code)["code"]
            assert code in ("method_not_allowed", "not_found", "lease_not_found")
        if response.status_code == 405:
            assert response.headers["allow"]


@pytest.mark.parametrize("path", [path for path in PATHS if "GET" in PATHS[path]])
def test_a_wrong_query_is_a_problem_or_ignored(service: Service, study: str, path: str) -> None:
    for query in (*QUERIES, *EVENT_QUERIES):
        url = f"{filled(path, study)}?follow=false&{query}"  # of several values the last one counts
        assert is_problem_or_fine(service.http.get(url))


@pytest.mark.parametrize("path", ["/no", "/v1", "/v1/", "/v1/no", "/v2/studies", "/v1/studies/a/b/c", "/%00"])
def test_an_unknown_path_is_a_problem(service: Service, path: str) -> None:
    assert problem_of(service.http.get(path), 404)["code"] == "not_found"


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/json; charset=nonsense"},
        {"content-type": ";;;"},
        {"content-encoding": "gzip", "content-type": "application/json"},
        {"accept": "text/html", "content-type": "application/json"},
        {"content-type": "application/yaml; charset=utf-16"},
    ],
)
def test_odd_headers_are_no_error_of_ours(service: Service, headers: dict[str, str]) -> None:
    assert is_problem_or_fine(service.http.post("/v1/claims", content="{}", headers=headers))
