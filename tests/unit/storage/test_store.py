import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest

from storage import (
    DuplicateStudyError,
    EpochRecord,
    LeaseRecord,
    ResultRecord,
    StorageError,
    Store,
    StudyRecord,
    WorkerRecord,
)
from tests.databases import postgres_database

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    if request.param == "sqlite":
        store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('database') / 'narrows.db'}")
        yield store
        store.close()
    else:
        with postgres_database() as url:
            store = Store.open(url)
            yield store
            store.close()


@pytest.fixture
def study(store: Store, request: pytest.FixtureRequest) -> StudyRecord:
    return store.create_study(request.node.name[:100], {"text": "\0 日本", "n": 1.0}, 10, ["maximize"], NOW)


@pytest.fixture
def trial_id(store: Store, study: StudyRecord) -> int:
    return store.optuna.create_new_trial(study.study_id)


def lease(study: StudyRecord, trial_id: int, lease_id: str, **changes: Any) -> LeaseRecord:
    made = LeaseRecord(f"{lease_id}-{trial_id}", study.study_id, trial_id, 0, 1, f"claim-{trial_id}", "w", NOW)
    return replace(made, **changes)


def worker(worker_id: str = "w", seen_at: datetime = NOW) -> WorkerRecord:
    return WorkerRecord(worker_id, "host", "cpu", 1, seen_at, seen_at)


def test_a_study_is_kept_as_it_was_made(store: Store, study: StudyRecord) -> None:
    assert study in store.studies()
    assert store.optuna.get_study_name_from_id(study.study_id) == study.name


def test_a_study_cannot_be_made_twice(store: Store, study: StudyRecord) -> None:
    with pytest.raises(DuplicateStudyError, match="in the database already"):
        store.create_study(study.name, {}, 1, ["minimize"], NOW)

    assert [found for found in store.studies() if found.name == study.name] == [study]


def test_a_study_that_optuna_has_leaves_no_row_of_ours(store: Store) -> None:
    name = f"theirs-{store.optuna.engine.dialect.name}"
    store.optuna.create_new_study([optuna.study.StudyDirection.MINIMIZE], name)

    for _ in range(2):
        with pytest.raises(DuplicateStudyError, match="in the database already"):
            store.create_study(name, {}, 1, ["minimize"], NOW)

    assert name not in [found.name for found in store.studies()]


def test_a_study_made_by_many_at_once_is_made_once(store: Store) -> None:
    outcomes: list[str] = []

    def make() -> None:
        try:
            store.create_study("contended", {}, 1, ["minimize"], NOW)
            outcomes.append("made")
        except DuplicateStudyError:
            outcomes.append("duplicate")

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["duplicate"] * 5 + ["made"]


def test_changes_of_a_study_are_kept(store: Store, study: StudyRecord) -> None:
    changed = store.change_study(study, state="finished", finished_at=NOW, finished_reason="\u65e5", n_trials=2**40)

    assert (changed.state, changed.n_trials) == ("finished", 2**40)
    assert changed in store.studies()


def test_leases_are_found_by_id_claim_study_and_trial(store: Store, study: StudyRecord, trial_id: int) -> None:
    first = lease(study, trial_id, "a")
    second = lease(study, trial_id, "b", granted_at=NOW + timedelta(seconds=1), attempt=2)
    store.grant([first], worker())
    store.grant([second], worker())

    assert store.leases.get(first.lease_id) == first
    assert store.leases.get("no-such-lease") is None
    assert store.leases.of_claim(first.claim_id) == [first, second]
    assert store.leases.of_study(study.study_id) == store.leases.of_trials([trial_id]) == [first, second]
    assert store.leases.of_trials([]) == []


def test_a_grant_is_kept_whole_or_not_at_all(store: Store, study: StudyRecord, trial_id: int) -> None:
    first, second = lease(study, trial_id, "a"), lease(study, trial_id, "b")

    with pytest.raises(StorageError, match="granted twice"):
        store.grant([first, second, first], worker("never"))

    assert store.leases.of_trials([trial_id]) == []
    assert "never" not in [found.worker_id for found in store.workers.newest_first()]


def test_reports_are_kept_in_order_of_steps(store: Store, study: StudyRecord, trial_id: int) -> None:
    made = [
        EpochRecord(trial_id, step, study.study_id, "a", {"x": float(step), "y": float("inf")}, "continue")
        for step in (5, 0, 10_000_000)
    ]
    for epoch in made:
        store.add_epoch(epoch)

    assert store.epochs(trial_id) == sorted(made, key=lambda epoch: epoch.step)
    assert store.epoch(trial_id, 5) == made[0]
    assert store.epoch(trial_id, 4) is None
    assert store.last_epochs([trial_id, 10**9 % 2**31]) == [made[2]]
    assert store.last_epochs([]) == []
    by_step = [(trial_id, epoch.step, epoch.metrics) for epoch in (made[1], made[0], made[2])]
    assert store.metrics_of_trials([10**9 % 2**31, trial_id]) == by_step
    assert store.metrics_of_trials([]) == []


