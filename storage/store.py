"""All that the service keeps, behind one object. Each method is answered when its writes are committed."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Self

from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from storage.database import open_optuna_storage, parse_url, translated
from storage.errors import DuplicateStudyError
from storage.migrate import upgrade
from storage.records import EpochRecord, LeaseRecord, Metrics, Outcome, ResultRecord, StudyRecord, WorkerRecord
from storage.statements import epochs, leases, results, studies, workers


class Store:
    """Studies and trials in Optuna's tables, and definitions, leases, epochs, results and workers in ours.

    `optuna` is an Optuna storage on the same database: samplers, pruners and the dashboard read it.
    """

    def __init__(self, rdb: RDBStorage) -> None:
        self._rdb = rdb
        self._engine = rdb.engine
        self.optuna: BaseStorage = get_storage(rdb)

    @classmethod
    def open(cls, url: str) -> Self:
        """Open a database and bring it to the newest version.

        Raises InvalidDatabaseUrlError and DatabaseUnavailableError.
        """
        store = cls(open_optuna_storage(url))
        with translated(parse_url(url)), store._engine.begin() as connection:
            upgrade(connection)
        store.complete_begun_studies()
        store._finish_deletions()
        return store

    def close(self) -> None:
        self.optuna.remove_session()
        self._engine.dispose()

    def ping(self) -> None:
        """Ask the database for an answer. Raises sqlalchemy's errors when there is none."""
        with self._engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    # Studies

    def create_study(
        self, name: str, definition: dict[str, Any], n_trials: int, directions: Sequence[str], created_at: datetime
    ) -> StudyRecord:
        """Make a study, here and in Optuna. Raises DuplicateStudyError; then nothing has changed."""
        try:
            with self._engine.begin() as connection:
                studies.begin(connection, name, definition, n_trials, created_at)
        except IntegrityError as error:
            raise DuplicateStudyError(f"a study of this name exists: {name}") from error
        try:
            study_id = self.optuna.create_new_study([_direction(word) for word in directions], name)
        except DuplicatedStudyError as error:
            with self._engine.begin() as connection:
                studies.remove(connection, name)
            raise DuplicateStudyError(
                f"a study of this name, not made by Narrows, is in the database: {name}"
            ) from error
        with self._engine.begin() as connection:
            studies.complete(connection, name, study_id)
        return StudyRecord(study_id, name, definition, "running", n_trials, created_at)

    def complete_begun_studies(self) -> None:
        """Finish what a crash or a lost connection cut short between our row of a study and Optuna's.

        Without Optuna's row the study was never made. One that has trials already is not ours.
        """
        with self._engine.begin() as connection:
            begun = studies.begun(connection)
        if not begun:
            return
        existing = {study.study_name: study._study_id for study in self.optuna.get_all_studies()}
        for name in begun:
            study_id = existing.get(name)
            if study_id is not None and self.optuna.get_n_trials(study_id) > 0:
                study_id = None
            with self._engine.begin() as connection:
                if study_id is None:
                    studies.remove(connection, name)
                else:
                    studies.complete(connection, name, study_id)

    def _finish_deletions(self) -> None:
        """Delete what a crash left of studies that are gone from Optuna's tables."""
        existing = {study._study_id for study in self.optuna.get_all_studies()}
        for record in self.studies():
            if record.study_id not in existing:
                self._delete_our_rows(record)

    def studies(self) -> list[StudyRecord]:
        """All studies, oldest first."""
        with self._engine.begin() as connection:
            return studies.every(connection)

    def change_study(self, record: StudyRecord, **values: Any) -> StudyRecord:
        """Change columns of a study's row, and answer the changed record."""
        with self._engine.begin() as connection:
            studies.change(connection, record.study_id, values)
        return replace(record, **values)

    def delete_study(self, record: StudyRecord) -> None:
        """Delete a study with all that belongs to it.

        Optuna's rows go first: ours alone, after a crash in between, are deleted at the next start.
        """
        with suppress(KeyError):  # gone already, by a call that failed after it
            self.optuna.delete_study(record.study_id)
        self._delete_our_rows(record)

    def _delete_our_rows(self, record: StudyRecord) -> None:
        with self._engine.begin() as connection:
            for statements in (leases, epochs, results):
                statements.remove(connection, record.study_id)
            studies.remove(connection, record.name)

    # Leases

    def grant(self, granted: Sequence[LeaseRecord], worker: WorkerRecord) -> None:
        """Write down the answer to a claim, and who asked."""
        with self._engine.begin() as connection:
            for lease in granted:
                leases.add(connection, lease)
            workers.seen(connection, worker)

    def lease(self, lease_id: str) -> LeaseRecord | None:
        """One lease, open or ended."""
        with self._engine.begin() as connection:
            return leases.get(connection, lease_id)

    def leases_of_claim(self, claim_id: str) -> list[LeaseRecord]:
        """The leases that a claim was answered with."""
        with self._engine.begin() as connection:
            return leases.of_claim(connection, claim_id)

    def leases_of_study(self, study_id: int) -> list[LeaseRecord]:
        """All leases of a study, oldest first."""
        with self._engine.begin() as connection:
            return leases.of_study(connection, study_id)

    def leases_of_trials(self, trial_ids: Sequence[int]) -> list[LeaseRecord]:
        """All leases of some trials, oldest first."""
        with self._engine.begin() as connection:
            return leases.of_trials(connection, trial_ids)

    # Reports

    def epoch(self, trial_id: int, step: int) -> EpochRecord | None:
        """What a trial reported at a step."""
        with self._engine.begin() as connection:
            return epochs.get(connection, trial_id, step)

    def epochs(self, trial_id: int) -> list[EpochRecord]:
        """All that a trial reported, by step."""
        with self._engine.begin() as connection:
            return epochs.of_trial(connection, trial_id)

    def last_epochs(self, trial_ids: Sequence[int]) -> list[EpochRecord]:
        """The last report of each of some trials."""
        with self._engine.begin() as connection:
            return epochs.last_of(connection, trial_ids)

    def add_epoch(self, epoch: EpochRecord) -> None:
        """Keep a report and its decision."""
        with self._engine.begin() as connection:
            epochs.add(connection, epoch)

    # Ends

    def finish(self, lease: LeaseRecord, outcome: Outcome, result: ResultRecord, ended_at: datetime) -> None:
        """End a trial and its lease.

        Our rows come first: they say what to write into Optuna's, so that a crash in between can be mended.
        """
        with self._engine.begin() as connection:
            results.add(connection, result)
            leases.end(connection, lease.lease_id, outcome, state=result.state, reason=result.reason, ended_at=ended_at)

    def end_lease(self, lease_id: str, outcome: Outcome, state: str, reason: str | None, ended_at: datetime) -> None:
        """End a lease whose trial has ended or gone back already."""
        with self._engine.begin() as connection:
            leases.end(connection, lease_id, outcome, state=state, reason=reason, ended_at=ended_at)

    def requeue(
        self, lease: LeaseRecord, outcome: Outcome, reason: str | None, ended_at: datetime, *, clear: bool
    ) -> None:
        """End a lease and put its trial back, without what it has reported if `clear`.

        Our rows come first: a crash in between leaves a trial without a lease, which is put back at the next start.
        """
        with self._engine.begin() as connection:
            if clear:
                epochs.clear(connection, lease.trial_id)
                connection.execute(
                    text("DELETE FROM trial_intermediate_values WHERE trial_id = :trial_id"),
                    {"trial_id": lease.trial_id},
                )
            leases.end(connection, lease.lease_id, outcome, state="WAITING", reason=reason, ended_at=ended_at)
        self.optuna.set_trial_state_values(lease.trial_id, TrialState.WAITING)

    def results(self, trial_ids: Sequence[int]) -> list[ResultRecord]:
        """How some trials ended; for a page of them, as databases limit the length of a list."""
        with self._engine.begin() as connection:
            return results.of_trials(connection, trial_ids)

    def results_of_study(self, study_id: int) -> list[ResultRecord]:
        """How the trials of a study ended."""
        with self._engine.begin() as connection:
            return results.of_study(connection, study_id)

    def set_final_metrics(self, trial_id: int, metrics: Metrics) -> None:
        """Replace the final metrics of a trial that has ended."""
        with self._engine.begin() as connection:
            results.set_metrics(connection, trial_id, metrics)

    # Workers

    def workers(self) -> list[WorkerRecord]:
        """All workers, last seen first."""
        with self._engine.begin() as connection:
            return workers.every(connection)

    def worker_seen(self, worker: WorkerRecord) -> None:
        """Note that a worker asked."""
        with self._engine.begin() as connection:
            workers.seen(connection, worker)


def _direction(word: str) -> StudyDirection:
    return StudyDirection[word.upper()]
