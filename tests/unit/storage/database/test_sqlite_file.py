"""A file of SQLite belongs to one service under all its names, and is missed when it is gone."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage import DatabaseOwnedError, DatabaseUnavailableError, GroupCommitStorage, StorageFailedError, Store
from tests.waiting import until

WAIT_SECONDS = 0.3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "narrows.db"


@pytest.fixture
def storage(path: Path) -> Iterator[GroupCommitStorage]:
    storage = GroupCommitStorage(f"sqlite:///{path}", wait_seconds=WAIT_SECONDS)
    yield storage
    storage.close()


def same(path: Path) -> Path:
    return path


def symbolic_link(path: Path) -> Path:
    link = path.with_name("link.db")
    link.symlink_to(path)
    return link


def hard_link(path: Path) -> Path:
    link = path.with_name("second.db")
    link.hardlink_to(path)
    return link


def without_lock_file(path: Path) -> Path:
    path.with_name("narrows.db.lock").unlink()
    return path


@pytest.mark.parametrize("other_name", [same, symbolic_link, hard_link, without_lock_file])
def test_a_file_belongs_to_one_service_under_every_name(
    storage: GroupCommitStorage, path: Path, other_name: Callable[[Path], Path]
) -> None:
    other = other_name(path)
    with pytest.raises(DatabaseOwnedError, match="another service has the database"):
        GroupCommitStorage(f"sqlite:///{other}")
    study_id = storage.create_new_study([], "goes on")
    assert storage.get_study_name_from_id(study_id) == "goes on"


def test_a_file_that_was_given_up_is_free_under_every_name(path: Path) -> None:
    GroupCommitStorage(f"sqlite:///{path}").close()
    GroupCommitStorage(f"sqlite:///{symbolic_link(path)}").close()


def test_a_lock_file_that_cannot_be_written_is_named(path: Path) -> None:
    lock_file = path.with_name("narrows.db.lock")
    lock_file.mkdir()
    with pytest.raises(DatabaseUnavailableError, match=f"cannot write the lock file {lock_file}: Is a directory"):
        GroupCommitStorage(f"sqlite:///{path}")
    lock_file.rmdir()
    GroupCommitStorage(f"sqlite:///{path}").close()


def delete(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    path.rename(path.with_name("aside.db"))
    sqlite3.connect(path).close()
    path.touch()


def delete_log(path: Path) -> None:
    path.with_name("narrows.db-wal").unlink()


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (delete, "the database file was deleted"),
        (replace, "another file has taken the place of the database"),
        (delete_log, "the write-ahead log of the database was deleted or replaced"),
    ],
)
def test_nothing_is_acknowledged_in_a_file_that_nobody_will_find(
    storage: GroupCommitStorage, path: Path, harm: Callable[[Path], None], reason: str
) -> None:
    storage.create_new_study([], "before")
    harm(path)
    with pytest.raises(StorageFailedError, match=reason):
        storage.create_new_study([], "after")


def test_a_deleted_file_is_noticed_without_a_write(storage: GroupCommitStorage, path: Path) -> None:
    path.unlink()
    until(lambda: storage.writer.failure is not None, "the writer has noticed it")
    assert "was deleted" in str(storage.writer.failure)


def test_nothing_is_created_in_the_place_of_a_missing_file(storage: GroupCommitStorage, path: Path) -> None:
    storage.engine.dispose()
    path.rename(path.with_name("aside.db"))
    with pytest.raises(DatabaseUnavailableError, match="moved away"):
        storage.engine.connect()
    assert not path.exists()
    path.with_name("aside.db").rename(path)


def test_what_waited_for_a_file_that_was_moved_is_written_when_it_is_back(
    storage: GroupCommitStorage, path: Path
) -> None:
    names = [path, *(path.with_name(f"narrows.db-{end}") for end in ("wal", "shm"))]
    for name in names:
        name.rename(name.with_name(f"aside-{name.name}"))
    with pytest.raises(DatabaseUnavailableError, match="the database file was moved away"):
        storage.create_new_study([], "waits")
    for name in names:
        name.with_name(f"aside-{name.name}").rename(name)
    storage.commits.writer.barrier().result()
    storage.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT study_name FROM studies").fetchall() == [("waits",)]


def test_readiness_tells_why_nothing_is_written(path: Path) -> None:
    store = Store.open(f"sqlite:///{path}")
    store.optuna.writer._away_since = 0.0  # as after an outage, in which it was deleted
    path.unlink()
    until(lambda: store.optuna.writer.failure is not None, "the writer has noticed it")
    with pytest.raises(StorageFailedError, match="was deleted"):
        asyncio.run(store.ping(1.0))
    store.close()
