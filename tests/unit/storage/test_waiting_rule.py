"""Nobody waits for the database on an event loop or under the lock of a study."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from service.study.study_lock import StudyLock
from storage import Store, wait_rule
from storage.waiting_rule import WaitRule


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait_rule, "is_strict", True)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    store = Store.open(sqlite_url)
    yield store
    store.close()


def test_a_read_under_the_lock_of_a_study_is_an_error(store: Store) -> None:
    lock = StudyLock()
    with lock, lock, pytest.raises(RuntimeError, match="a read from the database under the lock of a study"):
        store.epochs(1)
    assert store.epochs(1) == []


def test_a_read_on_the_event_loop_is_an_error(store: Store) -> None:
    async def read() -> None:
        store.results([1])

    with pytest.raises(RuntimeError, match="a read from the database on the event loop"):
        asyncio.run(read())
    assert store.results([1]) == []


def test_a_wait_for_a_commit_under_the_lock_of_a_study_is_an_error(store: Store) -> None:
    with StudyLock(), pytest.raises(RuntimeError, match="a wait for a commit under the lock of a study"):
        store.optuna.create_new_study([], "s")


def test_a_write_that_waits_later_is_none(store: Store) -> None:
    with StudyLock(), store.deferred() as committed:
        store.optuna.create_new_study([], "s")
    store.wait(committed)


def test_another_thread_may_wait_while_one_holds_the_lock(store: Store) -> None:
    found: list[object] = []
    with StudyLock():
        reader = threading.Thread(target=lambda: found.append(store.epochs(1)))
        reader.start()
        reader.join()
    assert found == [[]]


def test_a_lock_that_is_not_taken_forbids_nothing(store: Store) -> None:
    lock = StudyLock()
    taken = threading.Event()
    done = threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()
    assert not lock.acquire(blocking=False)
    assert store.epochs(1) == []
    done.set()
    holder.join()


def test_outside_of_tests_a_wait_is_logged_with_its_place(caplog: pytest.LogCaptureFixture) -> None:
    rule = WaitRule()
    rule.begin_no_wait()
    rule.check("a read")
    [record] = caplog.records
    assert record.getMessage() == "a read under the lock of a study"
    assert "test_outside_of_tests_a_wait_is_logged_with_its_place" in (record.stack_info or "")
    rule.end_no_wait()
    caplog.clear()
    rule.check("a read")
    assert caplog.text == ""
