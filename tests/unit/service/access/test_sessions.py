from service.access.sessions import LIFETIME_SECONDS, MAX_SESSIONS, Sessions
from tests.integration.service_driver import FakeClock


def test_a_session_knows_its_token_until_it_ends() -> None:
    clock = FakeClock()
    sessions = Sessions(clock)
    first, second = sessions.begin("a"), sessions.begin("b")
    assert (sessions.token_of(first), sessions.token_of(second)) == ("a", "b")

    sessions.end(first)
    sessions.end(first)
    assert (sessions.token_of(first), sessions.token_of(second)) == (None, "b")
    clock.advance(LIFETIME_SECONDS)
    assert sessions.token_of(second) is None


def test_ids_are_not_kept() -> None:
    sessions = Sessions(FakeClock())
    session_id = sessions.begin("a")
    assert session_id not in repr(vars(sessions))


def test_there_are_not_more_than_so_many() -> None:
    sessions = Sessions(FakeClock())
    first, *_, last = [sessions.begin("a") for _ in range(MAX_SESSIONS + 1)]
    assert (sessions.token_of(first), sessions.token_of(last)) == (None, "a")
    assert len(sessions._sessions) == MAX_SESSIONS
