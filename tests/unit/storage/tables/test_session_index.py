from datetime import UTC, datetime, timedelta

from storage import SessionRecord, Store

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FIRST = SessionRecord("a" * 64, "lab", "1" * 64, NOW, NOW + timedelta(hours=12))
SECOND = SessionRecord("b" * 64, "root", "2" * 64, NOW + timedelta(seconds=1), NOW + timedelta(hours=13))


def test_sessions_are_kept_until_they_are_removed(database_url: str) -> None:
    store = Store.open(database_url)
    for record in (FIRST, SECOND):
        store.sessions.put(record)
    store.close()

    store = Store.open(database_url)
    assert store.sessions.every() == [FIRST, SECOND]
    assert store.sessions.get("b" * 64) == SECOND
    store.sessions.remove("a" * 64)
    store.sessions.remove("c" * 64)
    assert store.sessions.get("a" * 64) is None
    store.close()

    store = Store.open(database_url)
    assert store.sessions.every() == [SECOND]
    store.close()
