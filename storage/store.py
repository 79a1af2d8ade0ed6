"""Everything that the service stores, behind one object."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Self

from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy import Connection

from storage.batch import Batch, Commit
from storage.errors import DatabaseUnavailableError, DuplicateStudyError
from storage.records import (
    EpochRecord,
    HeldTime,
    ImportRecord,
    LeaseRecord,
    Metrics,
    Outcome,
    ResultRecord,
    RoundRecord,
    StudyRecord,
    WorkerRecord,
)
from storage.tables import queries
from storage.tables import schema as tables
from storage.tables.artifact_index import ArtifactIndex
from storage.tables.final_index import FinalIndex
from storage.tables.lease_index import LeaseIndex
from storage.tables.numbered_index import NumberedIndex
from storage.tables.record_rows import put_record
from storage.tables.session_index import SessionIndex
from storage.tables.token_index import TokenIndex
from storage.tables.worker_index import WorkerIndex
from storage.trials.group_commit_storage import GroupCommitStorage
from storage.waiting_rule import wait_rule

AWAY_SECONDS = 1.0
EPOCHS_AT_A_TIME = 1_000


class Store:
    """Studies and trials in Optuna's tables, and all other data in our own tables of the same database.

    `optuna` is the Optuna storage on this database. `leases`, `workers`, `artifacts` (files of trials), `finals` (final
    evaluations), `rounds` (from the second round of a study on), `imports` (trials from elsewhere), `tokens` (of
    callers) and `sessions` (of browsers) are indexes that are in memory too. Every write returns after its commit;
    writes inside `transaction()` are committed together.
    """

    def __init__(self, optuna: GroupCommitStorage) -> None:
        self.optuna = optuna
        with optuna.engine.connect() as connection:
            self._studies = {record.study_id: record for record in queries.all_studies(connection)}
            self.leases = LeaseIndex(connection, self.transaction)
            self.workers = WorkerIndex(connection, self.transaction, self.leases.has_open)
            self.artifacts = ArtifactIndex(connection, self.transaction)
            self.finals = FinalIndex(connection, self.transaction)
            self.rounds = NumberedIndex(connection, self.transaction, tables.rounds, RoundRecord, first=2)
            self.imports = NumberedIndex(connection, self.transaction, tables.imports, ImportRecord, first=0)
            self.tokens = TokenIndex(connection, self.transaction)
            self.sessions = SessionIndex(connection, self.transaction)

    @classmethod
    def open(cls, url: str) -> Self:
        """Open a database, take ownership of it and bring its tables to the newest version.

        Raises InvalidDatabaseUrlError, DatabaseUnavailableError and DatabaseOwnedError.
        """
        optuna = GroupCommitStorage(url)
        try:
            return cls(optuna)
        except BaseException:
            optuna.close()
            raise

    def close(self) -> None:
        """Commit the waiting writes and give up the database."""
        self.optuna.close()

    # Transactions

    def transaction(self) -> AbstractContextManager[Batch]:
        """Commit all writes of a block together. The block leaves after the commit."""
        return self.optuna.transaction()

    @contextmanager
    def deferred(self) -> Iterator[Future[None]]:
        """Like `transaction`, but the block leaves at once. The future is done after the commit, see `wait`."""
        with self.optuna.commits.deferred() as committed:
            yield committed

    def wait(self, committed: Future[None]) -> None:
        """Wait for a commit. Raises DatabaseUnavailableError if it takes too long."""
        self.optuna.commits.wait(committed)

    async def wait_all(self, waiting: Sequence[Future[None]]) -> None:
        """Wait for several commits without blocking the event loop. Raises as `wait` does."""
        await self.optuna.commits.wait_all(waiting)

    def notify_on_commit(self, note: Any) -> None:
        """Hand a note to the commit listeners after the commit of the open transaction. Needs an open transaction."""
        self.optuna.commits.note(note)

    def add_commit_listener(self, listener: Callable[[Commit], None]) -> None:
        """Call a function on the writer thread after every commit, before the threads that wait for it go on."""
        self.optuna.writer.listeners.append(listener)

    @property
    def writing_seconds(self) -> float:
        """For how long the database has been taking the present writes; 0 without any."""
        return self.optuna.writer.writing_seconds

    @property
    def n_waiting_rows(self) -> int:
        """Number of rows that are not committed yet."""
        return self.optuna.writer.n_waiting_rows

    async def ping(self, timeout_seconds: float) -> None:
        """Send the database a question on the way that writes take.

        Raises StorageFailedError, StorageClosedError or DatabaseUnavailableError if a write would fail now.
        """
        writer = self.optuna.writer
        writer.check()
        if writer.away_seconds > AWAY_SECONDS:
            away = f"the database has not answered for {writer.away_seconds:.0f} s{writer.away_reason}"
            raise DatabaseUnavailableError(away)
        with self.optuna.commits.deferred() as committed, self.transaction() as batch:
            batch.ping()
        try:
            async with asyncio.timeout(timeout_seconds):
                await asyncio.wrap_future(committed)
        except TimeoutError as error:
            raise DatabaseUnavailableError(f"the database has not answered for {timeout_seconds:g} s") from error

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A connection to read from, after the commit of everything that was written before.

        Inside a transaction it does not see that transaction's own writes: they are submitted when its block leaves.
        """
        wait_rule.check("a read from the database")
        self.optuna.commits.barrier()
        with self.optuna.engine.connect() as connection:
            yield connection

    # Studies

    def create_study(
        self, name: str, definition: dict[str, Any], n_trials: int, directions: Sequence[str], created_at: datetime
    ) -> StudyRecord:
        """Create a study, here and in Optuna. Raises DuplicateStudyError, and then nothing has changed."""
        with self.transaction() as batch:
            try:
                study_id = self.optuna.create_new_study([StudyDirection[word.upper()] for word in directions], name)
            except DuplicatedStudyError as error:
                raise DuplicateStudyError(f"a study of this name is in the database already: {name}") from error
            record = StudyRecord(study_id, name, definition, "running", n_trials, created_at)
            self._put_study(batch, record)
        return record

    def _put_study(self, batch: Batch, record: StudyRecord) -> None:
        put_record(batch, tables.studies, record)
        self._studies[record.study_id] = record

    def studies(self) -> list[StudyRecord]:
        """All studies, oldest first."""
        return list(self._studies.values())

    def study(self, study_id: int) -> StudyRecord:
        """The study with this id. Raises KeyError."""
        return self._studies[study_id]

    def change_study(self, record: StudyRecord, **values: Any) -> StudyRecord:
        """Change columns of a study and return the changed record."""
        changed = replace(record, **values)
        with self.transaction() as batch:
            self._put_study(batch, changed)
        return changed

    def delete_study(self, record: StudyRecord) -> None:
        """Delete a study and all its data."""
        study_id = record.study_id
        with self.transaction():
            self.optuna.delete_study(study_id)
            del self._studies[study_id]
            for index in (self.leases, self.artifacts, self.finals, self.rounds, self.imports):
                index.remove_study(study_id)

    def used(self, study_id: int) -> tuple[int, list[HeldTime]]:
        """How many epochs the trials of a study have reported, and when its leases were held."""
        with self._reading() as connection:
            return queries.n_epochs(connection, study_id), queries.held_times(connection, study_id)

    # Trials

    def grant(self, granted: Sequence[LeaseRecord], worker: WorkerRecord) -> None:
        """Save the leases that answer a claim, and the worker. Raises StorageError for a lease id that is known."""
        with self.transaction():
            self.leases.add(granted)
            self.workers.put(worker)

    def lease(self, lease_id: str) -> LeaseRecord | None:
        """Any lease, also one that `leases` knows no more; None if there is none with this id."""
        known = self.leases.get(lease_id)
        if known is not None:
            return known
        with self._reading() as connection:
            return queries.lease(connection, lease_id)

    def add_epoch(self, epoch: EpochRecord) -> None:
        """Save a report and its decision."""
        with self.transaction() as batch:
            put_record(batch, tables.epochs, epoch)

    def finish(
        self,
        lease: LeaseRecord,
        outcome: Outcome,
        result: ResultRecord,
        ended_at: datetime,
        *,
        reason: str | None = None,
    ) -> None:
        """Save the result of a trial and end its lease, for `reason` or else for the result's reason.

        The caller ends Optuna's trial in the same transaction.
        """
        with self.transaction():
            self.leases.end(lease, outcome, result.state, reason or result.reason, ended_at)
            self.set_result(result)

    def set_result(self, result: ResultRecord) -> None:
        """Save the result of a trial."""
        with self.transaction() as batch:
            put_record(batch, tables.results, result)

    def requeue(
        self,
        lease: LeaseRecord,
        outcome: Outcome,
        reason: str | None,
        ended_at: datetime,
        *,
        after_step: int | None = None,
    ) -> None:
        """End a lease and make its trial WAITING. Delete the trial's reports, or with `after_step` only later ones."""
        with self.transaction() as batch:
            self.optuna.clear_intermediate_values(lease.trial_id, after_step=after_step)
            batch.remove(tables.epochs.name, "trial_id", lease.trial_id, after_step=after_step)
            self.optuna.set_trial_state_values(lease.trial_id, TrialState.WAITING)
            self.leases.end(lease, outcome, "WAITING", reason, ended_at)

    def epoch(self, trial_id: int, step: int) -> EpochRecord | None:
        """The report of a trial at a step; None if there is none."""
        with self._reading() as connection:
            return queries.epoch(connection, trial_id, step)

    def last_epoch_until(self, lease: LeaseRecord, step: int) -> EpochRecord | None:
        """The report of the highest step under a lease that is not after `step`; None if there is none."""
        with self._reading() as connection:
            return queries.last_epoch_until(connection, lease, step)

    def epochs(self, trial_id: int, *, after_step: int | None = None, limit: int | None = None) -> list[EpochRecord]:
        """The reports of a trial in the order of their steps: all, or at most `limit` from the next step on."""
        with self._reading() as connection:
            return queries.epochs_of_trial(connection, trial_id, after_step, limit)

    def every_epoch(self, trial_id: int, after_step: int | None = None) -> Iterator[EpochRecord]:
        """As `epochs`, for any number of reports: they are read as they are asked for, some at a time."""
        while chunk := self.epochs(trial_id, after_step=after_step, limit=EPOCHS_AT_A_TIME):
            yield from chunk
            after_step = chunk[-1].step

    def metrics_of_trials(self, trial_ids: Sequence[int]) -> list[tuple[int, int, Metrics]]:
        """Trial id, step and metrics of all reports of these trials, sorted by trial id and step."""
        if not trial_ids:
            return []
        with self._reading() as connection:
            return queries.metrics_of_trials(connection, trial_ids)

    def last_epochs(self, trial_ids: Sequence[int]) -> list[EpochRecord]:
        """The last report of each of these trials that has one, in any order."""
        if not trial_ids:
            return []
        with self._reading() as connection:
            return queries.last_epochs(connection, trial_ids)

    def results(self, trial_ids: Sequence[int]) -> list[ResultRecord]:
        """The results of those of these trials that have ended, in any order."""
        if not trial_ids:
            return []
        with self._reading() as connection:
            return queries.results_of_trials(connection, trial_ids)
