"""The database goes away under load and comes back; and it refuses a write for good."""

import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy import event

from storage import DatabaseOwnedError, DatabaseUnavailableError, GroupCommitStorage, StorageError, StorageFailedError
from storage.trials.loading import load
from storage.trials.rows import DistributionCache
from tests.acceptance.postgres_cluster import PostgresCluster
from tests.contracts.checked_storage import assert_same
from tests.waiting import until

N_WRITERS = 8
WAIT_SECONDS = 1.0


class Load:
    """Threads that report to trials of their own for as long as they are asked to, and know what was acknowledged."""

    def __init__(self, storage: GroupCommitStorage) -> None:
        self._storage = storage
        self._ending = threading.Event()
        self.acknowledged: dict[int, dict[int, float]] = {}
        self.refused = 0
        study_id = storage.create_new_study([StudyDirection.MINIMIZE], "load")
        trials = [storage.create_new_trial(study_id) for _ in range(N_WRITERS)]
        self._threads = [threading.Thread(target=self._write, args=(trial,)) for trial in trials]
        for thread in self._threads:
            thread.start()

    def _write(self, trial_id: int) -> None:
        known = self.acknowledged[trial_id] = {}
        step = 0
        while not self._ending.is_set():
            step += 1
            try:
                self._storage.set_trial_intermediate_value(trial_id, step, float(step))
            except StorageError:
                self.refused += 1
                self._ending.wait(0.05)
            else:
                known[step] = float(step)

    def n_acknowledged(self) -> int:
        return sum(len(known) for known in self.acknowledged.values())

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()


def wait_for_more(load_: Load, than: int) -> None:
    until(lambda: load_.n_acknowledged() > than, "writes are acknowledged again")


def test_what_waited_for_the_database_is_written_once_when_it_is_back(cluster: PostgresCluster) -> None:
    storage = GroupCommitStorage(cluster.url, wait_seconds=WAIT_SECONDS)
    under_load = Load(storage)
    wait_for_more(under_load, than=50)
    for mode in ("immediate", "fast"):
        cluster.stop(mode)
        before = under_load.n_acknowledged()
        with pytest.raises(DatabaseUnavailableError, match="has not answered"):
            storage.create_new_study([StudyDirection.MINIMIZE], f"made while away, {mode}")
        assert storage.writer.away_seconds > 0
        assert under_load.n_acknowledged() - before <= N_WRITERS, "nothing is acknowledged while it is away"
        cluster.start()
        wait_for_more(under_load, than=under_load.n_acknowledged() + 50)
    under_load.end()
    storage.commits.barrier()
    assert under_load.refused > 0
    reloaded = load(storage.engine, DistributionCache())
    assert_same(storage._memory, reloaded)
    for trial_id, known in under_load.acknowledged.items():
        assert known.items() <= reloaded.trial(trial_id).intermediate_values.items()
    assert sorted(study.name for study in reloaded.studies.values()) == [
        "load",
        "made while away, fast",
        "made while away, immediate",
    ]
    storage.close()


@pytest.mark.parametrize(
    ("setting", "reason"),
    [("lock_timeout = '100ms'", "lock timeout"), ("default_transaction_read_only = on", "read-only transaction")],
)
def test_a_refusal_that_passes_is_waited_for(cluster: PostgresCluster, setting: str, reason: str) -> None:
    storage = GroupCommitStorage(cluster.url, wait_seconds=WAIT_SECONDS)
    study_id = storage.create_new_study([StudyDirection.MINIMIZE], "kept")
    with psycopg.connect(cluster.url, autocommit=True) as administrator:
        (database,) = administrator.execute("SELECT current_database()").fetchone() or ("",)
        administrator.execute(f"ALTER DATABASE {database} SET {setting}")
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        administrator.execute("SET default_transaction_read_only = off")
        with administrator.transaction():
            if reason == "lock timeout":
                administrator.execute("LOCK TABLE study_user_attributes")
            with pytest.raises(DatabaseUnavailableError):
                storage.set_study_user_attr(study_id, "key", "value")
            until(lambda: reason in storage.writer.away_reason, "the reason is known")
        administrator.execute(f"ALTER DATABASE {database} RESET {setting.split()[0]}")
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    storage.commits.writer.barrier().result()
    assert storage.writer.failure is None
    assert load(storage.engine, DistributionCache()).studies[study_id].user_attrs == {"key": "value"}
    storage.close()


