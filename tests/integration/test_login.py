"""A browser's login: its session and cookie, what is refused, and what other sites cannot do."""

import itertools
from http.cookies import SimpleCookie
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.access.login_rate_limiter import MAX_FAILURES
from service.access.route_scopes import ROUTES
from service.access.sessions import COOKIE, LIFETIME_SECONDS
from tests.integration.service_driver import Service, bearer, code_of, definition
from tests.integration.token_driver import OPERATOR

OWN = {"Origin": "http://127.0.0.1"}


def log_in(browser: TestClient, secret: str = OPERATOR, **more: Any) -> Any:
    return browser.post("/login", data={"token": secret, **more}, headers=OWN)


def cookie_of(response: Any) -> Any:
    return SimpleCookie(response.headers["set-cookie"])[COOKIE]


# Before a token is shown


@pytest.mark.parametrize("path", ["/login", "/logout"])
@pytest.mark.parametrize("kind", ["application/yaml", "application/json", "application/x-www-form-urlencoded"])
def test_a_large_body_without_a_token_is_refused(browser: TestClient, path: str, kind: str) -> None:
    body = b"[" + b"a," * 500_000 + b"a]"
    refused = browser.post(path, content=body, headers={**OWN, "Content-Type": kind})
    assert code_of(refused, 422) == "invalid"
    assert "at most 16384 bytes" in refused.text


@pytest.mark.parametrize("path", ["/login", "/logout", "/v1/studies"])
def test_an_origin_that_is_none_is_another_site(browser: TestClient, path: str) -> None:
    log_in(browser)
    for origin in ("http://[", "http://]", "[", "http://[::1", "\x00", "http://127.0.0.1:x", "a" * 9000):
        assert code_of(browser.post(path, headers={"Origin": origin}), 403) == "cross_origin"


def test_no_header_of_a_stranger_is_an_internal_error(browser: TestClient) -> None:
    open_to_anyone = [row.split(" ") for row, scopes in ROUTES.items() if "anyone" in scopes]
    assert len(open_to_anyone) >= 6
    headers = ["Origin", "Host", "Cookie", "Authorization", "Content-Length", "Accept", "Sec-Fetch-Site"]
    values = [b"http://[", b"\xff\xfe", b"narrows_session=\xff", b"Bearer [", b"[::1", b"%", b""]
    for (method, path), header, value in itertools.product(open_to_anyone, headers, values):
        response = browser.request(method, path, headers=[(header.encode(), value)])
        assert response.status_code < 500, (method, path, header, value)


# In and out


@pytest.mark.parametrize("path", ["/", "/studies/a/trials/1", "/dashboard/studies/1?a=b&c", "/docs", "/v1/studies"])
def test_a_browser_is_sent_to_the_login_and_back(browser: TestClient, path: str) -> None:
    sent = browser.get(path)
    assert sent.status_code == 303
    form = browser.get(sent.headers["location"])
    assert form.status_code == 200
    assert f'name="next" value="{path.replace("&", "&amp;")}"' in form.text

    entered = log_in(browser, next=path)

    assert (entered.status_code, entered.headers["location"]) == (303, path)
    assert browser.get(path).status_code in (200, 307)


def test_other_programs_get_a_problem_instead_of_a_page(browser: TestClient) -> None:
    assert code_of(browser.get("/dashboard", headers={"Accept": "*/*"}), 401) == "unauthorized"
    assert code_of(browser.post("/v1/studies", json={}), 401) == "unauthorized"


def test_the_cookie_is_for_the_browser_alone_and_is_not_the_token(browser: TestClient) -> None:
    cookie = cookie_of(log_in(browser))

    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/")
    assert int(cookie["max-age"]) == LIFETIME_SECONDS
    assert cookie["secure"] == ""
    assert OPERATOR not in cookie.value
    assert len(cookie.value) >= 43  # 256 bits
    assert cookie_of(log_in(browser)).value != cookie.value


def test_over_https_the_cookie_stays_there(guarded: Service) -> None:
    secure = TestClient(guarded.app, base_url="https://narrows.example", follow_redirects=False)
    response = secure.post("/login", data={"token": OPERATOR}, headers={"Origin": "https://narrows.example"})

    assert cookie_of(response)["secure"] is True
    assert secure.get("/v1/studies").status_code == 200


def test_a_session_opens_what_its_token_opens(guarded: Service, browser: TestClient) -> None:
    log_in(browser, guarded.create_token("looker", ["read"]))

    assert browser.get("/api/studies").status_code == 200
    assert browser.get("/openapi.json").status_code == 200
    assert code_of(browser.post("/v1/studies", json=definition(), headers=OWN), 403) == "insufficient_scope"
    assert code_of(browser.delete("/api/studies/1", headers=OWN), 403) == "insufficient_scope"
    page = browser.get("/login")
    assert "looker" in page.text
    assert "Log out" in page.text


