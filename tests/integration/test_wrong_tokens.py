"""Wrong tokens: how many of them an address may send, and what never counts as one."""

from starlette.testclient import TestClient

from service.access.login_rate_limiter import MAX_FAILURES, SECONDS_PER_FAILURE
from service.web.forwarded import behind_proxies
from tests.integration.service_driver import Service, bearer, code_of
from tests.integration.token_driver import OPERATOR, status


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
