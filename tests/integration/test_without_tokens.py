"""The service before there are tokens: its own machine may do everything, others and pages of other sites nothing."""

import pytest
from starlette.testclient import TestClient

from tests.integration.service_driver import Service, bearer, code_of, definition, errors_of
from tests.integration.token_driver import status


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost:8000", "[::1]:8000", "127.9.9.9"])
def test_without_tokens_this_machine_may_do_everything(sqlite_service: Service, host: str) -> None:
    response = sqlite_service.http.post("/v1/studies", json=definition(), headers={"Host": host})
    assert response.status_code == 201


def test_without_tokens_nobody_else_may_do_anything(sqlite_service: Service) -> None:
    for address in ("192.168.0.7", "testclient", "fe80::1%eth0", "8.8.8.8"):
        with TestClient(sqlite_service.app, base_url="http://127.0.0.1", client=(address, 1)) as elsewhere:
            assert code_of(elsewhere.get("/v1/studies"), 401) == "unauthorized"
            assert code_of(elsewhere.post("/v1/tokens", json={"name": "x", "scopes": ["admin"]}), 401)
            assert elsewhere.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8000",
        "",
        "[::1",
        "evil.example@127.0.0.1",
        "127.0.0.1/evil.example",
        "127.0.0.1?evil.example",
    ],
)
def test_without_tokens_a_page_cannot_reach_in_under_a_name_of_its_own(sqlite_service: Service, host: str) -> None:
    for method, path in (("GET", "/v1/studies"), ("GET", "/dashboard"), ("POST", "/v1/tokens")):
        response = sqlite_service.http.request(method, path, headers={"Host": host})
        assert code_of(response, 403) == "cross_origin"


def test_without_tokens_a_call_to_two_hosts_is_refused(sqlite_service: Service) -> None:
    two = [("Host", "127.0.0.1"), ("Host", "evil.example")]
    assert code_of(sqlite_service.http.get("/v1/studies", headers=two), 403) == "cross_origin"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/studies", "/v1/tokens", "/v1/claims", "/v1/leases/x/release", "/api/studies"])
def test_without_tokens_another_sites_page_can_change_nothing(
    sqlite_service: Service, headers: dict[str, str], path: str
) -> None:
    response = sqlite_service.http.post(path, json={"name": "x", "scopes": ["admin"]}, headers=headers)

    assert code_of(response, 403) == "cross_origin"
    assert sqlite_service.get("/tokens") == {"tokens": []}


NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Site": "cross-site", **NAVIGATION},
        {"Origin": "https://evil.example"},
        {"Origin": "http://["},
    ],
)
def test_without_tokens_another_sites_page_lets_nothing_be_read(
    sqlite_service: Service, headers: dict[str, str]
) -> None:
    for path in ("/v1/studies", "/api/studies/1/plot/contour", "/csv/1", "/v1/events", "/metrics"):
        for method in ("GET", "HEAD", "OPTIONS"):
            response = sqlite_service.http.request(method, path, headers=headers)
            assert response.status_code == 403, (method, path)
            assert method == "HEAD" or response.json()["code"] == "cross_origin"


@pytest.mark.parametrize("path", ["/", "/studies/a", "/new", "/dashboard", "/dashboard/studies/1", "/docs", "/login"])
def test_without_tokens_a_link_of_another_site_leads_to_a_page(sqlite_service: Service, path: str) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", **NAVIGATION}
    response = sqlite_service.http.get(path, headers=headers, follow_redirects=False)
    assert response.status_code in (200, 303, 307)
    assert sqlite_service.http.post(path, headers=headers).status_code in (403, 405)


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}])
def test_without_tokens_programs_and_the_services_own_pages_read(
    sqlite_service: Service, headers: dict[str, str]
) -> None:
    assert sqlite_service.http.get("/v1/studies", headers=headers).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_of_any_site_can_send_is_no_body(sqlite_service: Service, kind: str) -> None:
    content = '{"name": "x", "scopes": ["admin"]}'
    response = sqlite_service.http.post("/v1/tokens", content=content, headers={"Content-Type": kind})

    assert "body" in errors_of(response)
    assert sqlite_service.get("/tokens") == {"tokens": []}


def test_a_page_of_the_services_own_may_change_things(sqlite_service: Service) -> None:
    for headers in ({"Origin": "http://127.0.0.1"}, {"Sec-Fetch-Site": "same-origin"}):
        assert sqlite_service.http.post("/v1/studies", json=definition(), headers=headers).status_code == 201


def test_from_the_first_token_on_every_call_needs_one(sqlite_service: Service) -> None:
    secret = sqlite_service.create_token("root", ["admin"])

    assert sqlite_service.http.get("/v1/studies").status_code == 401
    assert sqlite_service.http.post("/v1/tokens", json={"name": "x", "scopes": ["admin"]}).status_code == 401
    assert status(sqlite_service, secret) == 200
    sqlite_service.http.delete("/v1/tokens/root", headers=bearer(secret))
    assert sqlite_service.http.get("/v1/studies").status_code == 401, "not open again when the last one is revoked"


def test_a_first_token_that_is_no_admins_locks_nobody_out(sqlite_service: Service) -> None:
    worker = sqlite_service.create_token("lab", ["work"])

    assert sqlite_service.http.get("/v1/studies").status_code == 401
    assert sqlite_service.http.get("/v1/tokens").status_code == 401
    assert code_of(sqlite_service.http.get("/v1/studies", headers=bearer(worker)), 403) == "insufficient_scope"
    assert sqlite_service.http.post("/v1/tokens", json={}, headers={"Host": "evil.example"}).status_code == 403

    admin = sqlite_service.create_token("root", ["admin"])

    assert sqlite_service.http.post("/v1/tokens", json={"name": "x", "scopes": ["read"]}).status_code == 401
    assert status(sqlite_service, admin, "/v1/tokens") == 200