def test_logging_out_ends_the_session_everywhere(browser: TestClient) -> None:
    session = cookie_of(log_in(browser)).value

    left = browser.post("/logout", headers=OWN)

    assert (left.status_code, left.headers["location"]) == (303, "/login")
    assert cookie_of(left).value == ""
    browser.cookies.set(COOKIE, session)
    assert browser.get("/dashboard").status_code == 303


def test_a_session_ends_after_its_time(guarded: Service, browser: TestClient) -> None:
    log_in(browser)
    guarded.clock.advance(LIFETIME_SECONDS - 1)
    assert browser.get("/dashboard").status_code == 200
    guarded.clock.advance(1)
    assert browser.get("/dashboard").status_code == 303


def test_a_session_ends_with_its_token(guarded: Service, browser: TestClient) -> None:
    log_in(browser, guarded.create_token("looker", ["read"]))
    assert browser.get("/dashboard").status_code == 200

    guarded.http.delete("/v1/tokens/looker", headers=bearer(OPERATOR))

    assert browser.get("/dashboard").status_code == 303
    assert browser.get("/api/studies", headers={"Accept": "*/*"}).status_code == 401
    assert "was revoked" in browser.get("/login").text


@pytest.mark.parametrize("value", ["", "x", "\xff", OPERATOR, "a" * 5000])
def test_a_made_up_cookie_opens_nothing(browser: TestClient, value: str) -> None:
    cookie = f"{COOKIE}={value}".encode("latin-1")
    assert browser.get("/v1/studies", headers={b"Cookie": cookie, b"Accept": b"*/*"}).status_code == 401


# Refused


def test_a_wrong_token_is_told_on_the_page(browser: TestClient) -> None:
    response = log_in(browser, "wrong", next="/docs")

    assert response.status_code == 401
    assert "no such token" in response.text
    assert 'value="/docs"' in response.text
    assert "set-cookie" not in response.headers
    assert "wrong" not in response.text


def test_a_token_that_cannot_look_does_not_log_in(guarded: Service, browser: TestClient) -> None:
    response = log_in(browser, guarded.create_token("lab", ["work"]))

    assert response.status_code == 403
    assert "needs" not in response.headers
    assert "need a token with the scope read; lab opens work" in response.text
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize(
    "body", [b"", b"token=", b"token=+++", b"\xff\xfe", b"a&" * 50, b"token=%ff%fe", b'{"token": 1}']
)
def test_a_form_without_a_token_is_the_form_again(browser: TestClient, body: bytes) -> None:
    response = browser.post("/login", content=body, headers=OWN)
    assert response.status_code == 401
    assert "<form" in response.text
    assert "set-cookie" not in response.headers


def test_too_many_wrong_tokens_wait(guarded: Service, browser: TestClient) -> None:
    assert [log_in(browser, "wrong").status_code for _ in range(MAX_FAILURES)] == [401] * MAX_FAILURES

    refused = log_in(browser, "wrong")

    assert refused.status_code == 429
    assert "too many wrong tokens" in refused.text
    guarded.clock.advance(float(refused.headers["retry-after"]))
    assert log_in(browser, "wrong").status_code == 401
    assert log_in(browser).status_code == 303, "a valid token is always heard"


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "",
        "/\tx",
        "/a\r\nb",
        "/login",
    ],
)
def test_a_link_cannot_send_who_logs_in_elsewhere(browser: TestClient, wanted: str) -> None:
    assert 'name="next" value="/"' in browser.get("/login", params={"next": wanted}).text
    assert log_in(browser, next=wanted).headers["location"] == "/"


def test_what_stands_in_a_link_stays_text(browser: TestClient) -> None:
    page = browser.get("/login", params={"next": '/"><script>alert(1)</script>'}).text
    assert "<script" not in page


@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_another_site_logs_nobody_in_or_out(browser: TestClient, path: str) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        response = browser.post(path, data={"token": OPERATOR}, headers=headers)
        assert code_of(response, 403) == "cross_origin"
        assert "set-cookie" not in response.headers


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}, {}]
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/studies"), ("DELETE", "/api/studies/1")])
def test_another_site_changes_nothing_with_a_session(
    browser: TestClient, headers: dict[str, str], method: str, path: str
) -> None:
    log_in(browser)

    assert code_of(browser.request(method, path, json=definition(), headers=headers), 403) == "cross_origin"
    assert browser.post("/v1/studies", json=definition(), headers=OWN).status_code == 201


def test_without_tokens_there_is_nothing_to_log_in_to(sqlite_service: Service) -> None:
    response = sqlite_service.http.get("/login", follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (303, "/")
