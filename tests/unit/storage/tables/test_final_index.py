from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from storage import FinalRecord, StorageError, Store

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RECORD = FinalRecord(1, 1, 7, "running", {"n_seeds": 3}, NOW, "lab")


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store.open(database_url)
    yield store
    store.close()


def test_it_is_found_by_its_study_and_by_the_linked_one_after_a_restart_too(store: Store, database_url: str) -> None:
    store.finals.add(RECORD)
    store.finals.add(replace(RECORD, number=2, linked_study_id=9, reason="again"))
    store.finals.change(RECORD, state="complete", ranking={"a": [0.1]}, test={"loss": "inf"}, ended_at=NOW)
    before = store.finals.of_study(1)
    store.close()

    with_rows = Store.open(database_url)

    assert with_rows.finals.of_study(1) == before
    assert with_rows.finals.of_linked(7) == before[0]
    assert with_rows.finals.of_linked(9) == before[1]
    assert with_rows.finals.of_linked(1) is None
    assert with_rows.finals.of_study(7) == []
    with_rows.close()


def test_what_has_ended_is_for_good(store: Store) -> None:
    store.finals.add(RECORD)
    ended = store.finals.change(RECORD, state="complete", test={"accuracy": 0.9}, ended_at=NOW)
    with pytest.raises(StorageError, match="has ended"):
        store.finals.change(ended, test={"accuracy": 0.99})
    assert store.finals.of_study(1) == [ended]


def test_a_number_is_given_once(store: Store) -> None:
    store.finals.add(RECORD)
    with pytest.raises(StorageError, match="must not be saved twice"):
        store.finals.add(replace(RECORD, linked_study_id=8))


def test_it_goes_with_its_study(store: Store, database_url: str) -> None:
    study = store.create_study("s", {}, 1, ["maximize"], NOW)
    store.finals.add(replace(RECORD, study_id=study.study_id))
    store.delete_study(study)
    assert store.finals.of_linked(7) is None
    store.close()
    again = Store.open(database_url)
    assert again.finals.of_study(study.study_id) == []
    again.close()
