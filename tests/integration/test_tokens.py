"""Tokens over HTTP: made once, hashed, expiring, revoked, limited; and the service before there are any."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from starlette.testclient import TestClient

from service.access.login_rate_limiter import MAX_FAILURES, SECONDS_PER_FAILURE
from service.access.tokens import PREFIX, digest_of
from service.web.forwarded import behind_proxies
from storage.database.opening import parse_url
from tests.integration.service_driver import Service, bearer, code_of, definition, errors_of, problem_of

OPERATOR = "correct horse"
DAY = 86_400


@pytest.fixture
def guarded(sqlite_url: str) -> Iterator[Service]:
    with Service(sqlite_url, token=OPERATOR) as service:
        yield service


def status(service: Service, secret: str, path: str = "/v1/studies") -> int:
    return service.http.get(path, headers=bearer(secret)).status_code


def listed(service: Service) -> dict[str, Any]:
    response = service.http.get("/v1/tokens", headers=bearer(OPERATOR))
    assert response.status_code == 200, response.text
    return {token["name"]: token for token in response.json()["tokens"]}


def moment(value: str) -> datetime:
    found = datetime.fromisoformat(value)
    assert found.tzinfo == UTC
    return found


# Made


def test_a_token_is_told_once_and_only_its_hash_is_kept(database_url: str) -> None:
    with Service(database_url, token=OPERATOR) as service:
        secret = service.create_token("lab-gpu", ["work"])
        everything = service.http.get("/v1/tokens", headers=bearer(OPERATOR)).text

    assert secret.startswith(PREFIX)
    assert len(secret) >= len(PREFIX) + 43  # 256 bits
    assert secret not in everything
    engine = create_engine(parse_url(database_url))
    with engine.connect() as connection:
        (row,) = connection.execute(text("SELECT * FROM narrows_tokens")).mappings().all()
    engine.dispose()
    assert digest_of(secret) in row.values()
    assert not any(secret in str(value) for value in row.values())


def test_a_token_outlives_a_restart(database_url: str) -> None:
    with Service(database_url) as service:
        secret = service.create_token("root", ["admin"])
        service.restart()
        assert status(service, secret) == 200
        assert service.http.get("/v1/studies").status_code == 401


def test_the_list_tells_all_but_the_secret(guarded: Service) -> None:
    guarded.create_token("lab-gpu", ["work", "read", "work"], expires_in_seconds=30 * DAY)
    guarded.create_token("for-ever", ["submit"])

    tokens = listed(guarded)

    assert list(tokens) == ["lab-gpu", "for-ever"]
    lab = tokens["lab-gpu"]
    assert lab["scopes"] == ["read", "work"]
    assert (moment(lab["expires_at"]) - moment(lab["created_at"])).days == 30
    assert (lab["revoked_at"], lab["last_used_at"]) == (None, None)
    assert tokens["for-ever"]["expires_at"] is None
    assert set(lab) == {"name", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "a b"}, "name"),
        ({"name": ""}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes.0"),
        ({"scopes": "admin"}, "scopes"),
        ({"scopes": ["anyone"]}, "scopes.0"),
        ({"expires_in_seconds": 0}, "expires_in_seconds"),
        ({"expires_in_seconds": 10**12}, "expires_in_seconds"),
        ({"expires_in_seconds": "30d"}, "expires_in_seconds"),
        ({"secret": "mine"}, "secret"),
    ],
)
def test_a_wrong_token_definition_names_the_field(guarded: Service, changes: dict[str, Any], field: str) -> None:
    body = {"name": "new", "scopes": ["read"], **changes}

    assert field in errors_of(guarded.http.post("/v1/tokens", json=body, headers=bearer(OPERATOR)))
    assert listed(guarded) == {}


def test_a_name_is_taken_until_its_token_has_ended(guarded: Service) -> None:
    body = {"name": "lab", "scopes": ["read"]}
    first = guarded.create_token("lab", ["work"])
    again = guarded.http.post("/v1/tokens", json=body, headers=bearer(OPERATOR))
    assert code_of(again, 409) == "token_exists"

    guarded.http.delete("/v1/tokens/lab", headers=bearer(OPERATOR))
    second = guarded.create_token("lab", ["read"], expires_in_seconds=60)
    assert (status(guarded, first), status(guarded, second)) == (401, 200)

    guarded.clock.advance(60.0)
    third = guarded.create_token("lab", ["read"])
    assert (status(guarded, second), status(guarded, third)) == (401, 200)


# Ended


def test_a_revoked_token_is_closed_out_at_once_and_for_good(guarded: Service) -> None:
    secret = guarded.create_token("lab", ["read"])
    assert status(guarded, secret) == 200

    answers = [guarded.http.delete("/v1/tokens/lab", headers=bearer(OPERATOR)) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    problem = problem_of(guarded.http.get("/v1/studies", headers=bearer(secret)), 401)
    assert problem["detail"].startswith("token lab was revoked at ")
    guarded.restart()
    assert status(guarded, secret) == 401


def test_a_token_expires_on_the_second(guarded: Service) -> None:
    secret = guarded.create_token("lab", ["read"], expires_in_seconds=DAY)
    guarded.clock.advance(DAY - 1.0)
    assert status(guarded, secret) == 200
    guarded.clock.advance(1.0)
    problem = problem_of(guarded.http.get("/v1/studies", headers=bearer(secret)), 401)
    assert problem["detail"].startswith("token lab has expired at ")


def test_there_is_nothing_to_revoke_under_an_unknown_name(guarded: Service) -> None:
    assert code_of(guarded.http.delete("/v1/tokens/nobody", headers=bearer(OPERATOR)), 404) == "token_not_found"


def test_the_operators_token_counts_no_more_when_it_is_a_stored_one_that_was_revoked(guarded: Service) -> None:
    secret = guarded.create_token("root", ["admin"])
    guarded.http.delete("/v1/tokens/root", headers=bearer(secret))
    guarded.close()

    with Service(guarded.url, token=secret) as again:
        assert status(again, secret) == 401
    guarded._open()


# Used


def test_the_last_use_is_shown_at_once_and_written_once_a_minute(guarded: Service) -> None:
    secret = guarded.create_token("lab", ["read"])
    tokens = guarded.app.state.authenticator.tokens
    written = []
    for seconds in (0.0, 20.0, 39.0, 1.0, 30.0):
        guarded.clock.advance(seconds)
        assert status(guarded, secret) == 200
        assert moment(listed(guarded)["lab"]["last_used_at"]) == guarded.clock.now()
        tokens.save_last_used()
        record = guarded.store.tokens.get("lab")
        assert record is not None
        written.append(record.last_used_at)

    assert len(set(written[:3])) == 1
    assert written[3] == written[4] != written[2]
    guarded.restart()
    assert moment(listed(guarded)["lab"]["last_used_at"]) == written[4]


def test_a_refused_token_was_not_used(guarded: Service) -> None:
    secret = guarded.create_token("lab", ["read"], expires_in_seconds=1)
    guarded.clock.advance(1.0)
    assert status(guarded, secret) == 401
    assert listed(guarded)["lab"]["last_used_at"] is None


# Shown


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
def test_the_scheme_is_written_in_any_case(guarded: Service, scheme: str) -> None:
    assert guarded.http.get("/v1/studies", headers={"Authorization": f"{scheme}{OPERATOR}"}).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer wrong",
        f"Bearer {OPERATOR}x".encode(),
        f"Bearer {OPERATOR[:-1]}".encode(),
        f"Token {OPERATOR}".encode(),
        OPERATOR.encode(),
        b"Basic Y29ycmVjdCBob3JzZTpjb3JyZWN0IGhvcnNl",
        b"Bearer \xc3\xa9\xff\x80",
        b"Bearer " + b"x" * 5000,
    ],
)
def test_a_wrong_token_is_a_problem(guarded: Service, header: bytes) -> None:
    response = guarded.http.get("/v1/studies", headers={b"Authorization": header})

    assert code_of(response, 401) == "unauthorized"
    assert response.headers["www-authenticate"] == 'Bearer realm="Narrows"'


def test_an_operators_token_may_be_of_any_characters(sqlite_url: str) -> None:
    with Service(sqlite_url, token="sésame") as service:
        response = service.http.get("/v1/studies", headers={b"Authorization": "Bearer sésame".encode()})
        assert response.status_code == 200


def test_a_large_body_without_a_token_is_refused_unread(guarded: Service) -> None:
    assert guarded.http.post("/v1/studies", content=b"x" * 2_000_000).status_code == 401


# Limited


def test_too_many_wrong_tokens_from_an_address_are_not_looked_at_for_a_while(guarded: Service) -> None:
    assert [status(guarded, f"wrong-{number}") for number in range(MAX_FAILURES)] == [401] * MAX_FAILURES

    refused = guarded.http.get("/v1/studies", headers=bearer("another"))

    assert code_of(refused, 429) == "too_many_attempts"
    assert 0 < int(refused.headers["retry-after"]) <= SECONDS_PER_FAILURE
    guarded.clock.advance(float(refused.headers["retry-after"]))
    assert [status(guarded, "wrong"), status(guarded, "wrong")] == [401, 429]
    guarded.clock.advance(MAX_FAILURES * SECONDS_PER_FAILURE)
    assert [status(guarded, "wrong") for _ in range(MAX_FAILURES)] == [401] * MAX_FAILURES


def test_a_valid_token_is_heard_however_many_wrong_ones_its_address_sends(guarded: Service) -> None:
    stored = guarded.create_token("lab", ["read"])
    for number in range(2 * MAX_FAILURES):
        assert status(guarded, f"wrong-{number}") in (401, 429)
    assert [status(guarded, OPERATOR), status(guarded, stored)] == [200, 200]
    assert status(guarded, "wrong") == 429, "a valid token gives no attempts back"


def test_a_made_up_forwarded_address_gets_no_attempts_of_its_own(guarded: Service) -> None:
    with TestClient(behind_proxies(guarded.app), client=("127.0.0.1", 50_000)) as proxied:
        statuses = [
            proxied.get("/v1/studies", headers={**bearer("wrong"), "X-Forwarded-For": f"10.0.0.{number}"}).status_code
            for number in range(MAX_FAILURES + 1)
        ]
    assert statuses == [401] * MAX_FAILURES + [429]


def test_a_proxy_tells_the_scheme_and_who_is_not_local(sqlite_service: Service) -> None:
    headers = {"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https"}
    with TestClient(behind_proxies(sqlite_service.app), "http://127.0.0.1", client=("127.0.0.1", 1)) as proxied:
        assert proxied.get("/v1/studies").status_code == 200
        refused = proxied.get("/v1/studies", headers=headers)
    assert refused.status_code == 401
    assert "strict-transport-security" in refused.headers


def test_calls_without_a_token_are_no_guesses(guarded: Service) -> None:
    assert {guarded.http.get("/v1/studies").status_code for _ in range(3 * MAX_FAILURES)} == {401}
    assert status(guarded, OPERATOR) == 200


def test_a_token_that_has_ended_is_no_guess(guarded: Service) -> None:
    revoked = guarded.create_token("lab", ["read"])
    guarded.http.delete("/v1/tokens/lab", headers=bearer(OPERATOR))
    expired = guarded.create_token("scraper", ["read"], expires_in_seconds=1)
    guarded.clock.advance(1.0)
    assert {status(guarded, secret) for secret in (revoked, expired) for _ in range(2 * MAX_FAILURES)} == {401}
    assert status(guarded, "wrong") == 401


# Before there are tokens


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


@pytest.mark.parametrize("path", ["/", "/dashboard", "/dashboard/studies/1", "/docs", "/login"])
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
