from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from storage import RoundRecord, StorageError, Store

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RANGES = {"learning_rate": {"low": 1.0000000000000002e-05, "high": 0.1, "verdict": "shrunk", "note": None}}
RECORD = RoundRecord(1, 2, 30, NOW, "lab", 5, 0.1, [12, 7], RANGES)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store.open(database_url)
    yield store
    store.close()


def test_rounds_are_there_to_the_last_bit_after_a_restart(store: Store, database_url: str) -> None:
    store.rounds.add(RECORD)
    later = replace(RECORD, number=3, first_trial=60, margin=1 / 3, note="2 complete trials")
    store.rounds.add(later)
    store.close()

    again = Store.open(database_url)

    assert again.rounds.of_study(1) == [RECORD, later]
    assert again.rounds.latest(1) == later
    assert again.rounds.of_study(2) == []
    assert again.rounds.latest(2) is None
    again.close()


@pytest.mark.parametrize("number", [1, 2, 4])
def test_rounds_follow_on_each_other(store: Store, number: int) -> None:
    store.rounds.add(RECORD)
    with pytest.raises(StorageError, match="must be 3"):
        store.rounds.add(replace(RECORD, number=number))
    assert store.rounds.of_study(1) == [RECORD]


def test_they_go_with_their_study(store: Store, database_url: str) -> None:
    study = store.create_study("s", {}, 1, ["maximize"], NOW)
    store.rounds.add(replace(RECORD, study_id=study.study_id))
    store.delete_study(study)
    assert store.rounds.latest(study.study_id) is None
    store.close()
    again = Store.open(database_url)
    assert again.rounds.of_study(study.study_id) == []
    again.close()
