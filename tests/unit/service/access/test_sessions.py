from service.access.sessions import LIFETIME_SECONDS, MAX_SESSIONS, MAX_SESSIONS_OF_TOKEN, Sessions
from tests.integration.service_driver import FakeClock


def test_a_session_knows_its_token_until_it_ends() -> None:
    clock = FakeClock()
    sessions = Sessions(clock)
    first, second = sessions.start("a"), sessions.start("b")
    assert (sessions.token_digest(first), sessions.token_digest(second)) == ("a", "b")

    sessions.end(first)
    sessions.end(first)
    assert (sessions.token_digest(first), sessions.token_digest(second)) == (None, "b")
    clock.advance(LIFETIME_SECONDS)
    assert sessions.token_digest(second) is None


def test_session_ids_are_not_stored() -> None:
    sessions = Sessions(FakeClock())
    session_id = sessions.start("a")
    assert session_id not in repr(vars(sessions))


def test_the_oldest_session_ends_above_the_maximum() -> None:
    sessions = Sessions(FakeClock())
    first, *_, last = [sessions.start(f"token {number}") for number in range(MAX_SESSIONS + 1)]
    assert (sessions.token_digest(first), sessions.token_digest(last)) == (None, f"token {MAX_SESSIONS}")
    assert len(sessions._sessions) == MAX_SESSIONS


def test_many_logins_with_a_token_end_only_its_own_sessions() -> None:
    sessions = Sessions(FakeClock())
    other = sessions.start("admin")

    first, second, *_, last = [sessions.start("a") for _ in range(MAX_SESSIONS_OF_TOKEN + 1)]

    assert sessions.token_digest(other) == "admin"
    assert [sessions.token_digest(one) for one in (first, second, last)] == [None, "a", "a"]