def test_a_write_that_is_refused_for_good_ends_all_acknowledgements(cluster: PostgresCluster) -> None:
    storage = GroupCommitStorage(cluster.url, wait_seconds=WAIT_SECONDS)
    study_id = storage.create_new_study([StudyDirection.MINIMIZE], "kept")
    with psycopg.connect(cluster.url, autocommit=True) as administrator:
        administrator.execute("ALTER TABLE trials ADD CONSTRAINT none_more CHECK (trial_id < 0) NOT VALID")
    with pytest.raises(StorageFailedError, match="none_more"):
        storage.create_new_trial(study_id)
    with pytest.raises(StorageFailedError, match="refused a write for good"):
        storage.set_study_user_attr(study_id, "key", "value")
    assert storage.writer.failure is not None
    storage.close()
    reopened = GroupCommitStorage(cluster.url)
    assert [study.study_name for study in reopened.get_all_studies()] == ["kept"]
    assert reopened.get_all_trials(study_id) == []
    reopened.close()


def test_a_full_disk_stops_acknowledgements_until_there_is_room(tmp_path: Path) -> None:
    storage = GroupCommitStorage(f"sqlite:///{tmp_path / 'narrows.db'}", wait_seconds=WAIT_SECONDS)
    study_id = storage.create_new_study([StudyDirection.MINIMIZE], "large")
    with storage.engine.connect() as connection:
        limit = connection.exec_driver_sql("PRAGMA page_count").scalar_one() + 1
    full = True

    def on_connect(connection: Any, _record: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {limit if full else 2**30}")

    event.listen(storage.engine, "connect", on_connect)
    storage.engine.dispose()
    storage.writer._disconnect()  # its next connection has the limit
    with pytest.raises(DatabaseUnavailableError):
        storage.set_study_user_attr(study_id, "large", "x" * 1_000_000)
    assert storage.writer.away_seconds > 0
    full = False
    storage.engine.dispose()
    storage.commits.barrier()
    assert len(load(storage.engine, DistributionCache()).studies[study_id].user_attrs["large"]) == 1_000_000
    storage.close()


def test_a_service_without_writes_notices_that_its_database_is_away_and_takes_it_back(cluster: PostgresCluster) -> None:
    storage = GroupCommitStorage(cluster.url, wait_seconds=WAIT_SECONDS)
    cluster.stop()
    until(lambda: storage.writer.away_seconds > 0, "it is noticed")
    cluster.start()
    until(lambda: storage.writer.away_seconds == 0, "it is noticed again")
    with pytest.raises(DatabaseOwnedError):
        GroupCommitStorage(cluster.url)
    cluster.stop()
    until(lambda: storage.writer.away_seconds > 0, "it is noticed once more")
    assert storage.writer.close(), "nothing waits for the database"
    storage.close()


def test_a_second_owner_is_refused_until_the_first_one_ends(database_url: str) -> None:
    first = GroupCommitStorage(database_url)
    with pytest.raises(DatabaseOwnedError, match="another service has the database"):
        GroupCommitStorage(database_url)
    study_id = first.create_new_study([StudyDirection.MINIMIZE], "ours")
    first.close()
    second = GroupCommitStorage(database_url)
    trial_id = second.create_new_trial(study_id)
    assert second.set_trial_state_values(trial_id, TrialState.COMPLETE, [1.0])
    second.close()


@pytest.mark.parametrize("successor_ends", [True, False])
def test_a_service_that_was_cut_off_does_not_write_over_its_successor(
    cluster: PostgresCluster, successor_ends: bool
) -> None:
    first = GroupCommitStorage(cluster.url, wait_seconds=WAIT_SECONDS)
    first.create_new_study([StudyDirection.MINIMIZE], "before")
    with psycopg.connect(cluster.url, autocommit=True) as administrator:  # the network breaks
        administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    second = GroupCommitStorage(cluster.url)
    second.create_new_study([StudyDirection.MINIMIZE], "by the successor")
    if successor_ends:
        second.close()
    with pytest.raises(StorageFailedError, match="took over"):
        first.create_new_study([StudyDirection.MINIMIZE], "too late")
    first.close()
    second.close()
    third = GroupCommitStorage(cluster.url)
    assert sorted(study.study_name for study in third.get_all_studies()) == ["before", "by the successor"]
    third.close()
