import asyncio
from collections.abc import Iterator

import pytest

from service.access.sessions import LIFETIME_SECONDS, MAX_SESSIONS, MAX_SESSIONS_OF_TOKEN, Sessions
from service.access.tokens import OPERATOR, Tokens
from service.errors import UnauthorizedError
from storage import Store
from tests.integration.service_driver import FakeClock


class Access:
    """Tokens and sessions on a database, by names and secrets."""

    def __init__(
        self, store: Store, clock: FakeClock, operator: str | None = None, max_sessions: int = MAX_SESSIONS
    ) -> None:
        self.store = store
        self.tokens = Tokens(store, clock, operator)
        self.sessions = Sessions(store, self.tokens, clock, max_sessions)

    def create(self, name: str) -> str:
        return self.tokens.create(name, ["read"], None)[1]

    def start(self, secret: str) -> str:
        holder = self.tokens.holder(secret)
        assert holder is not None
        return asyncio.run(self.sessions.start(holder))

    def end(self, session_id: str) -> None:
        asyncio.run(self.sessions.end(session_id))

    def name(self, session_id: str) -> str | None:
        holder = self.sessions.holder(session_id)
        return None if holder is None else holder.name


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def access(sqlite_url: str, clock: FakeClock) -> Iterator[Access]:
    store = Store.open(sqlite_url)
    yield Access(store, clock)
    store.close()


def test_a_session_knows_its_token_until_it_ends(access: Access, clock: FakeClock) -> None:
    first, second = access.start(access.create("a")), access.start(access.create("b"))
    assert (access.name(first), access.name(second)) == ("a", "b")

    access.end(first)
    access.end(first)
    assert (access.name(first), access.name(second)) == (None, "b")
    clock.advance(LIFETIME_SECONDS)
    assert access.name(second) is None


def test_what_is_stored_of_a_session_tells_neither_its_id_nor_its_token(access: Access) -> None:
    secret = access.create("a")
    holder = access.tokens.holder(secret)
    assert holder is not None
    first, second = access.start(secret), access.start(secret)
    stored = access.store.sessions.every()

    for told in (first, second, secret, holder.digest):
        assert told not in repr(stored)
    assert len({one.seal for one in stored}) == 2
    for one in stored:
        assert access.name(one.digest) is None, "a reader of the database cannot log in with what it finds"


def test_the_oldest_session_ends_above_the_maximum(access: Access, clock: FakeClock) -> None:
    maximum = 30
    access = Access(access.store, clock, max_sessions=maximum)
    first, *_, last = [access.start(access.create(f"token-{number}")) for number in range(maximum + 1)]

    assert (access.name(first), access.name(last)) == (None, f"token-{maximum}")
    assert len(access.store.sessions.every()) == maximum


def test_many_logins_with_a_token_end_only_its_own_sessions(access: Access) -> None:
    other, secret = access.start(access.create("admin")), access.create("a")

    first, second, *_, last = [access.start(secret) for _ in range(MAX_SESSIONS_OF_TOKEN + 1)]

    assert access.name(other) == "admin"
    assert [access.name(one) for one in (first, second, last)] == [None, "a", "a"]


def test_a_login_removes_the_sessions_that_have_expired(access: Access, clock: FakeClock) -> None:
    secret = access.create("a")
    for _ in range(3):
        access.start(secret)
    clock.advance(LIFETIME_SECONDS)

    access.start(secret)

    assert len(access.store.sessions.every()) == 1


def test_a_session_does_not_pass_to_another_token_of_the_name(access: Access) -> None:
    session = access.start(access.create("a"))
    access.tokens.revoke("a")
    with pytest.raises(UnauthorizedError, match="token a was revoked"):
        access.name(session)

    access.create("a")

    with pytest.raises(UnauthorizedError, match="no longer exists"):
        access.name(session)


def test_the_operator_and_a_stored_token_of_its_name_have_sessions_of_their_own(
    sqlite_url: str, clock: FakeClock
) -> None:
    store = Store.open(sqlite_url)
    access = Access(store, clock, "operators-secret")
    of_operator, of_stored = access.start("operators-secret"), access.start(access.create(OPERATOR))
    admin, reader = access.sessions.holder(of_operator), access.sessions.holder(of_stored)
    assert admin is not None
    assert reader is not None
    assert ("admin" in admin.scopes, "admin" in reader.scopes) == (True, False)

    rotated = Access(store, clock, "another-secret")

    with pytest.raises(UnauthorizedError, match="no longer exists"):
        rotated.name(of_operator)
    assert rotated.name(of_stored) == OPERATOR
    store.close()
