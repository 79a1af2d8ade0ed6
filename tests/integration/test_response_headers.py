"""The headers that every answer carries, and those of assets."""

import re

import pytest
from starlette.testclient import TestClient

from tests.integration.service_driver import Service, bearer, code_of
from tests.integration.token_driver import OPERATOR


@pytest.mark.parametrize(
    "path",
    [
        "/v1/studies",
        "/v1/tokens",
        "/healthz",
        "/metrics",
        "/dashboard",
        "/api/studies",
        "/docs",
        "/login",
        "/no",
        "/new",
    ],
)
@pytest.mark.parametrize("headers", [{}, bearer(OPERATOR)], ids=["without", "with"])
def test_every_answer_carries_the_headers_of_a_careful_service(
    guarded: Service, path: str, headers: dict[str, str]
) -> None:
    answer = guarded.http.get(path, headers=headers, follow_redirects=False).headers

    assert answer["x-content-type-options"] == "nosniff"
    assert answer["referrer-policy"] == "same-origin"
    assert answer["cache-control"] == "no-store"
    policies = answer.get_list("content-security-policy")
    assert any("frame-ancestors 'none'" in policy for policy in policies)
    assert policies[0].startswith("default-src ")
    assert "server" not in answer
    assert "strict-transport-security" not in answer


def test_the_answer_to_an_internal_error_has_the_headers_too(guarded: Service) -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    guarded.app.add_api_route("/fails", fail)

    response = guarded.http.get("/fails", headers=bearer(OPERATOR))

    assert code_of(response, 500) == "internal"
    request_id = response.headers["x-request-id"]
    assert response.json()["detail"] == f"internal error; see the service log for request ID {request_id}"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"


def test_pages_load_only_their_own_parts(guarded: Service) -> None:
    policies = {
        path: guarded.http.get(path, headers=headers).headers.get_list("content-security-policy")[0]
        for path, headers in {"/login": {}, "/docs": bearer(OPERATOR), "/dashboard": bearer(OPERATOR)}.items()
    }
    assert "script-src" not in policies["/login"]
    assert "'unsafe-inline'" not in policies["/docs"].split("style-src")[0]
    assert "'sha256-" in policies["/docs"]
    for policy in policies.values():
        assert "http" not in policy


@pytest.mark.parametrize("path", ["/", "/studies/a", "/studies/a/trials/0", "/workers", "/new", "/compare"])
def test_the_pages_of_the_interface_run_no_text_as_a_script(guarded: Service, path: str) -> None:
    page = guarded.http.get(path, headers=bearer(OPERATOR))
    policy = page.headers.get_list("content-security-policy")[0]
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"<script(?![^>]* src=)", page.text) == []
    assert re.findall(r' (?:on\w+|style)="', page.text) == []


def test_files_of_the_pages_are_kept_until_they_change(guarded: Service) -> None:
    page = guarded.http.get("/", headers=bearer(OPERATOR)).text
    paths = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page)
    assert len(paths) > 20
    for path in paths:
        answer = guarded.http.get(path, headers=bearer(OPERATOR))
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "private, max-age=31536000, immutable")
        assert guarded.http.get(path).status_code == 401
        earlier = guarded.http.get(re.sub(r"assets/\w+", "assets/0123", path), headers=bearer(OPERATOR))
        assert (earlier.content, earlier.headers["cache-control"]) == (answer.content, "no-store")
    for path in ("/assets/0123/no.js", "/assets/0123/..%2fshell.py", "/assets/0123/../shell.py"):
        assert guarded.http.get(path, headers=bearer(OPERATOR)).status_code == 404


def test_assets_are_asked_for_again_but_not_sent_again(guarded: Service) -> None:
    first = guarded.http.get("/docs-assets/swagger-ui.css", headers=bearer(OPERATOR))
    assert first.headers["cache-control"] == "no-cache"
    again = {**bearer(OPERATOR), "If-None-Match": first.headers["etag"]}
    assert guarded.http.get("/docs-assets/swagger-ui.css", headers=again).status_code == 304


def test_over_https_browsers_are_told_to_stay_there(guarded: Service) -> None:
    secure = TestClient(guarded.app, base_url="https://narrows.example")
    for path in ("/healthz", "/v1/studies"):
        assert secure.get(path).headers["strict-transport-security"] == "max-age=31536000"


def test_an_asset_needs_no_word_on_encodings(guarded: Service) -> None:
    guarded.http.headers.pop("accept-encoding", None)
    assert guarded.http.get("/favicon.ico").status_code == 200
    assert guarded.http.get("/static/bundle.js", headers=bearer(OPERATOR)).status_code == 200