def test_a_finished_trial_has_a_result_and_a_closed_lease(store: Store, study: StudyRecord, trial_id: int) -> None:
    granted = lease(study, trial_id, "a")
    store.grant([granted], worker())
    result = ResultRecord(trial_id, study.study_id, "COMPLETE", [float("inf"), 0.5], {"n": 3.0}, None)

    store.finish(granted, "complete", result, NOW)

    assert store.results([trial_id]) == [result]
    assert store.leases.get(granted.lease_id) == replace(granted, outcome="complete", state="COMPLETE", ended_at=NOW)
    store.set_result(replace(result, metrics={"n": 4.0}))
    assert store.results([trial_id])[0].metrics == {"n": 4.0}


def test_a_trial_cannot_finish_twice(store: Store, study: StudyRecord, trial_id: int) -> None:
    granted = lease(study, trial_id, "a")
    store.grant([granted], worker())
    result = ResultRecord(trial_id, study.study_id, "COMPLETE", [0.5])
    store.finish(granted, "complete", result, NOW)

    with pytest.raises(StorageError, match="has ended"):
        store.finish(granted, "fail", replace(result, state="FAIL"), NOW)

    assert store.results([trial_id]) == [result]


@pytest.mark.parametrize(("after_step", "kept"), [(None, []), (0, [0]), (1, [0, 1]), (7, [0, 1]), (8, [0, 1, 8])])
def test_a_trial_that_is_put_back_forgets_its_reports_after_a_step(
    store: Store, study: StudyRecord, trial_id: int, after_step: int | None, kept: list[int]
) -> None:
    other = store.optuna.create_new_trial(study.study_id)
    granted = lease(study, trial_id, "a")
    store.grant([granted], worker())
    for reported in (trial_id, other):
        for step in (0, 1, 8):
            store.add_epoch(EpochRecord(reported, step, study.study_id, "a", {"x": 1.0}, "continue"))
            store.optuna.set_trial_intermediate_value(reported, step, 1.0)

    store.requeue(granted, "expire", "gone", NOW, after_step=after_step)

    back = store.optuna.get_trial(trial_id)
    assert back.state.name == "WAITING"
    assert list(back.intermediate_values) == [epoch.step for epoch in store.epochs(trial_id)] == kept
    assert intermediate_steps(store, trial_id) == kept
    assert list(store.optuna.get_trial(other).intermediate_values) == intermediate_steps(store, other) == [0, 1, 8]
    assert len(store.epochs(other)) == 3
    assert store.leases.get(granted.lease_id) == replace(
        granted, outcome="expire", state="WAITING", reason="gone", ended_at=NOW
    )


def intermediate_steps(store: Store, trial_id: int) -> list[int]:
    """Steps of a trial in Optuna's own table."""
    statement = f"SELECT step FROM trial_intermediate_values WHERE trial_id = {trial_id} ORDER BY step"
    with store.optuna.engine.connect() as connection:
        return list(connection.exec_driver_sql(statement).scalars())


def test_more_results_are_read_than_a_statement_has_parameters(store: Store, study: StudyRecord) -> None:
    with store.transaction():
        for index in range(12_000):
            store.set_result(ResultRecord(10**9 + index, study.study_id, "FAIL"))

    assert len(store.results([10**9 + index for index in range(70_000)])) == 12_000
    store.delete_study(study)
    assert store.results([10**9]) == []


def test_deleting_a_study_leaves_the_others(store: Store, study: StudyRecord, trial_id: int) -> None:
    kept = store.create_study(f"{study.name}-kept"[:128], {}, 1, ["minimize"], NOW)
    kept_trial = store.optuna.create_new_trial(kept.study_id)
    for owner, owned in ((study, trial_id), (kept, kept_trial)):
        store.grant([lease(owner, owned, "a")], worker())
        store.add_epoch(EpochRecord(owned, 0, owner.study_id, "a", {}, "continue"))

    store.delete_study(study)

    assert [found.name for found in store.studies() if found.name.startswith(study.name)] == [kept.name]
    assert store.leases.of_study(study.study_id) == []
    assert store.epochs(trial_id) == []
    assert len(store.leases.of_study(kept.study_id)) == len(store.epochs(kept_trial)) == 1


def test_a_worker_keeps_its_first_time_and_gets_its_last(store: Store) -> None:
    later = NOW + timedelta(hours=1)
    store.workers.put(worker("seen"))
    store.workers.put(replace(worker("seen", later), device="cuda:0", n_lanes=8))

    found = next(record for record in store.workers.newest_first() if record.worker_id == "seen")
    assert found == WorkerRecord("seen", "host", "cuda:0", 8, NOW, later)
    assert store.workers.newest_first()[0] == found, "last seen first"


def test_a_worker_seen_by_many_at_once_is_one(store: Store) -> None:
    errors: list[Exception] = []

    def see() -> None:
        try:
            for _ in range(5):
                store.workers.put(worker("contended"))
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=see) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert [record.worker_id for record in store.workers.newest_first()].count("contended") == 1


def test_all_that_is_kept_is_there_when_a_file_is_opened_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'narrows.db'}"
    store = Store.open(url)
    study = store.create_study("study", {"a": [1, None]}, 3, ["maximize", "minimize"], NOW)
    trial_id = store.optuna.create_new_trial(study.study_id)
    granted = lease(study, trial_id, "a")
    store.grant([granted], worker())
    store.close()

    again = Store.open(url)

    assert again.studies() == [study]
    assert again.leases.of_study(study.study_id) == [granted]
    assert [direction.name for direction in again.optuna.get_study_directions(study.study_id)] == [
        "MAXIMIZE",
        "MINIMIZE",
    ]
    asyncio.run(again.ping(60.0))
    again.close()
