"""All that the service keeps, behind one object. Each method is answered when its writes are committed."""

import asyncio
import threading
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
from storage.errors import DatabaseUnavailableError, DuplicateStudyError, StorageError
from storage.records import (
    EpochRecord,
    ImportRecord,
    LeaseRecord,
    Metrics,
    Outcome,
    ResultRecord,
    RoundRecord,
    StudyRecord,
    TrialStateName,
    WorkerRecord,
)
from storage.tables import queries
from storage.tables import schema as tables
from storage.tables.artifact_index import ArtifactIndex
from storage.tables.columns import row_of
from storage.tables.final_index import FinalIndex
from storage.tables.lease_index import LeaseIndex
from storage.tables.numbered_index import NumberedIndex
from storage.tables.token_index import TokenIndex
from storage.trials.group_commit_storage import GroupCommitStorage

AWAY_SECONDS = 1.0


class Store:
    """Studies and trials in Optuna's tables, and definitions, leases, epochs, results and workers in ours.

    `optuna` is the Optuna storage on the same database, `artifacts` tells of the files of trials, `finals` of the final
    evaluations, `rounds` of narrowed ranges, from the second round on, `imports` of trials from elsewhere, `tokens` are
    those of the service's callers. Writes inside `transaction()` are committed together.
    """

    def __init__(self, optuna: GroupCommitStorage) -> None:
        self.optuna = optuna
        self._lock = threading.Lock()
        with optuna.engine.connect() as connection:
            self._studies = {record.study_id: record for record in queries.all_studies(connection)}
            self._leases = LeaseIndex.load(connection)
            self._workers = {record.worker_id: record for record in queries.all_workers(connection)}
            self.artifacts = ArtifactIndex(connection, self.transaction)
            self.finals = FinalIndex(connection, self.transaction)
            self.rounds = NumberedIndex(connection, self.transaction, tables.rounds, RoundRecord, first=2)
            self.imports = NumberedIndex(connection, self.transaction, tables.imports, ImportRecord, first=0)
            self.tokens = TokenIndex(connection, self.transaction)

    @classmethod
    def open(cls, url: str) -> Self:
        """Open a database, make it ours, and bring it to the newest version.

        Raises InvalidDatabaseUrlError, DatabaseUnavailableError and DatabaseOwnedError.
        """
        optuna = GroupCommitStorage(url)
        try:
            return cls(optuna)
        except BaseException:
            optuna.close()
            raise

    def close(self) -> None:
        self.optuna.close()

    def transaction(self) -> AbstractContextManager[Batch]:
        """Commit all writes of a block together, and leave it when they are committed."""
        return self.optuna.transaction()

    @contextmanager
    def deferred(self) -> Iterator[Future[None]]:
        """As `transaction`, but leave at once: the future is done when the writes are committed, see `wait`."""
        with self.optuna.commits.deferred() as committed:
            yield committed

    def wait(self, committed: Future[None]) -> None:
        """Raises DatabaseUnavailableError when the commit takes too long."""
        self.optuna.commits.wait(committed)

    async def committed(self, waiting: Sequence[Future[None]]) -> None:
        """As `wait`, for many and without blocking the event loop."""
        await self.optuna.commits.wait_all(waiting)

    def note(self, note: Any) -> None:
        """Give an object to the listeners when this thread's transaction is committed. Call it in a block alone."""
        self.optuna.commits.note(note)

    def listen(self, listener: Callable[[Commit], None]) -> None:
        """Call from now on, after every commit and before those who wait for it, on the thread that writes."""
        self.optuna.writer.listeners.append(listener)

    @property
    def n_waiting_rows(self) -> int:
        """How many rows are not on disk yet."""
        return self.optuna.writer.n_waiting_rows

    async def ping(self, timeout_seconds: float) -> None:
        """Send a question the way that writes go.

        Raises StorageFailedError, StorageClosedError and DatabaseUnavailableError when a write would be in vain.
        """
        writer = self.optuna.writer
        if writer.away_seconds > AWAY_SECONDS:
            away = f"the database has not answered for {writer.away_seconds:.0f} s{writer.away_reason}"
            raise DatabaseUnavailableError(away)
        with self.optuna.commits.deferred() as committed, self.transaction() as batch:
            batch.probe()
        try:
            async with asyncio.timeout(timeout_seconds):
                await asyncio.wrap_future(committed)
        except TimeoutError as error:
            raise DatabaseUnavailableError(f"the database has not answered for {timeout_seconds:g} s") from error

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A connection that sees all that was written before."""
        self.optuna.commits.barrier()
        with self.optuna.engine.connect() as connection:
            yield connection

    # Studies

    def create_study(
        self, name: str, definition: dict[str, Any], n_trials: int, directions: Sequence[str], created_at: datetime
    ) -> StudyRecord:
        """Make a study, here and in Optuna. Raises DuplicateStudyError; then nothing has changed."""
        with self.transaction() as batch:
            try:
                study_id = self.optuna.create_new_study([StudyDirection[word.upper()] for word in directions], name)
            except DuplicatedStudyError as error:
                raise DuplicateStudyError(f"a study of this name is in the database already: {name}") from error
            record = StudyRecord(study_id, name, definition, "running", n_trials, created_at)
            self._put_study(batch, record)
        return record

    def _put_study(self, batch: Batch, record: StudyRecord) -> None:
        self._studies[record.study_id] = record
        batch.put("narrows_studies", record.name, row_of(tables.studies, record))

    def studies(self) -> list[StudyRecord]:
        """All studies, oldest first."""
        return list(self._studies.values())

    def study(self, study_id: int) -> StudyRecord:
        """Raises KeyError."""
        return self._studies[study_id]

    def change_study(self, record: StudyRecord, **values: Any) -> StudyRecord:
        """Change columns of a study's row, and answer the changed record."""
        changed = replace(record, **values)
        with self.transaction() as batch:
            self._put_study(batch, changed)
        return changed

    def delete_study(self, record: StudyRecord) -> None:
        """Delete a study with all that belongs to it."""
        with self.transaction():
            self.optuna.delete_study(record.study_id)
            del self._studies[record.study_id]
            with self._lock:
                self._leases.remove_study(record.study_id)
            self.artifacts.remove_study(record.study_id)
            self.finals.remove_study(record.study_id)
            self.rounds.remove_study(record.study_id)
            self.imports.remove_study(record.study_id)

    # Leases

    def grant(self, granted: Sequence[LeaseRecord], worker: WorkerRecord) -> None:
        """Write down the answer to a claim, and who asked. Raises StorageError for a lease that is there."""
        ids = [lease.lease_id for lease in granted]
        if len(set(ids)) < len(ids) or any(self.lease(lease_id) is not None for lease_id in ids):
            raise StorageError(f"a lease must not be granted twice: {ids}")
        with self.transaction() as batch:
            for lease in granted:
                self._put_lease(batch, lease)
            self._put_worker(batch, worker)

    def _put_lease(self, batch: Batch, lease: LeaseRecord) -> None:
        with self._lock:
            self._leases.put(lease)
        batch.put("narrows_leases", lease.lease_id, row_of(tables.leases, lease))

    def end_lease(
        self, lease: LeaseRecord, outcome: Outcome, state: TrialStateName, reason: str | None, ended_at: datetime
    ) -> None:
        """End a lease: how, and the trial's state after it. Raises StorageError when it has ended."""
        known = self.lease(lease.lease_id)
        if known is not None and known.ended_at is not None:
            raise StorageError(f"lease {lease.lease_id} has ended by {known.outcome}")
        with self.transaction() as batch:
            ended = replace(lease, outcome=outcome, state=state, reason=reason, ended_at=ended_at)
            self._put_lease(batch, ended)

    def lease(self, lease_id: str) -> LeaseRecord | None:
        """One lease, open or ended."""
        with self._lock:
            return self._leases.get(lease_id)

    def leases_of_claim(self, claim_id: str) -> list[LeaseRecord]:
        """The leases that a claim was answered with."""
        with self._lock:
            return self._leases.of_claim(claim_id)

    def leases_of_study(self, study_id: int) -> list[LeaseRecord]:
        """All leases of a study, oldest first."""
        with self._lock:
            return self._leases.of_study(study_id)

    def leases_of_trials(self, trial_ids: Sequence[int]) -> list[LeaseRecord]:
        """All leases of some trials, oldest first."""
        with self._lock:
            return self._leases.of_trials(trial_ids)

    # Reports

    def epoch(self, trial_id: int, step: int) -> EpochRecord | None:
        """What a trial reported at a step."""
        with self._reading() as connection:
            return queries.epoch(connection, trial_id, step)

    def epochs(self, trial_id: int) -> list[EpochRecord]:
        """All that a trial reported, by step."""
        with self._reading() as connection:
            return queries.epochs_of_trial(connection, trial_id)

    def metrics_of_trials(self, trial_ids: Sequence[int]) -> list[tuple[int, int, Metrics]]:
        """Trial, step and metrics of all that some trials reported, by trial and step."""
        with self._reading() as connection:
            return queries.metrics_of_trials(connection, trial_ids)

    def last_epochs(self, trial_ids: Sequence[int]) -> list[EpochRecord]:
        """The last report of each of some trials."""
        with self._reading() as connection:
            return queries.last_epochs(connection, trial_ids)

    def add_epoch(self, epoch: EpochRecord) -> None:
        """Keep a report and its decision."""
        with self.transaction() as batch:
            batch.put("narrows_epochs", (epoch.trial_id, epoch.step), row_of(tables.epochs, epoch))

    # Ends

    def finish(
        self,
        lease: LeaseRecord,
        outcome: Outcome,
        result: ResultRecord,
        ended_at: datetime,
        *,
        reason: str | None = None,
    ) -> None:
        """Keep how a trial ended, and end its lease, for a reason of its own or for the trial's.

        Optuna's own row is the caller's, in the same transaction.
        """
        with self.transaction():
            self.end_lease(lease, outcome, result.state, reason or result.reason, ended_at)
            self.set_result(result)

    def set_result(self, result: ResultRecord) -> None:
        """Keep how a trial ended."""
        with self.transaction() as batch:
            batch.put("narrows_results", result.trial_id, row_of(tables.results, result))

    def set_final_metrics(self, trial_id: int, metrics: Metrics) -> None:
        """Replace the final metrics of a trial that has ended."""
        for result in self.results([trial_id]):
            self.set_result(replace(result, metrics=metrics))

    def requeue(
        self,
        lease: LeaseRecord,
        outcome: Outcome,
        reason: str | None,
        ended_at: datetime,
        *,
        after_step: int | None = None,
    ) -> None:
        """End a lease and put its trial back, without what it has reported, or without what came after a step."""
        with self.transaction() as batch:
            self.optuna.clear_intermediate_values(lease.trial_id, after_step=after_step)
            batch.remove("narrows_epochs", "trial_id", lease.trial_id, after_step=after_step)
            self.optuna.set_trial_state_values(lease.trial_id, TrialState.WAITING)
            self.end_lease(lease, outcome, "WAITING", reason, ended_at)

    def results(self, trial_ids: Sequence[int]) -> list[ResultRecord]:
        """How some trials ended."""
        with self._reading() as connection:
            return queries.results_of_trials(connection, trial_ids)

    # Workers

    def workers(self) -> list[WorkerRecord]:
        """All workers as they were when they last asked, the last one first."""
        with self._lock:
            return sorted(self._workers.values(), key=lambda worker: worker.last_seen_at, reverse=True)

    def worker(self, worker_id: str) -> WorkerRecord | None:
        """As it was when it last asked."""
        with self._lock:
            return self._workers.get(worker_id)

    def worker_seen(self, worker: WorkerRecord) -> None:
        """Note that a worker asked."""
        with self.transaction() as batch:
            self._put_worker(batch, worker)

    def _put_worker(self, batch: Batch, worker: WorkerRecord) -> None:
        with self._lock:
            known = self._workers.get(worker.worker_id)
            if known is not None:
                worker = replace(worker, first_seen_at=known.first_seen_at)
            self._workers[worker.worker_id] = worker
        batch.put("narrows_workers", worker.worker_id, row_of(tables.workers, worker))
