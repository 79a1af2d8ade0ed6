from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from storage import ArtifactRecord, Store

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Database:
    """A store that can be closed and opened again, as after a crash."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.store = Store.open(url)
        self.study = self.store.create_study("study", {}, 9, ["maximize"], NOW)
        self.trial_id = self.store.optuna.create_new_trial(self.study.study_id)

    def open_again(self) -> None:
        self.store.close()
        self.store = Store.open(self._url)

    def record(self, blob: str, **changes: Any) -> ArtifactRecord:
        made = ArtifactRecord(
            self.trial_id, "model", self.study.study_id, "lease", 1, None, 2**40, "ab" * 32, blob * 32, NOW
        )
        return replace(made, **changes)

    def loose(self) -> list[str]:
        """The first digit of each loose blob in the database."""
        with self.store.optuna.engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT blob_id FROM narrows_loose_blobs ORDER BY blob_id").scalars()
            return [blob[0] for blob in found]

    def removable(self) -> list[str]:
        return sorted(blob[0] for blob in self.store.artifacts.removable_blobs())


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.store.close()


def test_an_artifact_is_kept_as_it_is(database: Database) -> None:
    first, second = database.record("a", step=3), database.record("b", name="log")
    for record in (first, second):
        database.store.artifacts.reserve(record.blob_id)
        database.store.artifacts.add(record)

    for _ in range(2):
        assert database.store.artifacts.of_trial(database.trial_id) == [second, first]
        assert database.store.artifacts.get(database.trial_id, "model") == first
        assert database.store.artifacts.get(database.trial_id, "other") is None
        assert database.store.artifacts.of_trial(database.trial_id + 1) == []
        assert database.loose() == database.removable() == []
        database.open_again()


def test_an_artifact_gets_another_name_and_its_old_one_is_free(database: Database) -> None:
    artifacts = database.store.artifacts
    first, other = database.record("a", name="output"), database.record("b", name="output-1")
    for record in (first, other):
        artifacts.reserve(record.blob_id)
        artifacts.add(record)
    second = database.record("c", name="output", attempt=2)
    artifacts.reserve(second.blob_id)
    with database.store.transaction():
        artifacts.rename(first, "output-1")
        artifacts.add(second)

    for _ in range(2):
        kept = database.store.artifacts.of_trial(database.trial_id)
        assert kept == [second, replace(first, name="output-1")]
        assert database.loose() == ["b"]
        database.open_again()


def test_a_blob_that_is_being_written_is_known_but_not_removed(database: Database) -> None:
    database.store.artifacts.reserve("a" * 32)

    assert (database.loose(), database.removable()) == (["a"], [])
    database.open_again()
    assert (database.loose(), database.removable()) == (["a"], ["a"]), "whoever wrote it is gone"


def test_a_blob_that_was_abandoned_is_removed_and_forgotten(database: Database) -> None:
    database.store.artifacts.reserve("a" * 32)
    database.store.artifacts.abandon("a" * 32)
    database.store.artifacts.abandon("b" * 32)
    assert database.removable() == ["a"]

    database.store.artifacts.forget_blobs(["a" * 32])

    assert database.loose() == database.removable() == []


def test_a_blob_that_an_artifact_has_is_not_let_go_any_more(database: Database) -> None:
    database.store.artifacts.reserve("a" * 32)
    database.store.artifacts.add(database.record("a"))
    database.store.artifacts.abandon("a" * 32)

    assert database.removable() == []


def test_a_replaced_and_a_removed_artifact_let_their_blobs_go(database: Database) -> None:
    for blob in "ab":
        database.store.artifacts.add(database.record(blob))
    assert (database.loose(), database.removable()) == (["a"], ["a"])

    for _ in range(2):
        database.store.artifacts.remove(database.trial_id, "model")

    assert database.store.artifacts.of_trial(database.trial_id) == []
    database.open_again()
    assert database.store.artifacts.of_trial(database.trial_id) == []
    assert database.loose() == database.removable() == ["a", "b"]


def test_a_blob_may_be_removed_once_it_is_committed_that_nothing_has_it(database: Database) -> None:
    database.store.artifacts.add(database.record("a"))
    with database.store.transaction():
        database.store.artifacts.remove(database.trial_id, "model")
        assert database.store.artifacts.of_trial(database.trial_id) == []
        assert database.removable() == []
    assert database.removable() == ["a"]


def test_a_deleted_study_lets_the_blobs_of_its_artifacts_go(database: Database) -> None:
    other = database.store.create_study("other", {}, 9, ["maximize"], NOW)
    kept = database.record(
        "c", study_id=other.study_id, trial_id=database.store.optuna.create_new_trial(other.study_id)
    )
    for record in (database.record("a"), database.record("b", name="log"), kept):
        database.store.artifacts.add(record)

    database.store.delete_study(database.study)

    for _ in range(2):
        assert database.store.artifacts.of_trial(database.trial_id) == []
        assert database.store.artifacts.of_trial(kept.trial_id) == [kept]
        assert database.loose() == database.removable() == ["a", "b"]
        database.open_again()
