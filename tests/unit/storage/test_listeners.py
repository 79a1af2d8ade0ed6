"""What those who listen to commits are told, and when."""

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage import (
    Commit,
    DatabaseUnavailableError,
    StorageClosedError,
    StorageFailedError,
    Store,
    WorkerRecord,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'narrows.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store.open(url)
    yield store
    store.close()


def see(store: Store, worker_id: str = "w") -> None:
    store.workers.put(WorkerRecord(worker_id, "host", "cpu", 1, NOW, NOW))


def test_notes_are_given_after_the_commit_and_before_the_answer(store: Store) -> None:
    heard: list[Commit] = []
    store.add_commit_listener(heard.append)

    with store.transaction():
        see(store, "a")
        store.notify_on_commit("first")
        with store.transaction():
            see(store, "b")
            store.notify_on_commit("second")
        assert heard == []

    (commit,) = heard
    assert commit.notes == ["first", "second"]
    assert commit.n_rows == 2
    assert 0 < commit.seconds < 60


def test_notes_of_one_thread_keep_their_order_over_many_commits(store: Store) -> None:
    heard: list[Commit] = []
    store.add_commit_listener(heard.append)

    waiting = []
    for number in range(200):
        with store.deferred() as committed:
            see(store)
            store.notify_on_commit(number)
        waiting.append(committed)
    asyncio.run(store.wait_all(waiting))

    assert [note for commit in heard for note in commit.notes] == list(range(200))


def test_what_is_written_before_a_failure_is_told_as_it_is_kept(store: Store) -> None:
    heard: list[Commit] = []
    store.add_commit_listener(heard.append)

    def write_half() -> None:
        with store.transaction():
            see(store)
            store.notify_on_commit("kept")
            raise ValueError("halfway")

    with pytest.raises(ValueError, match="halfway"):
        write_half()

    store.optuna.commits.barrier()
    assert [note for commit in heard for note in commit.notes] == ["kept"]
    assert [worker.worker_id for worker in store.workers.newest_first()] == ["w"]


def test_a_note_outside_of_a_transaction_is_a_mistake(store: Store) -> None:
    with pytest.raises(AssertionError, match="needs a transaction"):
        store.notify_on_commit("alone")


def test_a_listener_that_fails_stops_nobody(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Commit] = []

    def fail(_commit: Commit) -> None:
        raise ValueError("a listener's own mistake")

    store.add_commit_listener(fail)
    store.add_commit_listener(heard.append)

    with caplog.at_level(logging.ERROR):
        see(store)
        see(store)

    assert len(heard) == 2
    assert "a listener's own mistake" in caplog.text


def test_an_error_of_the_writer_after_a_commit_reaches_who_waits_for_it(store: Store) -> None:
    def fail() -> None:
        raise ValueError("the writer's own mistake")

    def write() -> None:
        with store.transaction() as batch:
            see(store)
            batch.when_committed.append(fail)

    with pytest.raises(StorageFailedError, match="the writer's own mistake"):
        write()


def test_a_ping_goes_the_way_of_writes_and_writes_nothing(store: Store, url: str) -> None:
    before = Path(url.removeprefix("sqlite:///")).read_bytes()

    asyncio.run(store.ping(60.0))

    assert Path(url.removeprefix("sqlite:///")).read_bytes() == before


def test_a_ping_fails_while_writes_are_held_up_and_not_after(store: Store, url: str) -> None:
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(DatabaseUnavailableError, match=r"has not answered for 0\.05 s"):
        asyncio.run(store.ping(0.05))
    assert store.n_waiting_rows > 0

    other.execute("COMMIT")
    other.close()
    asyncio.run(store.ping(60.0))
    assert store.n_waiting_rows == 0


def test_a_closed_store_is_not_ready(url: str) -> None:
    store = Store.open(url)
    store.close()

    with pytest.raises(StorageClosedError):
        asyncio.run(store.ping(60.0))
