from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from storage import LeaseRecord, Store, WorkerRecord
from storage.tables.worker_index import GONE_AFTER, MAX_GONE, MAX_IDLE, NEW_WORKERS

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LONG_AGO = NOW - 10 * GONE_AFTER


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = Store.open(sqlite_url)
    yield opened
    opened.close()


def claim(store: Store, names: Sequence[str], at: datetime) -> None:
    """A claim of each worker, one a microsecond."""
    with store.transaction():
        for index, name in enumerate(names):
            seen_at = at + timedelta(microseconds=index)
            store.workers.put(WorkerRecord(name, "host", "cpu", 1, seen_at, seen_at))


def workers(kind: str, n: int) -> list[str]:
    return [f"{kind}-{number}" for number in range(n)]


def kept(store: Store) -> list[str]:
    return [worker.worker_id for worker in store.workers.newest_first()]


def test_all_workers_that_claim_are_kept(store: Store) -> None:
    names = workers("live", 3 * MAX_GONE)
    claim(store, names, NOW)
    claim(store, names, NOW + 2 * GONE_AFTER)
    assert sorted(kept(store)) == sorted(names)


def test_the_workers_that_are_gone_and_have_claimed_last_are_kept(store: Store, sqlite_url: str) -> None:
    """Also in the database."""
    gone, new = workers("gone", 2 * MAX_GONE), workers("new", NEW_WORKERS)
    claim(store, gone, LONG_AGO)
    claim(store, new, NOW)
    expected = [*new, *gone[-MAX_GONE:]]
    assert sorted(kept(store)) == sorted(expected)
    store.close()

    again = Store.open(sqlite_url)
    assert sorted(kept(again)) == sorted(expected)
    again.close()


def test_a_worker_with_an_open_lease_is_kept_however_long_ago_it_has_claimed(store: Store) -> None:
    """It may train one trial for days. Once the lease has ended, the worker is forgotten like others."""
    study = store.create_study("study", {}, 10, ["minimize"], NOW)
    trial_id = store.optuna.create_new_trial(study.study_id)
    lease = LeaseRecord("lease", study.study_id, trial_id, 0, 1, "claim", "busy", LONG_AGO)
    store.grant([lease], WorkerRecord("busy", "host", "cuda:0", 1, LONG_AGO, LONG_AGO))
    claim(store, workers("gone", 2 * MAX_GONE), LONG_AGO + timedelta(seconds=1))
    claim(store, workers("new", NEW_WORKERS), NOW)
    assert "busy" in kept(store)

    store.requeue(lease, "expire", None, NOW)
    claim(store, workers("newer", NEW_WORKERS), NOW)
    assert "busy" not in kept(store)


def test_no_more_idle_workers_are_kept_than_the_limit(store: Store) -> None:
    """Any caller with a worker's token can invent names."""
    names = workers("invented", MAX_IDLE + 5 * NEW_WORKERS)
    claim(store, names, NOW)
    assert sorted(kept(store)) == sorted(names[-MAX_IDLE:])
