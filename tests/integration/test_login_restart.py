"""A browser that has logged in, over restarts of the service: what keeps its session, and what ends it."""

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from service.access.sessions import COOKIE, LIFETIME_SECONDS
from tests.integration.service_driver import Service, bearer
from tests.integration.test_login import OWN, cookie_of, log_in
from tests.integration.token_driver import OPERATOR


def opens(service: Service, session: str) -> int:
    """The status of a read with a session's cookie."""
    return service.http.get("/v1/studies", headers={"Cookie": f"{COOKIE}={session}"}).status_code


def session_of(service: Service, secret: str = OPERATOR) -> str:
    """Log in with a browser of its own."""
    service.http.cookies.clear()
    entered = service.http.post("/login", data={"token": secret}, headers=OWN, follow_redirects=False)
    service.http.cookies.clear()
    return str(cookie_of(entered).value)


def test_a_session_outlasts_restarts_but_not_its_time(guarded: Service) -> None:
    operators, readers = session_of(guarded), session_of(guarded, guarded.create_token("reader", ["read"]))
    for _ in range(2):
        guarded.restart()
        assert [opens(guarded, one) for one in (operators, readers)] == [200, 200]
    answer = guarded.http.get("/v1/session", headers={"Cookie": f"{COOKIE}={readers}"}).json()
    assert answer == {"name": "reader", "scopes": ["read"], "by": "session"}

    guarded.clock.advance(LIFETIME_SECONDS - 1)
    assert opens(guarded, readers) == 200
    guarded.clock.advance(1)
    assert [opens(guarded, one) for one in (operators, readers)] == [401, 401]
    guarded.restart()
    assert [opens(guarded, one) for one in (operators, readers)] == [401, 401]


def test_a_logout_holds_after_a_restart(guarded: Service, browser: TestClient) -> None:
    session = str(cookie_of(log_in(browser)).value)
    other = session_of(guarded)
    browser.post("/logout", headers=OWN)

    guarded.restart()

    assert [opens(guarded, one) for one in (session, other)] == [401, 200]


def test_another_login_ends_the_session_of_before(guarded: Service, browser: TestClient) -> None:
    before = str(cookie_of(log_in(browser)).value)
    after = str(cookie_of(log_in(browser)).value)

    guarded.restart()

    assert [opens(guarded, one) for one in (before, after)] == [401, 200]


def test_a_revoked_token_ends_its_sessions_for_good(guarded: Service) -> None:
    session = session_of(guarded, guarded.create_token("reader", ["read"]))
    guarded.http.delete("/v1/tokens/reader", headers=bearer(OPERATOR))
    guarded.restart()
    assert opens(guarded, session) == 401

    guarded.create_token("reader", ["read", "submit"])

    assert opens(guarded, session) == 401, "another token of its name is another token"
    guarded.restart()
    assert opens(guarded, session) == 401


def test_a_session_of_an_expiring_token_ends_with_it(guarded: Service) -> None:
    body = {"name": "brief", "scopes": ["read"], "expires_in_seconds": 60}
    secret = guarded.http.post("/v1/tokens", json=body, headers=bearer(OPERATOR)).json()["token"]
    session = session_of(guarded, secret)
    guarded.restart()
    assert opens(guarded, session) == 200

    guarded.clock.advance(60)

    assert opens(guarded, session) == 401


def test_another_operators_token_ends_the_sessions_of_the_first(guarded: Service) -> None:
    operators, readers = session_of(guarded), session_of(guarded, guarded.create_token("reader", ["read"]))
    guarded.token = "another secret of the operator"

    guarded.restart()

    assert [opens(guarded, one) for one in (operators, readers)] == [401, 200]


def test_nothing_that_is_stored_opens_a_session(guarded: Service) -> None:
    secret = guarded.create_token("reader", ["read"])
    sessions = [session_of(guarded), session_of(guarded, secret)]
    with guarded.store.optuna.engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM narrows_sessions")).all()
        everything = repr(rows) + repr(connection.execute(text("SELECT * FROM narrows_tokens")).all())
    assert len(rows) == 2

    assert not any(told in everything for told in (OPERATOR, secret, *sessions))
    assert {opens(guarded, str(value)) for row in rows for value in row} == {401}


@pytest.mark.parametrize("name", ["reader", "admin"])
def test_a_changed_cookie_opens_nothing(guarded: Service, name: str) -> None:
    session = session_of(guarded, guarded.create_token("reader", ["read"]))
    other = session_of(guarded)
    made_up = [session[:-1], session + "a", session.swapcase(), session[::-1], session[:20] + other[20:]]
    made_up += [f"{name}.{session}", f"{session}; {name}=1; {COOKIE}=x", f'"{session}x"']

    assert {opens(guarded, one) for one in made_up} == {401}
    assert [opens(guarded, one) for one in (session, other)] == [200, 200]
